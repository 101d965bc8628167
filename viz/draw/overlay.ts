/** What is laid over a drawing besides metadata: numbers of scales, wasted bits, the colours of one overlay, where NaN begins. */
import { overlays, type Colouring } from '../overlays/index.js'
import { around } from '../scene/around.js'
import type { Column, Scene, SceneLog, SceneTrack } from '../scene/scene.js'
import type { Item } from '../scene/visible.js'
import { number } from './words.js'

/** Looked up by node, by scale or by item. */
export type Overlay = {
  /** The number of a scale (and of its zero point, where it is not 0), ready to be read, by the scale's name. */
  readonly scales: ReadonlyMap<string, string>
  /** `7.0 of 8 bits used`, by node. */
  readonly wasted: ReadonlyMap<string, string>
  /** What colours nodes and boxes, and its numbers; null while all overlays are switched off. */
  readonly colours: { readonly by: Colouring; readonly values: ReadonlyMap<string, number> } | null
  /** Nodes that made the first NaN or infinity, and the boxes around them. */
  readonly nonfinite: ReadonlySet<string>
  /** Nodes whose gradient is an estimate, and while a backward pass is shown the boxes around them. */
  readonly estimators: ReadonlySet<string>
  /** The longest text that may come to stand in an item, whatever the reader chooses. */
  readonly longest: string
}

/** Nothing is laid over. */
export const noOverlay: Overlay = {
  scales: new Map(),
  wasted: new Map(),
  colours: null,
  nonfinite: new Set(),
  estimators: new Set(),
  longest: '',
}

/** What the reader chose. */
export type OverlayChoice = {
  /** The id of an overlay, or null for none. */
  readonly overlay: string | null
  readonly at: number | null
  readonly backward: boolean
}

/** Which scale each quantizer of a log has, by path. */
export const scalesByPath = (scene: Scene): ReadonlyMap<string, string> =>
  new Map(
    scene.nodes.flatMap((n): readonly [string, string][] =>
      n.scale !== undefined && n.side === undefined && n.quantizes !== undefined
        ? [[n.box.replace(/^\//, ''), n.scale]]
        : [],
    ),
  )

const said = (scale: number | null, zeroPoint: number | null, channels = 1): string | null =>
  scale === null || channels > 1
    ? null
    : `${number(scale)}${zeroPoint === null || zeroPoint === 0 ? '' : `, z = ${number(zeroPoint)}`}`

const valueAt = (c: Column, i: number): number | null => c[i] ?? null

const scalesAt = (scene: Scene, log: SceneLog, i: number): ReadonlyMap<string, string> => {
  const paths = scalesByPath(scene)
  return new Map(
    log.tracks.flatMap((t): readonly [string, string][] => {
      const [scale, text] = [paths.get(t.path), said(valueAt(t.scale, i), valueAt(t.zeroPoint, i))]
      return scale === undefined || text === null ? [] : [[scale, text]]
    }),
  )
}

const scalesOfRun = (scene: Scene): ReadonlyMap<string, string> => {
  const out = new Map<string, string>()
  for (const n of scene.nodes) {
    const x = scene.observed[n.id]
    const text =
      n.scale === undefined || x?.scales === undefined ? null : said(x.scales[0], x.zeroPoints?.[0] ?? null, x.channels)
    if (n.scale !== undefined && text !== null && !out.has(n.scale)) out.set(n.scale, text)
  }
  return out
}

/** The track of the quantizer that a scale belongs to. */
export const trackOf = (scene: Scene, scale: string): SceneTrack | undefined => {
  const paths = scalesByPath(scene)
  return scene.log?.tracks.find((t) => paths.get(t.path) === scale)
}

/** As wide as any text that an overlay of this scene puts into an item. */
const longestOf = (scene: Scene): string =>
  scene.nonfinite.length > 0
    ? 'NaN or ∞'
    : overlays
        .filter((o) => o.knows(scene))
        .map((o) => o.longest)
        .reduce((a, b) => (b.length > a.length ? b : a), '')

const coloursOf = (scene: Scene, id: string | null): Overlay['colours'] => {
  const by = overlays.find((o) => o.id === id)
  return by === undefined || !by.knows(scene) ? null : { by, values: by.valueOf(scene) }
}

/** One overlay and nothing else, with room for all that overlays of this scene may write. */
export const coloursOnly = (scene: Scene, id: string | null): Overlay => ({
  ...noOverlay,
  colours: coloursOf(scene, id),
  longest: longestOf(scene),
})

/** The overlay of a scene. */
export const overlayOf = (
  scene: Scene,
  choice: OverlayChoice = { overlay: null, at: null, backward: false },
): Overlay => {
  const up = around(scene)
  const guesses = scene.nodes.filter((n) => n.estimator !== undefined && n.flow).map((n) => n.id)
  return {
    scales: choice.at !== null && scene.log !== undefined ? scalesAt(scene, scene.log, choice.at) : scalesOfRun(scene),
    wasted: new Map(scene.wasted.map((w) => [w.node, `${w.used.toFixed(1)} of ${w.bits} bits used`])),
    colours: coloursOf(scene, choice.overlay),
    nonfinite: new Set(scene.nonfinite.flatMap(up)),
    estimators: new Set(
      choice.backward ? guesses.flatMap(up) : scene.nodes.filter((n) => n.estimator !== undefined).map((n) => n.id),
    ),
    longest: longestOf(scene),
  }
}

/** What an overlay says of an item: its class, what is written in it, and in words; nothing where it is off or has no number. */
export type Coloured = { readonly mark: string; readonly text: string; readonly said: string }

/** What the overlay that is shown says of an item. */
export const colouredAt = ({ colours }: Overlay, i: Item): Coloured | undefined => {
  const value = colours?.values.get(i.id)
  if (colours === null || value === undefined) return undefined
  const { id, classOf, text, said } = colours.by
  return { mark: `${id}${classOf(value)}`, text: text(value), said: said(value) }
}
