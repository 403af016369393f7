// What a sampler's node shows while it samples a clip: node previews.mjs URL OUT.json SCREENSHOTS RENDERER WORKFLOW.json
// OUT has, for each run, the messages of clips and the different pictures that the node showed, then those after its end.
import { openEditor, read, show, write } from './editor.mjs'

const [url, out, screenshots, renderer, workflow] = process.argv.slice(2)
const { browser, page, errors } = await openEditor(url, { renderer })
const graph = read(workflow)
const sampler = graph.nodes.find(node => node.type === 'KSampler').id
const seen = {}
const wait = milliseconds => page.waitForTimeout(milliseconds)

await page.evaluate(() => {
  window.told = { clips: [], running: false, shown: 0, steps: 0 }
  const { api } = window.app
  api.addEventListener('zoetrope.preview', ({ detail }) => window.told.clips.push({ ...detail, sheet: detail.sheet.length }))
  api.addEventListener('b_preview_with_metadata', () => window.told.shown++)
  api.addEventListener('progress', () => window.told.steps++)
  api.addEventListener('execution_start', () => (window.told.running = true))
  for (const name of ['execution_success', 'execution_error', 'execution_interrupted']) api.addEventListener(name, () => (window.told.running = false))
})
const setting = (id, value) => page.evaluate(([id, value]) => window.app.extensionManager.setting.set(id, value), [id, value])
const until = (what, seconds = 120) => page.waitForFunction(`window.told.${what}`, null, { timeout: seconds * 1000, polling: 50 })
const run = async seed => {
  await page.evaluate(seed => {
    window.told.clips = []
    const all = [window.app.graph, ...(window.app.graph.subgraphs?.values() ?? [])].flatMap(graph => graph.nodes)
    const node = all.find(node => node.type === 'KSampler')
    node.widgets.find(widget => widget.name === 'seed').value = seed
  }, seed)
  await page.getByRole('button', { name: 'Run', exact: true }).first().click()
  await until('running')
}

/** Different pictures of a node during a time: as the renderer has them, not of the whole page, whose progress bars move too. */
const pictures = (id, milliseconds) => page.evaluate(async ([id, milliseconds]) => {
  const canvas = Object.assign(document.createElement('canvas'), { width: 32, height: 32 })
  const context = canvas.getContext('2d', { willReadFrequently: true })
  const different = new Set()
  let most = 0
  for (const end = performance.now() + milliseconds; performance.now() < end; await new Promise(next => setTimeout(next, 30))) {
    const drawn = [...document.querySelectorAll(`[data-node-id="${id}"] img`)]
    const images = (window.LiteGraph.vueNodesMode ? drawn : window.app.graph.getNodeById(id)?.imgs ?? []).filter(image => image.complete && image.naturalWidth)
    most = Math.max(most, images.length)
    if (!images.length) continue
    context.drawImage(images[0], 0, 0, 32, 32)
    different.add(context.getImageData(0, 0, 32, 32).data.join())
  }
  return { different: different.size, most }
}, [id, milliseconds])

const counted = () => page.evaluate(() => ({ shown: window.told.shown, steps: window.told.steps }))

/** Previews that were shown, of the host and of ours, and steps of the sampler, for each of which the host has one. */
const since = async before => Object.fromEntries(Object.entries(await counted()).map(([name, number]) => [name, number - before[name]]))

const clips = () => page.evaluate(() => window.told.clips)

async function whole(name, id) {
  await until('clips.length >= 2')
  await wait(300)
  const before = await counted()
  const moving = { ...(await pictures(id, 2500)), ...(await since(before)) }
  for (const shot of [1, 2, 3]) {
    await page.screenshot({ path: `${screenshots}-${name}-${shot}.png` })
    await wait(200)
  }
  await until('running === false')
  await wait(600)
  seen[name] = { clips: await clips(), moving, after: await pictures(id, 800) }
  await page.screenshot({ path: `${screenshots}-${name}-after.png` })
}

// a sampler on the canvas
await show(page, graph, [sampler])
await run(1)
await whole('plain', sampler)

// switched off in the settings
await setting('Zoetrope.Panels.MovingPreviews', false)
await run(2)
await until('running === false')
seen.off = { clips: await clips(), after: await pictures(sampler, 300) }
await setting('Zoetrope.Panels.MovingPreviews', true)

// another workflow is opened in which a node has the same number
await run(3)
await until('clips.length >= 2')
await show(page, { ...graph, id: 'a0000000-0000-4000-8000-000000000000' }, [sampler])
await wait(300)
const before = await counted()
await wait(1000)
seen.elsewhere = await since(before)
await until('running === false')

// inside a subgraph: the node of the subgraph shows it
await show(page, graph, [sampler])
const outer = await page.evaluate(id => {
  const { graph } = window.app
  return graph.convertToSubgraph(new Set([graph.getNodeById(id)])).node.id
}, sampler)
await wait(500)
await run(4)
await whole('subgraph', outer)
write(out, { seen, errors })
await browser.close()
