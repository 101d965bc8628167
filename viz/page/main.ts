/** The script of the page: reads the scene that stands in it, draws it, and listens. */
import { unpack } from '../scene/pack.js'
import type { Phrase } from '../scene/scene.js'
import { start } from './app.js'
import { byId, svgById } from './dom.js'
import { listen } from './input.js'
import { mapOf } from './minimap.js'
import { wireTheme } from './theme.js'

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
