// What web/zoetrope/renamed.js makes of a graph on standard input: writes its table and the renamed graph.
import fs from 'node:fs'

const source = fs.readFileSync(process.argv[2], 'utf8')
const { RENAMED, renameInputs } = await import('data:text/javascript,' + encodeURIComponent(source))
const graph = JSON.parse(fs.readFileSync(0, 'utf8'))
renameInputs(graph)
process.stdout.write(JSON.stringify({ table: RENAMED, graph }))
