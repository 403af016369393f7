// Opens workflows in the real frontend: node open_workflows.mjs URL OUT.json SCREENSHOTS RENDERER THEME WORKFLOW.json ...
// OUT holds, for each: the API form of the graph, node types the frontend does not know, where the nodes are, and what a saved
// and loaded graph has lost. SCREENSHOTS is a folder and the beginning of the files' names.
import path from 'node:path'
import { openEditor, read, show, write } from './editor.mjs'

const [url, out, screenshots, renderer, theme, ...files] = process.argv.slice(2)
const { browser, page, errors } = await openEditor(url, { renderer, theme })
const found = {}
for (const file of files) {
  const name = path.basename(file, '.json')
  await show(page, read(file))
  found[name] = await page.evaluate(async () => {
    const known = window.LiteGraph.registered_node_types
    const nodes = window.app.graph._nodes
    const { output, workflow } = await window.app.graphToPrompt()
    const { ds } = window.app.canvas
    const seen = node => {
      const box = document.querySelector(`[data-node-id="${node.id}"]`)?.getBoundingClientRect()
      return box?.height > 40 ? [box.left / ds.scale, box.top / ds.scale, box.right / ds.scale, box.bottom / ds.scale] : [node.pos[0], node.pos[1] - 30, node.pos[0] + node.size[0], node.pos[1] + node.size[1]]
    }
    return { output, missing: nodes.map(node => node.type).filter(type => !known[type]), boxes: Object.fromEntries(nodes.map(node => [node.id, seen(node)])), saved: workflow, reroutes: window.app.graph.reroutes?.size ?? 0, panels: nodes.flatMap(node => (node.widgets ?? []).filter(widget => widget.type === 'ZOETROPE_PANEL').map(widget => `${node.type}.${widget.name}`)) }
  })
  await page.screenshot({ path: `${screenshots}-${name}.png` })
}
await page.evaluate(() => window.app.graph.clear())
write(out, { found, errors })
await browser.close()
