// What the page is after an undo, a double click, a finished and an interrupted shot: node after.mjs URL OUT.json SCREENSHOTS RENDERER SHOT.json
import { frame, openEditor, read, show, write } from './editor.mjs'

const [url, out, screenshots, renderer, shot] = process.argv.slice(2)
const { browser, page, errors } = await openEditor(url, { renderer })
const seen = {}
const timeline = page.locator('.zoetrope-panel[data-panel=timeline]'), strip = page.locator('.zoetrope-panel[data-panel=filmstrip]')
const graph = read(shot)
const ids = graph.nodes.map(node => node.id)
const filming = graph.nodes.find(node => node.type === 'ZoetropeEndlessShot').id, saying = graph.nodes.find(node => node.type === 'ZoetropePromptTimeline').id
const text = () => page.evaluate(id => window.app.graph.getNodeById(id).widgets.find(widget => widget.name === 'text').value, saying)
const bars = async () => ({ text: await text(), bars: await timeline.locator('.bar').allTextContents(), cuts: await timeline.locator('.cut').evaluateAll(all => all.map(one => one.getAttribute('aria-valuenow'))), colours: await timeline.locator('.bar').evaluateAll(all => all.map(one => one.style.background)) })
const head = () => strip.locator('.line').first().textContent()
const until = words => page.waitForFunction(words => document.querySelector('.zoetrope-panel[data-panel=filmstrip]')?.shadowRoot.querySelector('.line').textContent.includes(words), words, { timeout: 400000, polling: 200 })
const run = () => page.getByRole('button', { name: 'Run', exact: true }).first().click()
const state = () => page.evaluate(id => {
  const node = window.app.graph.getNodeById(id)
  const drawn = document.querySelector(`[data-node-id="${id}"]`)
  const box = element => { const { width, height } = element.getBoundingClientRect(); return [Math.round(width), Math.round(height)] }
  return {
    widgets: node.widgets.map(widget => widget.name).filter(name => name.startsWith('$$')), imgs: node.imgs?.length ?? 0, previews: Object.keys(window.app.nodePreviewImages ?? {}),
    pictures: [...(drawn?.querySelectorAll('img') ?? [])].map(box), videos: [...document.querySelectorAll('video')].map(video => [...box(video), video.videoWidth, video.videoHeight, getComputedStyle(video).objectFit]),
    size: [...node.size].map(Math.round), box: drawn && box(drawn),
  }
}, filming)

// an undo: the bars are those of the node that is there
await show(page, graph, [saying])
seen.opened = await bars()
await timeline.locator('.cut').focus()
await page.keyboard.press('PageUp')
seen.moved = await bars()
await page.mouse.click(1500, 900)
await page.waitForTimeout(400)
await page.keyboard.press('Control+z')
await page.waitForTimeout(1500)
seen.undone = await bars()
await timeline.locator('.cut').focus()
await page.keyboard.press('PageUp')
seen.again = await bars()
await page.screenshot({ path: `${screenshots}-undone.png` })

// a double click: the caret is behind the new colon
const track = await timeline.locator('.track').boundingBox()
await page.mouse.dblclick(track.x + track.width * 0.25, track.y + track.height * 0.7)
await page.waitForTimeout(700)
await page.keyboard.type('a new prompt')
await page.waitForTimeout(400)
seen.typed = await bars()
await page.screenshot({ path: `${screenshots}-typed.png` })

// a finished shot: the video stands alone
await show(page, graph, [filming])
await run()
await page.waitForTimeout(3000)
seen.running = await state()
await until('Done')
await page.waitForFunction(() => [...document.querySelectorAll('video')].some(video => video.readyState >= 2), null, { timeout: 60000, polling: 300 })
await page.waitForTimeout(3000)
await frame(page, [filming])
seen.done = { ...(await state()), head: await head() }
await page.screenshot({ path: `${screenshots}-done.png` })

// an interrupted one: no line promises an end
await page.evaluate(id => { window.app.graph.getNodeById(id).widgets.find(widget => widget.name === 'frames').value = 400 }, filming)
await run()
await until(' left')
await page.evaluate(() => window.app.api.interrupt())
await until('Stopped')
await page.waitForTimeout(1500)
seen.stopped = { ...(await state()), head: await head() }
await page.screenshot({ path: `${screenshots}-stopped.png` })
await frame(page, ids)
write(out, { seen, errors })
await browser.close()
