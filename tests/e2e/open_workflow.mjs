// Opens a workflow in the real frontend in headless Chromium: node open_workflow.mjs URL WORKFLOW.json RESULT.json SCREENSHOT.png
// RESULT holds the API form of the graph, node types the frontend does not know, and errors of the page.
import fs from 'node:fs'
import { createRequire } from 'node:module'

const { chromium } = createRequire(process.env.PLAYWRIGHT_FROM + '/')('playwright-core')
const [url, workflow, result, screenshot] = process.argv.slice(2)

const quiet = ['--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync']
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ['--no-sandbox', ...quiet] })
const page = await browser.newPage({ viewport: { width: 1720, height: 980 } })
const errors = []
page.on('pageerror', error => errors.push(String(error)))
await page.goto(url, { waitUntil: 'domcontentloaded' })
await page.waitForFunction(() => window.app?.graph && Object.keys(window.LiteGraph?.registered_node_types ?? {}).length > 100, null, { timeout: 120000 })

const graph = JSON.parse(fs.readFileSync(workflow, 'utf8'))
const answer = await page.evaluate(async graph => {
  await window.app.loadGraphData(graph)
  const known = window.LiteGraph.registered_node_types
  const { output } = await window.app.graphToPrompt()
  const nodes = window.app.graph._nodes ?? window.app.graph.nodes
  return { output, missing: nodes.map(n => n.type).filter(type => !known[type]), count: nodes.length }
}, graph)
await page.waitForTimeout(2500)
await page.keyboard.press('Escape')
await page.evaluate(() => {
  const canvas = window.app.canvas
  canvas.ds.scale = 0.86
  canvas.ds.offset = [40, 40]
  canvas.setDirty(true, true)
})
await page.waitForTimeout(1500)
await page.screenshot({ path: screenshot })
fs.writeFileSync(result, JSON.stringify({ ...answer, errors }, null, 1))
await browser.close()
