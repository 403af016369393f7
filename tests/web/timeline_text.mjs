// What web/zoetrope/timeline_text.js makes of texts: reads [[name, ...arguments], ...] as JSON, writes the answers as JSON.
import fs from 'node:fs'

const [module] = process.argv.slice(2)
const source = fs.readFileSync(module, 'utf8')
const timeline = await import('data:text/javascript,' + encodeURIComponent(source))
const asked = JSON.parse(fs.readFileSync(0, 'utf8'))
process.stdout.write(JSON.stringify(asked.map(([name, ...given]) => timeline[name](...given))))
