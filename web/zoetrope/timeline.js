// The panel of Prompt Timeline: its text as bars. What is dragged changes numbers in the text; the text stays the source of truth.
import { app } from '../../../scripts/app.js'
import { huesOf } from './hues.js'
import { addPanel, follow, make } from './panel.js'
import { addCue, limitsOf, moveCut, readTimeline, removeCue, setFade } from './timeline_text.js'
import { say } from './words.js'

const STYLE = `
  .track { position: relative; flex: 1; min-height: 34px; touch-action: none; border-radius: 4px; }
  .bar { position: absolute; top: 0; bottom: 0; box-sizing: border-box; padding: 12px 2px 0 8px; border-left: 2px solid var(--comfy-input-bg, #222); border-radius: 4px; color: #fff; overflow: hidden; white-space: nowrap; text-overflow: ellipsis; cursor: text; text-shadow: 0 1px 2px #0009; }
  .cut, .fade { z-index: 1; }
  .cut { position: absolute; top: 0; bottom: 0; width: 8px; margin-left: -3px; cursor: ew-resize; }
  .cut::after { content: ''; position: absolute; left: 3px; top: 0; bottom: 0; width: 2px; background: var(--input-text, #ddd); }
  .fade { position: absolute; top: 1px; width: 10px; height: 10px; margin-left: 3px; box-sizing: border-box; border-radius: 50%; background: #fff; border: 2px solid #333; cursor: ew-resize; }
  .ruler { position: relative; height: 13px; }
  .ruler span { position: absolute; transform: translateX(-50%); }
  .ruler span:first-child { transform: none; }
  .ruler span:last-child { transform: translateX(-100%); }
`
const LONG = ['ZoetropeEndlessShot', 'ZoetropeShotPlan', 'ZoetropeFifoSampler']

export function addTimeline(node) {
  const text = node.widgets?.find(widget => widget.name === 'text')
  if (!text) return
  const panel = addPanel(node, { name: 'timeline', label: say('timeline'), height: 82, style: STYLE })
  const timeline = new Timeline(node, text, panel.body)
  panel.onRemove(follow(node, () => `${linked(node, 'text')}\n${text.value}\n${shotLength(node)}`, () => timeline.show()))
}

class Timeline {
  constructor(node, text, body) {
    Object.assign(this, { node, text, bars: [], cuts: [], fades: [], held: null })
    this.track = make('div', { class: 'track', ondblclick: event => this.add(event) })
    this.ruler = make('div', { class: 'ruler quiet' })
    this.line = make('div', { class: 'line quiet', role: 'status' })
    body.append(this.track, this.ruler, this.line)
  }

  show() {
    const elsewhere = linked(this.node, 'text')
    const { cues, fault } = elsewhere ? { cues: [], fault: null } : readTimeline(String(this.text.value ?? ''))
    this.cues = cues
    if (this.held === null) this.length = Math.max(shotLength(this.node) ?? 0, 1, ...cues.map(cue => Math.ceil((cue.frame + cue.fade) * 1.2)))
    const colours = huesOf(cues.map(cue => cue.said))
    this.bars = sized(this.bars, cues.length, at => this.bar(at))
    this.cuts = sized(this.cuts, cues.length - 1, at => this.handle('cut', at + 1))
    this.fades = sized(this.fades, cues.length - 1, at => this.handle('fade', at + 1))
    cues.forEach((cue, at) => this.place(cue, at, colours))
    this.mark()
    this.tell(fault, elsewhere)
  }

  place(cue, at, colours) {
    const end = Math.max(cue.frame, this.cues[at + 1]?.frame ?? this.length)
    const bar = this.bars[at]
    bar.style.left = this.at(cue.frame)
    bar.style.width = this.at(end - cue.frame)
    bar.style.background = cue.fade ? `linear-gradient(to right, ${colours[at - 1]}, ${colours[at]} ${Math.min(100, (100 * cue.fade) / Math.max(1, end - cue.frame))}%)` : colours[at]
    bar.textContent = bar.title = cue.said || say('nothing')
    if (!at) return
    const limits = limitsOf(this.cues, at)
    const [cut, fade] = [this.cuts[at - 1], this.fades[at - 1]]
    cut.style.left = this.at(cue.frame)
    fade.style.left = this.at(Math.min(this.length, cue.frame + cue.fade))
    told(cut, say('cut', { n: cue.frame, said: cue.said }), cue.frame, limits.from, limits.to)
    told(fade, say('fade', { n: cue.fade, said: cue.said }), cue.fade, 0, limits.longest)
  }

  mark() {
    const step = [1, 2, 4, 8, 12, 16, 24, 48, 96, 192, 480, 960, 4800, 9600, 96000, 960000, 1e7].find(one => this.length / one <= 8) ?? 1e8
    const marks = Array.from({ length: Math.ceil(this.length / step) }, (_, at) => at * step).filter(frame => frame < this.length * 0.93)
    this.ruler.replaceChildren(...[...marks, this.length].map(frame => {
      const mark = make('span', {}, String(frame))
      mark.style.left = this.at(frame)
      return mark
    }))
  }

  tell(fault, elsewhere) {
    const words = fault && say('where', { ...fault, fault: say(fault.code === 'fade' ? 'overlap' : fault.code, fault) })
    this.line.className = fault ? 'line fault' : 'line quiet'
    this.line.textContent = this.line.title = words || say(elsewhere ? 'linked' : 'hint')
  }

  bar(at) {
    return this.track.appendChild(make('div', { class: 'bar', onclick: () => this.choose(at) }))
  }

  /** A handle for cue `at`: dragged, or moved with the arrow keys, Page Up and Down, Home and End. */
  handle(kind, at) {
    return this.track.appendChild(make('div', {
      class: kind, role: 'slider', tabindex: 0,
      onpointerdown: event => this.hold(event, kind, at), onpointermove: event => this.drag(event), onpointerup: () => this.drop(), onpointercancel: () => this.drop(),
      ondblclick: event => event.stopPropagation(), onkeydown: event => this.press(event, kind, at),
    }))
  }

  hold(event, kind, at) {
    if (event.button) return
    event.stopPropagation()
    event.preventDefault()
    event.currentTarget.focus()
    event.currentTarget.setPointerCapture(event.pointerId)
    app.canvas?.emitBeforeChange?.()
    this.held = { kind, at, from: event.clientX, value: kind === 'cut' ? this.cues[at].frame : this.cues[at].fade }
  }

  drag(event) {
    if (this.held === null) return
    const frames = ((event.clientX - this.held.from) / this.track.getBoundingClientRect().width) * this.length
    this.set(this.held.kind, this.held.at, this.held.value + frames)
  }

  drop() {
    if (this.held === null) return
    this.held = null
    this.show()
    app.canvas?.emitAfterChange?.()
    this.node.graph?.setDirtyCanvas?.(true, true)
  }

  press(event, kind, at) {
    const cue = this.cues[at]
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowDown: -1, ArrowUp: 1, PageDown: -8, PageUp: 8 }
    const limits = limitsOf(this.cues, at)
    const [value, ends] = kind === 'cut' ? [cue.frame, { Home: limits.from, End: Math.min(limits.to, this.length) }] : [cue.fade, { Home: 0, End: Math.min(limits.longest, this.length - cue.frame) }]
    if (event.key in steps) this.set(kind, at, value + steps[event.key] * (event.shiftKey ? 8 : 1))
    else if (event.key in ends) this.set(kind, at, ends[event.key])
    else if (['Delete', 'Backspace'].includes(event.key)) this.remove(kind, at)
    else return
    event.preventDefault()
    event.stopPropagation()
  }

  set(kind, at, value) {
    this.write((kind === 'cut' ? moveCut : setFade)(this.text.value, at, value))
  }

  /** Delete takes a prompt away, or makes a cut of its fade. The focus stays on the nearest handle. */
  remove(kind, at) {
    if (kind === 'fade') return this.set(kind, at, 0)
    this.write(removeCue(this.text.value, at))
    this.cuts[Math.min(at, this.cuts.length) - 1]?.focus()
  }

  add(event) {
    event.stopPropagation()
    if (linked(this.node, 'text')) return
    const box = this.track.getBoundingClientRect()
    const added = addCue(String(this.text.value ?? ''), Math.round(((event.clientX - box.left) / box.width) * this.length))
    if (!added) return
    this.write(added.text)
    this.select(added.at, added.at)
  }

  choose(at) {
    const { start, end, frameAt } = this.cues[at]
    const words = String(this.text.value).slice(frameAt?.[1] ?? start, end)
    const skipped = frameAt ? /^\s*:\s*/.exec(words)[0].length : 0
    const from = (frameAt?.[1] ?? start) + skipped
    this.select(from, Math.max(from, this.cues[at].fadeAt?.[0] ?? end))
  }

  /** Puts the caret into the text, as soon as the field has it: the newer renderer has a field of its own, which follows the value. */
  select(from, to, tries = 20) {
    const field = [this.text.element, this.text.inputEl, ...document.querySelectorAll(`[data-node-id="${this.node.id}"] textarea`)].find(one => one?.isConnected)
    if (field?.value !== this.text.value) return tries && setTimeout(() => this.select(from, to, tries - 1), 25)
    field.focus()
    field.setSelectionRange(from, to)
  }

  write(text) {
    if (text === this.text.value) return
    if (this.held === null) app.canvas?.emitBeforeChange?.() // a drag is one step of undo, and so is a key
    this.text.value = text
    this.text.callback?.(text)
    this.show()
    if (this.held === null) app.canvas?.emitAfterChange?.()
  }

  at(frame) {
    return `${(100 * frame) / this.length}%`
  }
}

function sized(elements, count, makeOne) {
  const wanted = Math.max(0, count)
  elements.slice(wanted).forEach(element => element.remove())
  return Array.from({ length: wanted }, (_, at) => elements[at] ?? makeOne(at))
}

function told(element, words, now, least, most) {
  element.title = words
  for (const [name, value] of Object.entries({ label: words, valuenow: now, valuemin: least, valuemax: most })) element.setAttribute(`aria-${name}`, value)
}

/** Whether a widget's value comes over a link, so that what stands in it does not count. */
const linked = (node, name) => node.inputs?.some(input => input.widget?.name === name && input.link != null) ?? false

/** The frames of the long shot that a node's output ends in, through other nodes as well; null where there is none. */
function shotLength(node) {
  let reached = [node]
  for (let depth = 0; depth < 6 && reached.length; depth++) {
    const next = reached.flatMap(one => (one.outputs ?? []).flatMap((_, slot) => one.getOutputNodes?.(slot) ?? []))
    const shot = next.find(one => LONG.includes(one.comfyClass))
    if (shot) return linked(shot, 'frames') ? null : Number(shot.widgets?.find(widget => widget.name === 'frames')?.value) || null
    reached = [...new Set(next)]
  }
  return null
}
