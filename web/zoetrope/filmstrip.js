// The panel of Endless Shot and Live Shot: their frames as they are finished, what is left, and whether it goes on from an earlier run.
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

const MOST_REELS = 8

/** What is known of the shots of this page's nodes, by workflow and node; it outlives the elements when another tab is looked at. */
const reels = new Map()

/** Adds the strip to an Endless Shot. */
export function addFilmstrip(node) {
  const panel = addPanel(node, { name: 'filmstrip', label: say('strip'), height: 124, style: STYLE + LIGHTBOX_STYLE })
  node.zoetropeFilmstrip = new Filmstrip(panel.body)
  panel.onRemove(() => delete node.zoetropeFilmstrip)
}

/** Shows again what was known of a node that has been opened again. */
export function restoreFilmstrip(node, key) {
  if (reels.has(key)) node.zoetropeFilmstrip?.play(reels.get(key), true)
}

/** A message of hosts/comfyui/shot/filmstrip.py or live/panel.py, or of the page itself: {kind: "stopped" | "failed"}. `node` is null while it is out of sight. */
export function tellFilmstrip(node, key, message, most) {
  const reel = take(reels.get(key) ?? { frames: new Map() }, message, most)
  reels.delete(key) // the newest ones are the last ones
  reels.set(key, reel)
  while (reels.size > MOST_REELS) reels.delete(reels.keys().next().value)
  node?.zoetropeFilmstrip?.play(reel, ['open', 'look'].includes(message.kind))
}

/** What is known after a message: {frames, folder, frame, total, state, news}. */
function take(reel, message, most) {
  if (message.kind === 'open') {
    const kept = reel.folder === message.folder ? [...reel.frames].filter(([number]) => number < message.resumed) : []
    return { frames: new Map(kept), folder: message.folder, frame: message.resumed, total: message.frames, state: message, news: message.news }
  }
  if (message.kind === 'look') addFrame(reel.frames, message, most)
  else if (message.kind === 'live') Object.assign(reel, { frame: message.frame, total: message.frame, state: message })
  else if (message.kind === 'frame') Object.assign(reel, { frame: message.frame, total: message.frames, state: message })
  else if (!['stopped', 'failed'].includes(message.kind)) reel.state = message
  else if (['open', 'base', 'frame', 'live'].includes(reel.state?.kind)) reel.state = { ...message, after: reel.state.kind }
  return reel
}

function addFrame(frames, { number, picture }, most) {
  if (/^[A-Za-z0-9+/=]+$/.test(picture)) frames.set(Number(number), `data:image/jpeg;base64,${picture}`)
  for (const oldest of [...frames.keys()].sort((a, b) => a - b).slice(0, Math.max(0, frames.size - most))) frames.delete(oldest)
}

class Filmstrip {
  constructor(body) {
    this.shown = new Map()
    this.head = make('div', { class: 'line quiet', role: 'status' }, say('waiting'))
    this.bar = make('div', {})
    this.progress = make('div', { class: 'bar', role: 'progressbar', 'aria-label': say('strip'), 'aria-valuemin': 0, 'aria-valuemax': 100 }, this.bar)
    this.strip = make('div', { class: 'strip' })
    body.append(this.head, this.progress, this.strip)
  }

  play(reel, laid) {
    const { words, share, fault } = describe(reel)
    this.head.className = fault ? 'line fault' : 'line'
    this.head.setAttribute('aria-live', ['base', 'frame', 'live'].includes(reel.state?.kind) ? 'off' : 'polite')
    this.head.textContent = this.head.title = words
    this.bar.style.width = `${100 * share}%`
    this.progress.setAttribute('aria-valuenow', Math.round(100 * share))
    if (laid) this.lay(reel.frames)
  }

  lay(frames) {
    this.frames = frames
    const followed = this.strip.scrollLeft + this.strip.clientWidth >= this.strip.scrollWidth - 8
    const numbers = [...frames.keys()].sort((a, b) => a - b)
    for (const [number, thumb] of this.shown) if (!frames.has(number)) this.shown.delete(number), thumb.remove()
    for (const number of numbers) {
      const thumb = this.shown.get(number) ?? this.thumb(number)
      if (thumb.address !== frames.get(number)) thumb.firstChild.src = thumb.address = frames.get(number)
    }
    const earlier = numbers[0] ? [make('span', { class: 'earlier quiet' }, say('earlier', { n: numbers[0] }))] : []
    const wanted = [...earlier, ...numbers.map(number => this.shown.get(number))]
    this.strip.querySelector('.earlier')?.remove()
    wanted.forEach((element, at) => this.strip.children[at] === element || this.strip.insertBefore(element, this.strip.children[at] ?? null))
    if (followed) this.strip.scrollLeft = this.strip.scrollWidth
  }

  thumb(number) {
    const words = say('enlarge', { n: number })
    const thumb = make('button', { type: 'button', title: words, 'aria-label': words, onclick: () => openLightbox(this.strip.parentNode, this.frames, number) }, make('img', { alt: '' }), make('span', { class: 'quiet' }, String(number)))
    this.shown.set(number, thumb)
    return thumb
  }
}

/** A reel's state: {words, share of the shot that is done, fault}. */
function describe({ state, folder, frame = 0, total, news = [] }) {
  const share = total ? Math.min(1, Math.max(0, frame / total)) : 0
  const frames = total ?? '?'
  switch (state?.kind) {
    case 'open':
      if (state.news.length) return { words: say('fresh', { folder, news: state.news.join(', ') }), share: 0 }
      return { words: state.resumed ? `${folder}: ${say('resumed', { n: state.resumed })}` : folder, share }
    case 'base': return { words: say('base', state), share: 0 }
    case 'frame': return { words: [frame > 0 ? say('filming', { frame, frames }) : say('warming', { n: 1 - frame }), ...(state.left ? [say('left', { time: spoken(state.left) })] : [])].join(', '), share }
    case 'live': return { words: say('live', { frame, fps: state.fps.toFixed(1), delay: state.delay.toFixed(2), dropped: state.dropped }), share: 0 }
    case 'stopped': return { words: say(frame > 0 ? 'stopped' : state.after === 'base' ? 'again' : 'early', { frame, frames }), share }
    case 'failed': return { words: say('failed', { frame: Math.max(0, frame), frames }), share, fault: true }
    case 'done': {
      const words = say(state.resumed >= state.frames ? 'there' : state.resumed ? 'after' : 'done', { frames: state.frames, n: state.resumed })
      return { words: news.length ? `${words} ${say('fresh', { folder, news: news.join(', ') })}` : words, share: 1 }
    }
    default: return { words: say('waiting'), share: 0 }
  }
}
