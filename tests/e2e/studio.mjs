// Pictures of the editor: node studio.mjs URL FOLDER WORKFLOWS NAME:WHAT ...
// WHAT is nothing (the whole graph), a node's type (that node), or "run" (the graph is run, then its last Zoetrope node).
import path from 'node:path'
import { openEditor, read, show } from './editor.mjs'

const [url, folder, workflows, ...asked] = process.argv.slice(2)
const { browser, page } = await openEditor(url)
for (const one of asked) {
  const [name, what] = one.split(':')
  const graph = read(path.join(workflows, `${name}.json`))
  const whole = graph.nodes.map(node => node.id)
  const type = what === 'run' ? graph.nodes.filter(node => node.type.startsWith('Zoetrope')).at(-1).type : what
  const near = type ? graph.nodes.filter(node => node.type === type).slice(0, 1).map(node => node.id) : whole
  await show(page, graph, near)
  if (what === 'run') {
    await page.getByRole('button', { name: 'Run', exact: true }).first().click()
    await page.waitForFunction(() => document.querySelector('.zoetrope-panel[data-panel=plan]')?.shadowRoot.querySelectorAll('.row').length === 4, null, { timeout: 200000, polling: 300 })
    await page.waitForTimeout(3000)
  }
  await page.keyboard.press('Escape')
  await page.waitForTimeout(500)
  const clip = await page.evaluate(([near, all]) => {
    const { canvas, graph } = window.app
    const nodes = graph._nodes.filter(node => near.includes(node.id))
    const rest = [...(graph.reroutes?.values() ?? [])].map(knot => knot.pos[1])
    const top = all ? Math.min(-60, ...rest) : nodes[0].pos[1] - 30
    const box = [Math.min(...nodes.map(node => node.pos[0])), top, Math.max(...nodes.map(node => node.pos[0] + node.size[0])), Math.max(...nodes.map(node => node.pos[1] + node.size[1]))]
    const rect = canvas.canvas.getBoundingClientRect()
    const { scale, offset } = canvas.ds
    const at = (x, y) => [rect.left + (x + offset[0]) * scale, rect.top + (y + offset[1]) * scale]
    const [left, up] = at(box[0] - 24, box[1] - 24)
    const [right, down] = at(box[2] + 24, box[3] + 24)
    return { x: Math.max(60, left), y: Math.max(40, up), width: Math.min(1790, right) - Math.max(60, left), height: Math.min(1040, down) - Math.max(40, up) }
  }, [near, !type])
  await page.screenshot({ path: path.join(folder, `${what === 'run' || !what ? name : what}.png`), clip })
}
await browser.close()
