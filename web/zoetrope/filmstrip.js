// The panel of Endless Shot: its frames as they are finished, what is left, and whether it goes on from an earlier run.
import { LIGHTBOX_STYLE, openLightbox } from './lightbox.js'
import { addPanel, make } from './panel.js'
import { say, spoken } from './words.js'

const STYLE = `
  .strip { display: flex; gap: 4px; overflow-x: auto; flex: 1; align-items: stretch; scrollbar-width: thin; overscroll-behavior: contain; }
  .strip button { flex: none; display: flex; flex-direction: column; align-items: center; width: 62px; }
  .strip img { width: 62px; height: 62px; object-fit: contain; border-radius: 3px; background: #0006; }
  .strip .earlier { flex: none; align-self: center; max-width: 62px; text-align: center; }
  .bar { height: 3px; border-radius: 2px; background: var(--border-color, #4e4e4e); }
  .bar div { height: 100%; width: 0; border-radius: 2px; background: var(--p-primary-color, #3b82f6); }
`

/** What is known of the shot of one node; it outlives the node's elements when another workflow's tab is looked at. */
const reels = new Map()

/** Adds the strip to an Endless Shot. */
export function addFilmstrip(node) {
  const panel = addPanel(node, { name: 'filmstrip', label: say('strip'), height: 124, style: STYLE + LIGHTBOX_STYLE })
  node.zoetropeFilmstrip = new Filmstrip(panel.body)
  panel.onRemove(() => delete node.zoetropeFilmstrip)
}

/** Shows again what was known of a node that has been opened again. */
export function restore(node, key) {
  if (node.zoetropeFilmstrip && reels.has(key)) node.zoetropeFilmstrip.play(reels.get(key))
}

/** A message of hosts/comfyui_strip.py, or of the page itself: {kind: "stopped" | "failed"}. The node may be out of sight. */
export function tellFilmstrip(node, key, message, keep) {
  const reel = reels.get(key) ?? { frames: new Map(), state: null }
  if (message.kind === 'open') reels.set(key, { frames: continued(reel, message) ? reel.frames : new Map(), state: message, folder: message.folder, frame: message.resumed })
  else reels.set(key, reel)
  const now = reels.get(key)
  if (message.kind === 'look') take(now.frames, message, keep())
  else if (['stopped', 'failed'].includes(message.kind)) now.state = running(now) ? { ...message, frame: now.frame ?? 0, frames: now.total } : now.state
  else if (message.kind !== 'open') now.state = message
  if (message.kind === 'frame') Object.assign(now, { frame: message.frame, total: message.frames })
  node?.zoetropeFilmstrip?.play(now)
}

const continued = (reel, message) => reel.folder === message.folder
const running = reel => ['open', 'base', 'frame'].includes(reel.state?.kind)

function take(frames, { number, picture }, most) {
  if (/^[A-Za-z0-9+/=]+$/.test(picture)) frames.set(Number(number), `data:image/jpeg;base64,${picture}`)
  for (const oldest of [...frames.keys()].sort((a, b) => a - b).slice(0, Math.max(0, frames.size - most))) frames.delete(oldest)
}

class Filmstrip {
  constructor(body) {
    this.shown = new Map()
    this.head = make('div', { class: 'line quiet', role: 'status' }, say('waiting'))
    this.bar = make('div', {})
    this.strip = make('div', { class: 'strip', role: 'list' })
    body.append(this.head, make('div', { class: 'bar', 'aria-hidden': 'true' }, this.bar), this.strip)
  }

  play(reel) {
    const { words, share, fault } = describe(reel)
    this.head.className = fault ? 'line fault' : 'line'
    this.head.textContent = this.head.title = words
    this.bar.style.width = `${100 * share}%`
    this.lay(reel.frames)
  }

  lay(frames) {
    const followed = this.strip.scrollLeft + this.strip.clientWidth >= this.strip.scrollWidth - 8
    const numbers = [...frames.keys()].sort((a, b) => a - b)
    for (const [number, thumb] of this.shown) if (!frames.has(number)) this.shown.delete(number), thumb.remove()
    for (const number of numbers) {
      const thumb = this.shown.get(number) ?? this.thumb(number, frames)
      const image = thumb.querySelector('img')
      if (image.src !== frames.get(number)) image.src = frames.get(number)
    }
    const earlier = numbers[0] ? [make('span', { class: 'earlier quiet' }, say('earlier', { n: numbers[0] }))] : []
    const wanted = [...earlier, ...numbers.map(number => this.shown.get(number))]
    this.strip.querySelector('.earlier')?.remove()
    wanted.forEach((element, at) => this.strip.children[at] === element || this.strip.insertBefore(element, this.strip.children[at] ?? null))
    if (followed) this.strip.scrollLeft = this.strip.scrollWidth
  }

  thumb(number, frames) {
    const words = say('enlarge', { n: number })
    const thumb = make('button', { type: 'button', role: 'listitem', title: words, 'aria-label': words, onclick: () => openLightbox(this.strip.parentNode, frames, number) }, make('img', { alt: '' }), make('span', { class: 'quiet' }, String(number)))
    this.shown.set(number, thumb)
    return thumb
  }
}

/** A reel's state: {words, share of the shot that is done, fault}. */
function describe({ state, frame = 0, total }) {
  const share = total ? Math.min(1, Math.max(0, frame / total)) : 0
  switch (state?.kind) {
    case 'open':
      if (state.news.length) return { words: say('fresh', { folder: state.folder, news: state.news.join(', ') }), share: 0 }
      return { words: state.resumed ? `${state.folder}: ${say('resumed', { n: state.resumed })}` : state.folder, share }
    case 'base': return { words: say('base', state), share: 0 }
    case 'frame': return { words: [frame > 0 ? say('filming', { frame, frames: total }) : say('warming', { n: 1 - frame }), ...(state.left ? [say('left', { time: spoken(state.left) })] : [])].join(', '), share }
    case 'stopped': return { words: say(frame > 0 ? 'stopped' : 'early', { frame, frames: total }), share }
    case 'failed': return { words: say('failed', { frame: Math.max(0, frame), frames: total ?? '?' }), share, fault: true }
    case 'done': return { words: state.story, share: 1 }
    default: return { words: say('waiting'), share: 0 }
  }
}
