// The host keeps a node's last preview and its line of progress after the run. The finished video, or an interrupt, takes their place.
import { app } from '../../../scripts/app.js'

const PREVIEWS = ['$$comfy_animation_preview', '$$canvas-image-preview'], LINE = ['$$node-text-preview']

/** Takes the last preview off a node. More than once, because a preview may still be loading. */
export function forgetPreview(node) {
  for (const wait of [0, 300, 1200]) setTimeout(() => clear(node), wait)
}

/** Takes off the line of progress, which after an interrupt would go on promising an end. */
export function forgetLine(node) {
  drop(node, LINE)
}

function clear(node) {
  const locator = node.graph?.isRootGraph === false ? `${node.graph.id}:${node.id}` : String(node.id)
  const store = app.extensionManager?._p?._s?.get?.('nodeOutput') // what the newer renderer draws from; no public way leads there
  store?.revokePreviewsByLocatorId?.(locator)
  delete app.nodePreviewImages?.[locator]
  node.imgs = node.preview = undefined
  drop(node, PREVIEWS)
}

/** Removes widgets of these names, and the height that they took. */
function drop(node, names) {
  for (const widget of (node.widgets ?? []).filter(one => names.includes(one.name))) {
    widget.onRemove?.()
    node.widgets.splice(node.widgets.indexOf(widget), 1)
    const [width, height] = node.size
    node.setSize?.([width, Math.max(node.computeSize?.()[1] ?? 0, height - (widget.computedHeight ?? 0))])
    node.graph?.setDirtyCanvas?.(true, true)
  }
}
