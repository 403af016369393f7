// The real frontend in headless Chromium: a page in a renderer ("litegraph" or "vue"), a theme and a language of its own.
import fs from 'node:fs'
import { createRequire } from 'node:module'

const { chromium } = createRequire(process.env.PLAYWRIGHT_FROM + '/')('playwright-core')
const quiet = ['--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync']

export const read = path => JSON.parse(fs.readFileSync(path, 'utf8'))
export const write = (path, data) => fs.writeFileSync(path, JSON.stringify(data, null, 1))

export async function openEditor(url, { renderer = 'litegraph', theme = 'dark', language = 'en' } = {}) {
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ['--no-sandbox', ...quiet] })
  const page = await browser.newPage({ viewport: { width: 1800, height: 1050 } })
  const errors = []
  page.on('pageerror', error => errors.push(String(error.stack ?? error)))
  await visit(page, url)
  await page.evaluate(async ([renderer, theme, language]) => {
    const setting = window.app.extensionManager.setting
    await setting.set('Comfy.VueNodes.Enabled', renderer === 'vue')
    await setting.set('Comfy.ColorPalette', theme)
    await setting.set('Comfy.Minimap.Visible', false)
    await setting.set('Comfy.Locale', language)
  }, [renderer, theme, language])
  if (language !== 'en') await visit(page, url)
  return { browser, page, errors }
}

/** Loads the page and waits until every node is known. */
export async function visit(page, url) {
  await page.goto(url, { waitUntil: 'domcontentloaded' })
  await page.waitForFunction(() => window.app?.graph && Object.keys(window.LiteGraph?.registered_node_types ?? {}).length > 100, null, { timeout: 120000 })
  await page.waitForTimeout(1000)
}

/** Puts a workflow on the canvas; `near` is what part of it is framed: node ids, or all of it. */
export async function show(page, graph, near = null) {
  await page.evaluate(graph => window.app.loadGraphData(graph), graph)
  await page.waitForTimeout(900)
  await page.keyboard.press('Escape')
  await frame(page, near)
}

export async function frame(page, near) {
  await page.evaluate(near => {
    const { canvas, graph } = window.app
    const nodes = graph._nodes.filter(node => !near || near.map(String).includes(String(node.id))) // newer frontends make strings of ids
    const [left, right] = [Math.min(...nodes.map(node => node.pos[0])), Math.max(...nodes.map(node => node.pos[0] + node.size[0]))]
    const above = near ? 60 : Math.max(160, 80 - Math.min(0, ...[...(graph.reroutes?.values() ?? [])].map(knot => knot.pos[1])))
    const [top, bottom] = [Math.min(...nodes.map(node => node.pos[1])) - above, Math.max(...nodes.map(node => node.pos[1] + node.size[1]))]
    const scale = Math.min(1640 / (right - left + 60), 920 / (bottom - top + 40), 1)
    canvas.ds.scale = scale
    canvas.ds.offset = [-left + 110 / scale, -top + 80 / scale]
    canvas.setDirty(true, true)
  }, near)
  await page.waitForTimeout(700)
}
