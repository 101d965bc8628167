/** The script of the page: reads the scene that stands in it, draws it, and listens. */
import { unpack } from '../scene/pack.js'
import type { Phrase } from '../scene/scene.js'
import { start } from './app.js'
import { byId, svgById } from './dom.js'
import { listen } from './input.js'
import { mapOf } from './minimap.js'
import { wireTheme } from './theme.js'
import type { Side } from '../scene/sides.js'
import { timeOf } from './timeline.js'

const sideIn = (text: string | null): Side => (text === 'backward' || text === 'both' ? text : 'forward')

const main = (): void => {
  wireTheme()
  const scene = unpack(JSON.parse(byId('scene').textContent ?? ''))
  const svg = svgById('canvas')
  const app = start(scene, svg)
  listen(app, svg)
  mapOf(app, svg, svgById('minimap'))
  for (const b of document.querySelectorAll('#sentence button')) {
    const phrase: Phrase | undefined = scene.sentence[Number(b.getAttribute('data-phrase'))]
    b.addEventListener('click', () => {
      const [only] = phrase?.targets ?? []
      if (phrase?.targets?.length === 1) app.go(only)
      else app.lightUp(phrase?.targets ?? [])
    })
  }
  for (const b of document.querySelectorAll('[data-side]')) b.addEventListener('click', () => app.showSide(sideIn(b.getAttribute('data-side'))))
  const errors = document.getElementById('errors')
  errors?.addEventListener('click', () => {
    const wanted = errors.getAttribute('aria-pressed') !== 'true'
    errors.setAttribute('aria-pressed', String(wanted))
    document.getElementById('error-legend')?.toggleAttribute('hidden', !wanted)
    app.showErrors(wanted)
  })
  timeOf(app)
  byId('fit').addEventListener('click', () => app.view.fit())
  byId('expand').addEventListener('click', () => app.openAll(true))
  byId('details').addEventListener('click', () => app.showDetails(byId('details').getAttribute('aria-pressed') !== 'true'))
  byId('collapse').addEventListener('click', () => app.openAll(false))
  const help = byId('help')
  if (help instanceof HTMLDialogElement) {
    byId('ask').addEventListener('click', () => help.showModal())
    byId('close').addEventListener('click', () => help.close())
  }
}

main()
