// Opens a workflow in the real frontend: node open_workflow.mjs URL WORKFLOW.json RESULT.json SCREENSHOT.png
// RESULT holds the API form of the graph, node types the frontend does not know, and errors of the page.
import fs from 'node:fs'
import { openEditor } from './editor.mjs'

const [url, workflow, result, screenshot] = process.argv.slice(2)
const { browser, page, errors } = await openEditor(url, workflow, [40, 40], { width: 1720, height: 980 })
const answer = await page.evaluate(async () => {
  const known = window.LiteGraph.registered_node_types
  const { output } = await window.app.graphToPrompt()
  const nodes = window.app.graph._nodes ?? window.app.graph.nodes
  return { output, missing: nodes.map(n => n.type).filter(type => !known[type]), count: nodes.length }
})
await page.waitForTimeout(1500)
await page.screenshot({ path: screenshot })
fs.writeFileSync(result, JSON.stringify({ ...answer, errors }, null, 1))
await browser.close()
