// The real frontend in headless Chromium: a page with a workflow in it, framed for a screenshot.
import fs from 'node:fs'
import { createRequire } from 'node:module'

const { chromium } = createRequire(process.env.PLAYWRIGHT_FROM + '/')('playwright-core')
const quiet = ['--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync']

export async function openEditor(url, workflow, offset, viewport) {
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ['--no-sandbox', ...quiet] })
  const page = await browser.newPage({ viewport })
  const errors = []
  page.on('pageerror', error => errors.push(String(error)))
  await page.goto(url, { waitUntil: 'domcontentloaded' })
  await page.waitForFunction(() => window.app?.graph && Object.keys(window.LiteGraph?.registered_node_types ?? {}).length > 100, null, { timeout: 120000 })
  await page.evaluate(graph => window.app.loadGraphData(graph), JSON.parse(fs.readFileSync(workflow, 'utf8')))
  await page.waitForTimeout(2500)
  await page.keyboard.press('Escape')
  await page.evaluate(offset => {
    const canvas = window.app.canvas
    canvas.ds.scale = 0.86
    canvas.ds.offset = offset
    canvas.setDirty(true, true)
  }, offset)
  return { browser, page, errors }
}
