// The nodes in another language, and a help page: node language.mjs URL OUT.json SCREENSHOTS LANGUAGE WORKFLOW.json
import { openEditor, read, show, write } from './editor.mjs'

const [url, out, screenshots, language, workflow] = process.argv.slice(2)
const { browser, page } = await openEditor(url, { language })
await show(page, read(workflow))
const told = await page.evaluate(() => {
  const node = window.LiteGraph.createNode('ZoetropeEndlessShot')
  window.app.graph.clear()
  node.pos = [40, 40]
  window.app.graph.add(node)
  return { title: node.title, category: window.LiteGraph.registered_node_types.ZoetropeEndlessShot.category, labels: Object.fromEntries(node.widgets.map(widget => [widget.name, widget.label])) }
})
await page.waitForTimeout(1500)
told.waiting = await page.locator('.zoetrope-panel[data-panel=filmstrip] .line').first().textContent()
await page.evaluate(() => {
  const { canvas, graph } = window.app
  canvas.ds.scale = 0.9
  canvas.ds.offset = [120, 60]
  canvas.select?.(graph._nodes[0])
  canvas.setDirty(true, true)
})
await page.waitForTimeout(1000)
await page.screenshot({ path: `${screenshots}-node.png` })
// the help page of a node, in the side bar: the info button of the selection's toolbox opens it
const info = page.locator('[data-testid=info-button], .help-button, [aria-label="Node Info"], [data-testid=help-button], button:has(.icon-\\[lucide--info\\]), button:has(.pi-question-circle)').first()
told.help = await info.count() > 0
if (told.help) await info.click()
await page.waitForTimeout(2500)
told.picture = await page.locator('img[src*="ZoetropeEndlessShot.jpg"]').first().evaluate(image => image.naturalWidth).catch(() => 0)
await page.screenshot({ path: `${screenshots}-help.png` })
write(out, told)
await browser.close()
