// Runs a workflow in the real frontend: node run_workflow.mjs URL WORKFLOW.json RUNNING.png FINISHED.png SECONDS
// The first screenshot is taken while it runs, as soon as its node shows a preview; the second when it has ended.
import fs from 'node:fs'
import { createRequire } from 'node:module'

const { chromium } = createRequire(process.env.PLAYWRIGHT_FROM + '/')('playwright-core')
const [url, workflow, running, finished, seconds] = process.argv.slice(2)

const quiet = ['--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync']
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ['--no-sandbox', ...quiet] })
const page = await browser.newPage({ viewport: { width: 1500, height: 980 } })
page.on("console", m => { if (process.env.VERBOSE) console.log(m.text()) })
await page.goto(url, { waitUntil: 'domcontentloaded' })
await page.waitForFunction(() => window.app?.graph && Object.keys(window.LiteGraph?.registered_node_types ?? {}).length > 100, null, { timeout: 120000 })
const graph = JSON.parse(fs.readFileSync(workflow, 'utf8'))
await page.evaluate(graph => window.app.loadGraphData(graph), graph)
await page.waitForTimeout(2500)
await page.keyboard.press('Escape')
await page.evaluate(() => {
  const canvas = window.app.canvas
  canvas.ds.scale = 0.86
  canvas.ds.offset = [60, 60]
  canvas.setDirty(true, true)
})
await page.evaluate(() => {
  window.seen = { previews: 0, ended: false }
  window.app.api.addEventListener('b_preview', () => window.seen.previews++)
  window.app.api.addEventListener('b_preview_with_metadata', () => window.seen.previews++)
  for (const end of ['execution_success', 'execution_error', 'execution_interrupted'])
    window.app.api.addEventListener(end, () => { window.seen.ended = true })
})
await page.evaluate(() => { window.app.queuePrompt(0, 1) })
const limit = { timeout: Number(seconds) * 1000, polling: 500 }
await page.waitForFunction(() => window.seen.previews > 2 || window.seen.ended, null, limit)
await page.waitForTimeout(4000)
await page.screenshot({ path: running })
await page.waitForFunction(() => window.seen.ended, null, limit)
await page.waitForTimeout(5000)
await page.screenshot({ path: finished })
await browser.close()
