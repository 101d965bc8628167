/** A program as one SVG drawing for papers and READMEs. Needs no browser. */
import { oneOf } from '../src/data/fields.js'
import type { Program } from '../src/graph/program.js'
import { demandScene } from './border.js'
import { escapeText, markup } from './draw/mark.js'
import { plainLook, settingOf } from './draw/drawing.js'
import { huesOf } from './draw/hues.js'
import { marksOf } from './draw/marks.js'
import { overlayOf } from './draw/overlay.js'
import { drawingStyle } from './draw/style.js'
import { sceneOf, type SceneOptions } from './scene/fromProgram.js'
import { layoutOf } from './scene/layout.js'
import { onSide } from './scene/sides.js'
import { allOpen, firstOpen } from './scene/opening.js'
import { visibleOf } from './scene/visible.js'

/** How much of a program is drawn: the layers that the page opens with, or every node. */
export type DrawingOptions = SceneOptions & { readonly expand?: 'first' | 'all' }

/** A program as an SVG file, in the light theme, drawn as the page draws it. */
export const toSvg = (program: Program, options: DrawingOptions = {}): string => {
  demandScene('toSvg', program, options, { expand: oneOf('first', 'all') })
  const { expand, ...about } = options
  const all = expand === 'all'
  const scene = onSide(sceneOf(program, about), all ? 'both' : 'forward')
  const visible = visibleOf(scene, all ? allOpen(scene) : firstOpen(scene), all)
  const look = { ...plainLook, hues: huesOf(scene), over: overlayOf(scene) }
  const layout = layoutOf(visible, settingOf(look))
  const [width, height] = [Math.ceil(layout.width), Math.ceil(layout.height)]
  const said = scene.sentence.map((p) => p.text).join('')
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img">` +
    `<title>${escapeText(`${scene.title}: ${said}`)}</title><style>${escapeText(drawingStyle).replaceAll('&#39;', "'")}</style>` +
    `<rect width="100%" height="100%" fill="#fbfbfa"/><g class="scene">${marksOf(visible, layout, look).map(markup).join('')}</g></svg>\n`
  )
}
