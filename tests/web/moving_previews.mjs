// What web/zoetrope/moving_previews.js shows after events: reads [[method, ...arguments], ...] as JSON, writes what the page shows after each.
import fs from 'node:fs'

const source = fs.readFileSync(process.argv[2], 'utf8')
const { MovingPreviews } = await import('data:text/javascript,' + encodeURIComponent(source))
const shown = {}
let now = 0, open = 'w'
const blobs = {}
const blob = name => (blobs[name] ??= { name })
const page = new MovingPreviews({
  draw: async (clip, frame) => blob(`${clip.image} ${frame}`),
  show: detail => {
    shown[detail.displayNodeId] = detail.blob.name
    page.still(detail) // the host's event reaches the page's listeners too
  },
  isOpen: workflow => workflow === open,
  now: () => now,
})
const events = {
  clip: (node, image, frames) => page.take({ node, image, frames, columns: 2, workflow: 'w' }),
  still: (node, name) => {
    shown[node] = name // the host's own listener comes first
    page.still({ nodeId: node, displayNodeId: node, blob: blob(name) })
  },
  tick: at => {
    now = at
    return page.tick()
  },
  'tick and end': (at, node) => {
    now = at
    const drawn = page.tick()
    page.end(node)
    return drawn
  },
  end: node => page.end(node),
  'end all': () => page.endAll(),
  'yield': node => page.yieldTo(node),
  open: workflow => {
    open = workflow
  },
}
const seen = []
for (const [event, ...given] of JSON.parse(fs.readFileSync(0, 'utf8'))) {
  await events[event](...given)
  seen.push({ ...shown })
}
process.stdout.write(JSON.stringify({ seen, held: page.clips.size + page.stills.size + page.others.size }))
