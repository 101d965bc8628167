/** What is laid over a drawing besides metadata: numbers of scales, wasted bits, quantization errors, where NaN begins. */
import type { Column, Scene, SceneLog, SceneStep, SceneTrack } from '../scene/scene.js'
import type { Item } from '../scene/visible.js'
import { number } from './words.js'

/** Looked up by node, by scale or by item. */
export type Overlay = {
  /** The number of a scale (and of its zero point, where it is not 0), ready to be read, by the scale's name. */
  readonly scales: ReadonlyMap<string, string>
  /** `7.0 of 8 bits used`, by node. */
  readonly wasted: ReadonlyMap<string, string>
  /** Signal over quantization noise in dB, by node and by box (there the worst inside); null while it is switched off. */
  readonly errors: ReadonlyMap<string, number> | null
  /** Share of the time of the steps that compute a node, or nodes in a box; null while it is switched off. */
  readonly times: ReadonlyMap<string, number> | null
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
  errors: null,
  times: null,
  nonfinite: new Set(),
  estimators: new Set(),
  longest: '',
}

/** What the reader chose. */
export type OverlayChoice = {
  readonly errors: boolean
  readonly times?: boolean
  readonly at: number | null
  readonly backward: boolean
}

/** A node with all boxes around it, the innermost first. */
const upwards = (scene: Scene): ((id: string) => readonly string[]) => {
  const parent = new Map(scene.boxes.map((b) => [b.id, b.parent]))
  const box = new Map(scene.nodes.map((n) => [n.id, n.box]))
  return (id) => {
    const out = [id]
    for (let at = box.get(id) ?? parent.get(id); at !== undefined && at !== ''; at = parent.get(at)) out.push(at)
    return out
  }
}

/** Which scale each quantizer of a log has, by path. */
export const scalesByPath = (scene: Scene): ReadonlyMap<string, string> =>
  new Map(
    scene.nodes.flatMap((n): readonly [string, string][] =>
      n.scale !== undefined && n.side === undefined && n.op.toLowerCase().includes('quantize')
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

/** Quantization errors by node and by box. */
export const errorsOf = (scene: Scene): ReadonlyMap<string, number> => {
  const [up, worst] = [upwards(scene), new Map<string, number>()]
  for (const n of scene.nodes) {
    const dB = scene.observed[n.id]?.sqnr
    if (dB === undefined || dB === null) continue
    for (const id of up(n.id)) worst.set(id, Math.min(worst.get(id) ?? Infinity, dB))
  }
  return worst
}

/** Which nodes a step's time is put down to: its product if it has one, else all that it computes, alike. */
const carriersOf = (scene: Scene): ((s: SceneStep) => readonly string[]) => {
  const products = new Set(scene.nodes.flatMap((n) => (n.integer === undefined ? [] : [n.id])))
  return (s) => {
    const own = s.product === undefined ? [] : s.nodes.filter((n) => products.has(n))
    return own.length > 0 ? own : s.nodes
  }
}

/** Shares of time by node and by box, each step counted once: what one step computes for several nodes is divided among them, so that all boxes together have no more than the whole. */
export const sharesOf = (scene: Scene): ReadonlyMap<string, number> => {
  const [up, carriers, sums] = [upwards(scene), carriersOf(scene), new Map<string, number>()]
  for (const s of scene.profile?.steps ?? []) {
    const nodes = carriers(s)
    for (const n of nodes) for (const id of up(n)) sums.set(id, (sums.get(id) ?? 0) + s.share / nodes.length)
  }
  return sums
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
    : Object.values(scene.observed).some((x) => typeof x.sqnr === 'number')
      ? '−00.0 dB'
      : scene.profile === undefined
        ? ''
        : '00.0 %'

/** The overlay of a scene. */
export const overlayOf = (
  scene: Scene,
  choice: OverlayChoice = { errors: false, at: null, backward: false },
): Overlay => {
  const up = upwards(scene)
  const guesses = scene.nodes.filter((n) => n.estimator !== undefined && n.flow).map((n) => n.id)
  return {
    scales: choice.at !== null && scene.log !== undefined ? scalesAt(scene, scene.log, choice.at) : scalesOfRun(scene),
    wasted: new Map(scene.wasted.map((w) => [w.node, `${w.used.toFixed(1)} of ${w.bits} bits used`])),
    errors: choice.errors ? errorsOf(scene) : null,
    times: choice.times === true ? sharesOf(scene) : null,
    nonfinite: new Set(scene.nonfinite.flatMap(up)),
    estimators: new Set(
      choice.backward ? guesses.flatMap(up) : scene.nodes.filter((n) => n.estimator !== undefined).map((n) => n.id),
    ),
    longest: longestOf(scene),
  }
}

/** In which of six classes an error falls: below 10 dB, …, from 50 dB on. */
export const errorClass = (dB: number): number => Math.max(0, Math.min(5, Math.floor(dB / 10)))

/** The error of an item, while errors are shown. */
export const errorAt = (o: Overlay, i: Item): number | undefined => o.errors?.get(i.id)

/** In which of six classes a share of time falls: below 1 %, 3, 8, 15, 30, or more. */
export const timeClass = (share: number): number =>
  [0.01, 0.03, 0.08, 0.15, 0.3].filter((least) => share >= least).length

/** A share of time as text. */
export const shareText = (share: number): string => `${(share * 100).toFixed(share < 0.1 ? 1 : 0)} %`

/** The share of time of an item, while times are shown. */
export const timeAt = (o: Overlay, i: Item): number | undefined => o.times?.get(i.id)
