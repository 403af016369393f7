// The panel of Shot Plan: time, disk and memory of the shot as bars, and which number to lower where something does not fit.
import { addPanel, make } from './panel.js'
import { say, size, spoken } from './words.js'

const STYLE = `
  .row { display: grid; grid-template-columns: 84px 1fr; gap: 6px; align-items: center; }
  .bar { position: relative; display: flex; height: 20px; border-radius: 4px; overflow: hidden; background: var(--border-color, #4e4e4e); }
  .bar i { display: block; height: 100%; }
  .bar span { position: absolute; inset: 0; padding: 0 6px; line-height: 20px; color: #fff; text-shadow: 0 0 3px #000, 0 0 2px #000; white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
  .many { overflow: hidden; display: -webkit-box; -webkit-line-clamp: 2; -webkit-box-orient: vertical; }
`
const FITS = 'hsl(200 60% 38%)', BEFORE = 'hsl(275 40% 48%)', DECODING = 'hsl(145 40% 36%)', TOO_MUCH = 'hsl(5 70% 45%)'

/** The last figures of a node; they outlive its elements when another workflow's tab is looked at. */
const known = new Map()

/** Shows again what was known of a node that has been opened again. */
export function restorePlan(node, key) {
  if (known.has(key)) node.zoetropePlan?.(known.get(key), key)
}

export function addPlan(node) {
  const { body, onRemove } = addPanel(node, { name: 'plan', label: say('plan'), height: 142, style: STYLE })
  body.append(make('div', { class: 'line quiet' }, say('press')))
  node.zoetropePlan = (figures, key) => {
    known.set(key, figures)
    body.replaceChildren(...rows(figures))
  }
  onRemove(() => delete node.zoetropePlan)
}

/** `figures` are those of shots/plan.py. */
function rows(figures) {
  const { seconds, seconds_before: before, seconds_decoding: decoding, warnings } = figures
  const sampling = Math.max(0, seconds - before - decoding)
  const parts = [[before, BEFORE, 'first_frame'], [sampling, FITS, 'sampling'], [decoding, DECODING, 'decoding']]
  return [
    row('time', `${spoken(seconds)}, ${say('per_frame', { time: spoken(figures.seconds_per_frame) })}`, parts.map(([part, colour]) => [part / seconds, colour]), parts.map(([part, , name]) => `${say(name)}: ${spoken(part)}`).join('\n')),
    need('disk', figures.disk, figures.disk_free, 'free'),
    need('ram', figures.ram, figures.ram_total, 'of'),
    need('device', figures.device, figures.device_free, 'free'),
    warnings.length
      ? make('div', { class: 'fault many', role: 'alert', title: warnings.join('\n') }, warnings.join(' '))
      : make('div', { class: 'quiet line' }, say('together', { n: figures.windows_per_call })),
  ]
}

function need(name, used, all, words) {
  if (used == null || (!used && all == null)) return row(name, say('unknown'), [], '')
  if (all == null) return row(name, size(used), [], '')
  return row(name, say(words, { used: size(used), all: size(all) }), [[Math.min(1, used / Math.max(1, all)), used > all ? TOO_MUCH : FITS]], '')
}

function row(name, words, parts, details) {
  const bars = parts.map(([share, colour]) => {
    const part = make('i', {})
    part.style.width = `${Math.max(share > 0 ? 0.5 : 0, 100 * share)}%`
    part.style.background = colour
    return part
  })
  return make('div', { class: 'row', title: details || words }, make('span', {}, say(name)), make('div', { class: 'bar' }, ...bars, make('span', {}, words)))
}
