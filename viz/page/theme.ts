/** Light or dark: as the reader's system says, until the button is pressed. */
import { byId } from './dom.js'

const setTheme = (isDark: boolean): void => {
  document.documentElement.classList.toggle('dark', isDark)
  byId('theme').setAttribute('aria-pressed', String(isDark))
}

/** Wires the button. */
export const wireTheme = (): void => {
  const dark = matchMedia('(prefers-color-scheme: dark)')
  setTheme(dark.matches)
  dark.addEventListener('change', (e) => setTheme(e.matches))
  byId('theme').addEventListener('click', () => setTheme(!document.documentElement.classList.contains('dark')))
}
