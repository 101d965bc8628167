/** The script of the page of two programs: reads what stands in it, draws it, and listens. */
import { byId, svgById } from '../../page/dom.js'
import { wireTheme } from '../../page/theme.js'
import type { SideId } from '../sides.js'
import { unpackPair } from '../pack.js'
import { sideOf, startPair, type PairApp } from './app.js'
import { listenPair } from './input.js'

const wireSentence = (app: PairApp): void => {
  for (const b of document.querySelectorAll('#sentence button')) {
    const targets = (app.pair.sentence[Number(b.getAttribute('data-phrase'))]?.targets ?? []) as readonly SideId[]
    b.addEventListener('click', () => {
      const places = targets.map(sideOf)
      if (places.length > 0 && new Set(places.map((p) => p.side)).size === places.length)
        app.go(places[0].side, places[0].id)
      else app.lightUp(targets)
    })
  }
}

const main = (): void => {
  wireTheme()
  const svg = svgById('canvas')
  const app = startPair(unpackPair(JSON.parse(byId('scene').textContent ?? '')), svg)
  listenPair(app, svg)
  wireSentence(app)
  byId('fit').addEventListener('click', () => app.view.fit())
  byId('expand').addEventListener('click', () => app.openAll(true))
  byId('collapse').addEventListener('click', () => app.openAll(false))
  byId('details').addEventListener('click', () =>
    app.showDetails(byId('details').getAttribute('aria-pressed') !== 'true'),
  )
  for (const b of document.querySelectorAll('[data-overlay]'))
    b.addEventListener('click', () => app.showOverlay(b.getAttribute('data-overlay')))
  for (const b of document.querySelectorAll('[data-go]'))
    b.addEventListener('click', () =>
      app.go(app.pair.scenes[1].steps === undefined ? 0 : 1, b.getAttribute('data-go') ?? ''),
    )
  byId('next').addEventListener('click', () => app.nextDifference(1))
  const help = byId('help')
  if (help instanceof HTMLDialogElement) {
    byId('ask').addEventListener('click', () => help.showModal())
    byId('close').addEventListener('click', () => help.close())
  }
}

main()
