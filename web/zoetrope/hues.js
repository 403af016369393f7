// Colours of a timeline's bars: the first colour that a prompt names, else greys that name none.

const NAMED = {
  red: '0 60% 42%', orange: '28 75% 42%', brown: '24 40% 30%', yellow: '48 75% 38%', green: '130 45% 34%', cyan: '185 60% 34%', teal: '178 50% 30%',
  blue: '215 60% 46%', purple: '275 42% 46%', violet: '275 42% 46%', magenta: '310 55% 42%', pink: '340 55% 55%', white: '0 0% 62%', black: '0 0% 18%',
  grey: '0 0% 42%', gray: '0 0% 42%',
}
const WORDS = new RegExp(`\\b(${Object.keys(NAMED).join('|')})\\b`, 'i')
const NEUTRAL = ['215 12% 36%', '215 12% 46%', '215 12% 28%', '215 12% 54%']

/** A colour for each prompt; equal prompts have equal ones. */
export function huesOf(prompts) {
  const different = [...new Set(prompts)]
  return prompts.map(prompt => {
    const named = WORDS.exec(prompt)
    return `hsl(${named ? NAMED[named[1].toLowerCase()] : NEUTRAL[different.indexOf(prompt) % NEUTRAL.length]})`
  })
}
