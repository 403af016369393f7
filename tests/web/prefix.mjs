// What web/zoetrope/prefix.js makes of nodes: reads {"host": bool, "nodes": [...]} as JSON, writes what each would queue.
import fs from 'node:fs'

const source = fs.readFileSync(process.argv[2], 'utf8')
const { fillInPrefix } = await import('data:text/javascript,' + encodeURIComponent(source))
const { host, nodes } = JSON.parse(fs.readFileSync(0, 'utf8'))
const app = { date: '2026-11-28' }
if (host) globalThis.comfyAPI = { utils: { applyTextReplacements: (given, text) => text.replaceAll('%date:yyyy-MM-dd%', given.date) } }
const queued = node => {
  fillInPrefix(node, app)
  return node.widgets.map(widget => widget.serializeValue?.() ?? widget.value)
}
process.stdout.write(JSON.stringify(nodes.map(queued)))
