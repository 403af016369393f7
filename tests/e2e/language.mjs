// The nodes in another language, and a help page: node language.mjs URL OUT.json SCREENSHOTS LANGUAGE WORKFLOW.json
import { openEditor, read, show, write } from './editor.mjs'

const [url, out, screenshots, language, workflow] = process.argv.slice(2)
const { browser, page } = await openEditor(url, { language })
const graph = read(workflow)
const drawn = graph.nodes.find(node => node.type === 'ZoetropeEndlessShot')
delete drawn.title
await show(page, graph, [drawn.id])
const told = await page.evaluate(id => {
  const node = window.app.graph.getNodeById(id)
  const { canvas, ds } = window.app.canvas
  const rect = canvas.getBoundingClientRect()
  const title = [rect.left + (node.pos[0] + 150 + ds.offset[0]) * ds.scale, rect.top + (node.pos[1] - 14 + ds.offset[1]) * ds.scale]
  const labels = Object.fromEntries(node.widgets.map(widget => [widget.name, widget.label]))
  return { title: node.title, category: window.LiteGraph.registered_node_types[node.type].category, labels, at: title }
}, drawn.id)
told.waiting = await page.locator('.zoetrope-panel[data-panel=filmstrip] .line').first().textContent()
await page.mouse.click(...told.at)
const info = page.locator('[data-testid=info-button]')
await info.waitFor({ timeout: 20000 })
await page.screenshot({ path: `${screenshots}-node.png` })
await info.click()
await page.waitForTimeout(3000)
const help = page.locator('.node-help-content').first()
told.help = await help.innerText().catch(() => '')
told.pictures = await help.locator('img').evaluateAll(all => all.map(image => [image.src, image.naturalWidth])).catch(() => [])
await page.screenshot({ path: `${screenshots}-help.png` })
write(out, told)
await browser.close()
