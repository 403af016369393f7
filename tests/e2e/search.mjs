// What the search box finds: node search.mjs URL OUT.json SCREENSHOTS WORD ...
// OUT holds, for each word typed, the names of the nodes in the list, the first ones first.
import { openEditor, write } from './editor.mjs'

const [url, out, screenshots, ...words] = process.argv.slice(2)
const { browser, page } = await openEditor(url)
await page.evaluate(() => window.app.loadGraphData({ nodes: [], links: [], groups: [], version: 0.4, last_node_id: 0, last_link_id: 0 }))
await page.waitForTimeout(900)
await page.keyboard.press('Escape')
const found = {}
const field = page.locator('input[role=combobox]').filter({ visible: true }).last()
const rows = page.locator('[data-testid=result-item], .p-autocomplete-option').filter({ visible: true })
for (const word of words) {
  for (let tries = 0; tries < 10 && !(await field.isVisible()); tries++) {
    await page.mouse.dblclick(900, 500)
    await page.waitForTimeout(800)
  }
  await field.fill(word)
  await page.waitForTimeout(700)
  found[word] = (await rows.allInnerTexts()).map(text => text.trim().split('\n')[0])
  if (word === words[0]) await page.screenshot({ path: `${screenshots}-search.png` })
  await page.keyboard.press('Escape')
  await page.waitForTimeout(150)
}
write(out, found)
await browser.close()
