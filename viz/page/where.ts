/** Says in which boxes the middle of the window is, where their names are out of sight. */
import { zoomTransform } from 'd3'
import type { Item } from '../scene/visible.js'
import type { App } from './app.js'

/** Keeps `output` in step with the drawing. */
export const whereOf = (app: App, svg: SVGSVGElement, output: HTMLElement): void => {
  const update = (): void => {
    const t = zoomTransform(svg)
    const box = svg.getBoundingClientRect()
    const [x, y] = t.invert([box.width / 2, box.height / 2])
    const rects = app.view.layout().rects
    const around = (items: readonly Item[]): readonly Item[] => {
      const inside = items.find((i) => {
        const r = i.open ? rects.get(i.id) : undefined
        return r !== undefined && x > r.x && x < r.x + r.width && y > r.y && y < r.y + r.height
      })
      return inside === undefined ? [] : [inside, ...around(inside.children)]
    }
    const boxes = around(app.view.visible().items)
    const isHidden = boxes.some((i) => {
      const r = rects.get(i.id)
      const [left, top] = t.apply([r?.x ?? 0, r?.y ?? 0])
      return left < -8 || top < -8
    })
    const said = isHidden ? `in ${boxes.map((i) => i.label).join(' › ')}` : ''
    if (output.textContent !== said) output.textContent = said
  }
  app.view.onMove(update)
  update()
}
