// filename_prefix of our output nodes takes what Save Image takes there: %date:yyyy-MM-dd%, %KSampler.seed%.

/** Has the host fill in what a prefix names, each time that a run is queued; the widget keeps what was typed. */
export function fillInPrefix(node, app) {
  const widget = node.comfyClass?.startsWith('Zoetrope') && node.widgets?.find(one => one.name === 'filename_prefix')
  if (!widget) return
  widget.serializeValue = () => globalThis.comfyAPI?.utils?.applyTextReplacements?.(app, String(widget.value)) ?? widget.value
}
