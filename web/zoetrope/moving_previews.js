// Moving previews: while a clip is sampled, the host's preview on the node, its first frame, is replaced by the clip's frames in turn.
// Each frame is passed to the page as a preview of the host, so both renderers, subgraphs and the queue show it as they show those.

const MILLISECONDS = 125
const SIDE = 512 // as large as the host's own previews

/** Clips that are being sampled, by the execution id of their node. `draw(clip, frame)` promises a blob, `show(detail)` is a preview of the host. */
export class MovingPreviews {
  constructor({ draw, show, isOpen, now = () => performance.now() }) {
    Object.assign(this, { draw, show, isOpen, now, clips: new Map(), stills: new Map(), others: new Set(), own: new WeakSet() })
  }

  /** A clip of hosts/comfyui/previews.py, with its sheet as an image. */
  take({ node, workflow, frames, columns, image }) {
    if (this.others.has(node)) return
    this.clips.set(node, Object.assign(this.clips.get(node) ?? {}, { workflow, frames, columns, image }))
  }

  /** A preview of the host, replaced by the newest frame of the clip before the page is drawn. It is kept until the node has finished. */
  still(detail) {
    if (this.own.has(detail.blob)) return
    this.stills.set(detail.nodeId, detail)
    const clip = this.clips.get(detail.nodeId)
    if (clip?.blob) this.put(detail.nodeId, clip)
  }

  put(node, clip) {
    const still = this.stills.get(node)
    if (!still || !this.isOpen(clip.workflow)) return
    this.own.add(clip.blob)
    this.show({ ...still, blob: clip.blob })
  }

  /** Shows the frame of this moment on every node. */
  async tick() {
    const frame = Math.floor(this.now() / MILLISECONDS)
    await Promise.all([...this.clips].map(async ([node, clip]) => {
      const blob = await this.draw(clip, frame % clip.frames)
      if (!blob || this.clips.get(node) !== clip) return // the node has finished meanwhile
      clip.blob = blob
      this.put(node, clip)
    }))
  }

  /** The node has finished: shows the host's last preview again. */
  end(node) {
    const [clip, still] = [this.clips.get(node), this.stills.get(node)]
    this.clips.delete(node)
    this.stills.delete(node)
    if (!clip?.blob || !still || !this.isOpen(clip.workflow)) return
    this.own.add(still.blob)
    this.show(still)
  }

  endAll() {
    for (const node of [...this.clips.keys()]) this.end(node)
    this.stills.clear()
    this.others.clear()
  }

  /** Leaves the node to another pack that plays its clip. */
  yieldTo(node) {
    this.others.add(node)
    this.end(node)
  }
}

/** Connects the host's events. `on()`: whether the setting is on; `nodeOf(id)`: the node of an execution id. */
export function watchPreviews({ api, app, on, openWorkflow, nodeOf }) {
  const show = detail => {
    const before = app.nodePreviewImages?.[locatorOf(nodeOf(detail.displayNodeId))] ?? []
    api.dispatchCustomEvent('b_preview_with_metadata', detail)
    for (const address of before) URL.revokeObjectURL(address) // older frontends keep every preview
    app.canvas?.setDirty(true, false)
  }
  const previews = new MovingPreviews({ draw: drawer(), show, isOpen: workflow => workflow === openWorkflow() })
  let timer = null
  const settle = () => {
    if (previews.clips.size) timer ??= setInterval(() => previews.tick(), MILLISECONDS)
    else {
      clearInterval(timer)
      timer = null
    }
  }
  let run = 0, states = {}
  const isRunning = node => (states[node]?.state ?? 'running') === 'running'
  const listen = (names, work) => [names].flat().forEach(name => api.addEventListener(name, ({ detail }) => (work(detail), settle())))
  listen('zoetrope.preview', async message => {
    const started = run
    const image = on() && (await loaded(message.sheet))
    if (!on()) previews.end(message.node)
    else if (image && started === run && isRunning(message.node)) previews.take({ ...message, image })
    settle()
  })
  listen('b_preview_with_metadata', detail => previews.still(detail))
  listen('VHS_latentpreview', ({ id }) => previews.yieldTo(String(id)))
  listen('progress_state', ({ nodes }) => {
    states = nodes
    for (const node of [...previews.clips.keys()]) if (!isRunning(node)) previews.end(node)
  })
  listen(['execution_start', 'execution_success', 'execution_error', 'execution_interrupted'], () => {
    run++
    states = {}
    previews.endAll()
  })
}

const locatorOf = node => (node?.graph?.isRootGraph === false ? `${node.graph.id}:${node.id}` : String(node?.id))

async function loaded(sheet) {
  if (!/^[A-Za-z0-9+/=]+$/.test(sheet)) return null
  const image = new Image()
  image.src = `data:image/jpeg;base64,${sheet}`
  await image.decode()
  return image
}

/** A function that promises a frame of a clip's sheet as a JPEG, enlarged. */
function drawer() {
  const canvas = document.createElement('canvas')
  return ({ image, frames, columns }, frame) => {
    const [width, height] = [image.naturalWidth / columns, image.naturalHeight / Math.ceil(frames / columns)]
    const scale = SIDE / Math.max(width, height)
    canvas.width = Math.max(1, Math.round(width * scale))
    canvas.height = Math.max(1, Math.round(height * scale))
    const [column, row] = [frame % columns, Math.floor(frame / columns)]
    canvas.getContext('2d').drawImage(image, column * width, row * height, width, height, 0, 0, canvas.width, canvas.height)
    return new Promise(made => canvas.toBlob(made, 'image/jpeg', 0.9))
  }
}
