/** Puts a scene into the page's frame and wires everything that a reader can do. */
import type { Scene } from '../scene/scene.js'
import { start, type App } from './app.js'
import { byId, button, el, svgById } from './dom.js'
import { listen } from './input.js'
import { mapOf } from './minimap.js'
import type { Side } from '../scene/sides.js'
import { fillTimes } from './profile.js'
import { wireTheme } from './theme.js'
import { reserveTime, timeOf } from './timeline.js'
import { whereOf } from './where.js'

const TONE = { plain: '', good: 'good', claimed: 'claimed-text', stripped: 'stripped-text' } as const

/** Writes the sentence of a scene, each of its numbers a button that lights what it counts. */
const writeSentence = (app: App): void => {
  const parts = app.scene.sentence.map(({ text, tone, targets }, i) =>
    targets === undefined
      ? text
      : button(
          text,
          () => {
            if (targets.length === 1) app.go(targets[0])
            else app.lightUp(targets)
          },
          { class: TONE[tone], 'data-phrase': String(i) },
        ),
  )
  byId('sentence').replaceChildren(el('p', {}, ...parts))
}

const wireTools = (app: App): void => {
  byId('fit').addEventListener('click', () => app.view.fit())
  byId('expand').addEventListener('click', () => app.openAll(true))
  byId('details').addEventListener('click', () =>
    app.showDetails(byId('details').getAttribute('aria-pressed') !== 'true'),
  )
  byId('collapse').addEventListener('click', () => app.openAll(false))
  const help = byId('help')
  if (!(help instanceof HTMLDialogElement)) return
  byId('ask').addEventListener('click', () => help.showModal())
  byId('close').addEventListener('click', () => help.close())
}

const sideIn = (text: string | null): Side => (text === 'backward' || text === 'both' ? text : 'forward')

/** Tools that stand only in pages of differentiated or observed programs. */
const wireChoices = (app: App): void => {
  for (const b of document.querySelectorAll('[data-side]'))
    b.addEventListener('click', () => app.showSide(sideIn(b.getAttribute('data-side'))))
  for (const b of document.querySelectorAll('[data-overlay]')) {
    const id = b.getAttribute('data-overlay')
    b.addEventListener('click', () => app.showOverlay(app.overlay() === id ? null : id))
  }
  for (const b of document.querySelectorAll('[data-go]'))
    b.addEventListener('click', () => app.go(b.getAttribute('data-go') ?? ''))
}

/** Draws a scene in the frame of the page, and listens. */
export const mountScene = (scene: Scene): App => {
  wireTheme()
  reserveTime(scene)
  const svg = svgById('canvas')
  const app = start(scene, svg)
  listen(app, svg)
  mapOf(app, svg, svgById('minimap'))
  whereOf(app, svg, byId('where'))
  writeSentence(app)
  wireTools(app)
  wireChoices(app)
  timeOf(app)
  fillTimes(app)
  new ResizeObserver(() => app.view.settle()).observe(svg)
  return {
    ...app,
    get scene() {
      return app.scene
    },
    get index() {
      return app.index
    },
    replace: (next) => {
      app.replace(next)
      writeSentence(app)
    },
  }
}
