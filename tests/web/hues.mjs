// What web/zoetrope/hues.js makes of prompts: reads a list of lists as JSON, writes their colours.
import fs from 'node:fs'

const { huesOf } = await import('data:text/javascript,' + encodeURIComponent(fs.readFileSync(process.argv[2], 'utf8')))
process.stdout.write(JSON.stringify(JSON.parse(fs.readFileSync(0, 'utf8')).map(huesOf)))
