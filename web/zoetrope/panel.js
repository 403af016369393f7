// A panel below a node's other widgets. It is display only: no workflow saves it and no prompt carries it.
import { app } from '../../../scripts/app.js'

const STYLE = `
  :host { all: initial; display: block; width: 100%; box-sizing: border-box; font: 11px/1.35 Inter, system-ui, sans-serif; color: var(--input-text, #ddd); }
  .panel { box-sizing: border-box; width: 100%; height: 100%; padding: 4px 6px; border-radius: 6px; background: var(--comfy-input-bg, #222); border: 1px solid var(--border-color, #4e4e4e); overflow: hidden; display: flex; flex-direction: column; gap: 3px; }
  .quiet { color: var(--descrip-text, #999); }
  .fault { padding-left: 5px; border-left: 3px solid var(--error-text, #ff4444); }
  .line { white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
  :focus-visible { outline: 2px solid var(--p-primary-color, #3b82f6); outline-offset: 1px; }
  button { font: inherit; color: inherit; background: none; border: 0; padding: 0; cursor: pointer; }
`

/** Makes an element: properties that start with "on" are listeners, other ones attributes. */
export function make(tag, attributes = {}, ...children) {
  const made = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes))
    if (name.startsWith('on')) made.addEventListener(name.slice(2), value)
    else made.setAttribute(name, value)
  made.append(...children)
  return made
}

/** A shadow root of the panels' looks: nothing leaks into the page, and the theme's colours come in. */
function shade(host, style) {
  const root = host.attachShadow({ mode: 'open' })
  root.append(make('style', {}, STYLE + style))
  return root
}

/** Adds a panel to a node: {body, onRemove}. `height` in pixels; what `onRemove` is given runs when the node goes. */
export function addPanel(node, { name, label, height, style }) {
  const host = make('div', { class: 'zoetrope-panel', 'data-panel': name })
  host.style.minHeight = `${height}px`
  const body = make('div', { class: 'panel', role: 'group', 'aria-label': label })
  shade(host, style).append(body)
  body.style.height = `${height}px`
  const gone = [stay(node, name, host)]
  const widget = node.addDOMWidget(name, 'ZOETROPE_PANEL', host, {
    serialize: false, hideOnZoom: false, getMinHeight: () => height + 8, getMaxHeight: () => height + 8, getValue: () => '', setValue: () => {},
  })
  widget.serialize = false
  const removed = widget.onRemove
  widget.onRemove = function () {
    removed?.apply(this, arguments)
    for (const work of gone) work()
  }
  return { body, onRemove: work => gone.push(work) }
}

/** Keeps a panel on the page. After an undo the newer renderer leaves the element of the removed node where the new node's belongs. */
function stay(node, name, host) {
  let absent = 0
  const timer = setInterval(() => {
    absent = present(node) ? 0 : absent + 1
    if (absent > 20) clearInterval(timer)
    if (absent || host.isConnected || app.canvas?.graph !== node.graph) return
    const left = document.querySelector(`[data-node-id="${node.id}"] .zoetrope-panel[data-panel="${name}"]`)
    left?.replaceWith(host)
  }, 250)
  return () => clearInterval(timer)
}

/** Whether a node is in the graph that the page holds; copies for the clipboard never are. */
function present(node) {
  const root = node.graph?.rootGraph ?? node.graph
  const held = node.graph === root || root?.subgraphs?.get?.(node.graph?.id) === node.graph
  return held && node.graph?.getNodeById?.(node.id) === node
}

/** Calls `show` whenever what `read` says has changed, a few times a second: nodes are configured, linked and typed into in
 *  many ways, and not all of them tell. Ends with the node, or by what it returns. */
export function follow(node, read, show) {
  let before, absent = 0
  const look = () => {
    absent = present(node) ? 0 : absent + 1
    if (absent > 20) clearInterval(timer)
    const now = read()
    if (now === before) return
    before = now
    show()
  }
  const timer = setInterval(look, 250)
  look()
  return () => clearInterval(timer)
}
