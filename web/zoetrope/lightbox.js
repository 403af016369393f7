// One frame, large, over the whole page: arrow keys go from frame to frame, Escape and a click beside it close it.
import { make } from './panel.js'
import { say } from './words.js'

export const LIGHTBOX_STYLE = `
  dialog { border: 0; padding: 12px; border-radius: 8px; background: var(--comfy-menu-bg, #222); color: var(--input-text, #ddd); max-width: 92vw; max-height: 94vh; font: 14px/1.4 Inter, system-ui, sans-serif; }
  dialog::backdrop { background: #000b; }
  dialog img { display: block; width: auto; height: 76vh; max-width: 88vw; object-fit: contain; }
  .foot { display: flex; justify-content: space-between; align-items: center; gap: 12px; padding-top: 8px; }
  .foot button { padding: 4px 12px; border-radius: 6px; border: 1px solid var(--border-color, #4e4e4e); }
`

/** Shows frame `number` of a map number -> address of a picture. The dialog lives in `panel`; the browser lifts it above the page. */
export function openLightbox(panel, frames, number) {
  const image = make('img', { alt: '' })
  const label = make('span', { role: 'status' })
  const step = by => {
    const numbers = [...frames.keys()].sort((a, b) => a - b)
    const at = numbers.indexOf(number)
    number = numbers[Math.min(Math.max(0, (at < 0 ? numbers.length - 1 : at) + by), numbers.length - 1)]
    image.src = frames.get(number)
    image.alt = label.textContent = say('frame', { n: number })
  }
  const dialog = make('dialog', {
    'aria-label': say('strip'),
    onclose: () => dialog.remove(),
    onclick: event => event.target === dialog && dialog.close(),
    onkeydown: event => {
      event.stopPropagation()
      if (event.key === 'ArrowLeft') step(-1)
      if (event.key === 'ArrowRight') step(1)
    },
  })
  const button = (name, work) => make('button', { type: 'button', onclick: work }, say(name))
  dialog.append(image, make('div', { class: 'foot' }, button('previous', () => step(-1)), label, button('next', () => step(1)), button('close', () => dialog.close())))
  panel.append(dialog)
  step(0)
  dialog.showModal()
}
