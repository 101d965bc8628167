/** A small map of the whole drawing, with the part in the window. */
import { lookOf } from '../draw/words.js'
import { zoomTransform } from 'd3'
import { svgEl } from './dom.js'
import type { App } from './app.js'

const MOST_DOTS = 1500

/** Keeps the map in step with the drawing. */
export const mapOf = (app: App, svg: SVGSVGElement, map: SVGSVGElement): void => {
  const frame = svgEl('rect', { class: 'view', x: 0, y: 0, width: 0, height: 0 })
  let drawn: unknown = null
  const dots = (): void => {
    const layout = app.view.layout()
    if (drawn === layout) return
    drawn = layout
    map.setAttribute('viewBox', `0 0 ${layout.width} ${layout.height}`)
    const items = [...app.view.visible().at.values()].filter((i) => !i.open)
    map.replaceChildren(
      ...items.slice(0, MOST_DOTS).map((i) => {
        const { x, y, width, height } = layout.rects.get(i.id) ?? { x: 0, y: 0, width: 0, height: 0 }
        const lost = i.hidden.costly > 0 || i.node?.loss === 'costly'
        const doubt = i.hidden.claimed > 0 || (i.node?.flow === true && lookOf(i.node) === 'claimed')
        const doubtful = doubt ? ' doubt' : ''
        return svgEl('rect', { class: `dot${lost ? ' lost' : doubtful}`, x, y, width, height })
      }),
      frame,
    )
  }
  const update = (): void => {
    dots()
    const t = zoomTransform(svg)
    const box = svg.getBoundingClientRect()
    const width = (svg.parentElement ?? svg).getBoundingClientRect().width
    const [right, bottom] = t.apply([app.view.layout().width, app.view.layout().height])
    // Of a drawing that is seen whole a map says nothing.
    map.classList.toggle('whole', t.x >= -1 && t.y >= -1 && right <= width + 1 && bottom <= box.height + 1)
    for (const [name, value] of Object.entries({
      x: -t.x / t.k,
      y: -t.y / t.k,
      width: box.width / t.k,
      height: box.height / t.k,
    }))
      frame.setAttribute(name, String(value))
  }
  app.view.onMove(update)
  update()
}
