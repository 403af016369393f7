// Removes a node's last preview and its line of progress, which the host leaves there after a run.
import { app } from '../../../scripts/app.js'

const PREVIEWS = ['$$comfy_animation_preview', '$$canvas-image-preview'], LINE = ['$$node-text-preview']

/** Removes the last preview of a node. At once, before the newer renderer reads its address as that of the video; and later, because a preview may still be loading. */
export function forgetPreview(node) {
  clear(node)
  for (const wait of [0, 300, 1200]) setTimeout(() => clear(node), wait)
}

/** Removes the line of progress, whose remaining time is wrong after an interrupt. */
export function forgetLine(node) {
  drop(node, LINE)
}

function clear(node) {
  const locator = node.graph?.isRootGraph === false ? `${node.graph.id}:${node.id}` : String(node.id)
  const store = app.extensionManager?._p?._s?.get?.('nodeOutput') // what the newer renderer draws from; no public way leads there
  const stale = app.nodePreviewImages?.[locator]?.length
  store?.revokePreviewsByLocatorId?.(locator)
  delete app.nodePreviewImages?.[locator]
  if (stale) store?.refreshNodeOutputs?.(node) // the addresses on the page are computed again only when outputs change
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
