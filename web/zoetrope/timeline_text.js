// The text of a prompt timeline, as sampling/timeline.py reads it, with the places of its numbers; edits change only those.
//
//   0: a red circle / 48: a blue square ~12
//   always: film grain
//
// Indices and spans count UTF-16 units, as textareas and string.slice do.

export const LONGEST_TEXT = 100_000, MOST_CUES = 1_000, LAST_FRAME = 100_000_000

const BORDER = /\n|(?<=\s)\/(?=\s)/g
const ALWAYS = /^[Aa]lways\s*:/
const HEAD = /^([0-9]+)\s*:/, FADE = /\s~\s*([0-9]+)$/
// Notations of other tools, which would otherwise be one long prompt: frames in quotes, fractions, entries that run on.
const QUOTED = /^[{\s]*["'][0-9]+["']\s*:/, NO_FRAME = /^(?:-\s*[0-9]+|-?[0-9]*\.[0-9]+)\s*:/, RUN_ON = /[,;|/]\s*[0-9]+\s*:(?!\s*[0-9])/

/**
 * {cues: [{frame, said, fade, start, end, after, frameAt, fadeAt}], fault}: the cues up to the first fault {code, line, column, ...}.
 * after: end of the entry before the cue's; said: with the text of the `always:` entry.
 */
export function readTimeline(text) {
  const result = { cues: [], fault: null }
  const entries = split(text).filter(entry => entry.text.trim())
  if ([...text].length > LONGEST_TEXT) return { ...result, fault: { code: 'long', line: 1, column: 1, most: LONGEST_TEXT } }
  if (entries.length > MOST_CUES) return { ...result, fault: { code: 'many', line: 1, column: 1, most: MOST_CUES } }
  const own = entries.filter(entry => !ALWAYS.test(entry.text.trim()))
  const alone = own.length === 1 && !HEAD.test(own[0].text.trim())
  let base = '', after = 0
  for (const entry of entries) {
    const at = entry.start + entry.text.length - entry.text.trimStart().length
    const always = ALWAYS.exec(entry.text.trim())
    const cue = always ? { frameAt: null } : alone ? wholeOf(entry) : cueOf(entry)
    const fault = otherNotation(text, at, entry.text.trim()) ?? (cue?.frameAt === null ? null : faultOf(cue, result.cues.at(-1), entry))
    const words = always ? entry.text.trim().slice(always[0].length).trim() : ''
    const wrong = fault ?? (always && (!words ? { code: 'alwaysEmpty' } : base && { code: 'alwaysTwice' }))
    if (wrong) return { ...result, fault: { ...wrong, ...placeOf(text, at + (wrong.offset ?? 0)) } }
    if (always) base = words
    else result.cues.push({ ...cue, after })
    after = entry.start + entry.text.length
  }
  if (!own.length) result.cues.push({ ...wholeOf({ start: 0, text: '' }), after: 0, empty: entries.length > 0 })
  if (base) for (const cue of result.cues) cue.said = cue.said ? `${cue.said}, ${base}` : base
  return result
}

/** The frames that a cue's own frame may be moved to, and that its fade may take: {from, to, longest}. */
export function limitsOf(cues, index) {
  const [before, cue, after] = [cues[index - 1], cues[index], cues[index + 1]]
  if (!before) return { from: 0, to: 0, longest: 0 }
  return {
    from: before.frame + Math.max(1, before.fade),
    to: after ? after.frame - Math.max(1, cue.fade) : LAST_FRAME,
    longest: after ? after.frame - cue.frame : LAST_FRAME,
  }
}

/** The text with cue `index` at another frame, as near to `frame` as its neighbours let it come. */
export function moveCut(text, index, frame) {
  const { cues } = readTimeline(text)
  const { from, to } = limitsOf(cues, index)
  return put(text, cues[index].frameAt, String(clamp(frame, from, to)))
}

/** The text with cue `index` fading in over `frames` frames, as far as there is room; 0 is a hard cut. */
export function setFade(text, index, frames) {
  const { cues } = readTimeline(text)
  const fade = clamp(frames, 0, limitsOf(cues, index).longest)
  const changed = put(text, cues[index].fadeAt, fade ? ` ~${fade}` : '')
  const same = readTimeline(changed).cues.map(cue => cue.said).join('\n') === cues.map(cue => cue.said).join('\n')
  return same ? changed : text // words that end in a slash of their own would fall apart
}

/** {text, at}: the text with an empty cue at a frame, and where its words go; null where there is one or a fade runs. */
export function addCue(text, frame) {
  const { cues, fault } = readTimeline(text)
  if (fault || frame < 1 || cues[0].empty) return null
  const before = cues.filter(cue => cue.frame <= frame).at(-1)
  if (before && (before.frame === frame || frame < before.frame + before.fade)) return null
  const numbered = before?.frameAt ? text : put(text, [before?.start ?? 0, before?.start ?? 0], '0: ')
  const end = (before?.end ?? 0) + numbered.length - text.length
  const added = `${text.includes('\n') || !/\s\/\s/.test(text) ? '\n' : ' / '}${frame}: `
  const rest = numbered.slice(end)
  return { text: numbered.slice(0, end).trimEnd() + added + (/^\s*$/.test(rest) || /^\s/.test(rest) ? rest : ` ${rest}`), at: numbered.slice(0, end).trimEnd().length + added.length }
}

/** The text without cue `index`; the first one stays. */
export function removeCue(text, index) {
  const { cues } = readTimeline(text)
  if (index < 1) return text
  return put(text, [cues[index].after, cues[index].end], text[cues[index].end] === '/' ? ' ' : '')
}

function split(text) {
  const borders = [[0, 0], ...[...text.matchAll(BORDER)].map(found => [found.index, found.index + found[0].length]), [text.length, text.length]]
  return borders.slice(1).map((border, number) => ({ start: borders[number][1], text: text.slice(borders[number][1], border[0]) }))
}

/** A text without a frame number: one prompt for the whole shot. */
function wholeOf({ start, text }) {
  return { frame: 0, said: text.trim(), fade: 0, start, end: start + text.length, frameAt: null, fadeAt: null }
}

function cueOf({ start, text }) {
  const body = text.trim()
  const head = HEAD.exec(body)
  if (!head) return null
  const rest = body.slice(head[0].length)
  const fade = FADE.exec(rest)
  const said = fade ? rest.slice(0, fade.index) : rest
  const from = start + text.length - text.trimStart().length
  const words = from + head[0].length + said.trimEnd().length
  return {
    frame: Number(head[1].slice(0, 12)), said: said.trim(), fade: Number((fade?.[1] ?? '0').slice(0, 12)), start, end: start + text.length,
    frameAt: [from, from + head[1].length], fadeAt: [words, fade ? from + body.length : words],
  }
}

function otherNotation(text, at, entry) {
  if (QUOTED.test(text.slice(at))) return { code: 'quoted' }
  if (NO_FRAME.test(entry)) return { code: 'whole', got: entry.slice(0, 40) }
  const found = RUN_ON.exec(entry)
  return found && { code: 'separator', offset: found.index, got: entry.slice(found.index, found.index + 40) }
}

function faultOf(cue, last, entry) {
  if (!cue) return { code: 'entry', got: entry.text.trim().slice(0, 40) }
  if (Math.max(cue.frame, cue.fade) > LAST_FRAME) return { code: 'far', most: LAST_FRAME, got: Math.max(cue.frame, cue.fade) }
  if (!last) return cue.frame || cue.fade ? { code: 'first', got: entry.text.trim().slice(0, 40) } : null
  if (cue.frame <= last.frame) return { code: 'order', after: last.frame, got: cue.frame }
  if (cue.frame < last.frame + last.fade) return { code: 'fade', fade: last.fade, start: last.frame, got: cue.frame, over: last.frame + last.fade }
  return null
}

function placeOf(text, at) {
  const before = text.slice(0, at).split('\n')
  return { line: before.length, column: [...before.at(-1)].length + 1 }
}

const put = (text, [from, to], words) => text.slice(0, from) + words + text.slice(to)
const clamp = (value, low, high) => Math.min(Math.max(Math.round(value), low), high)
