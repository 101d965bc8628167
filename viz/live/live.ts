/** The graph of the report while its network trains: scales on the lines, rows of quantizers, curves. Draws at most once per frame of the screen. */
import type { Now } from '../draw/drawing.js'
import { hueOf } from '../draw/hues.js'
import { number } from '../draw/words.js'
import type { App } from '../page/app.js'
import { byId } from '../page/dom.js'
import { mountScene } from '../page/mount.js'
import type { Scene, SceneNumbers } from '../scene/scene.js'
import { drawCurve, drawScales } from './curves.js'
import type { LiveFrame, LivePoint, LiveQuantizer } from './frame.js'
import { buildRows, layerOf, type Rows } from './rows.js'
import { broken, bucketed, remembered, smoothed, type ScalePoint } from './series.js'
import { wireTransport, type Transport, type TransportActions } from './transport.js'

/** What a live page is given: the epochs of a training, the widths that can be chosen, and what its controls do. */
export type LiveOptions = TransportActions & {
  readonly epochs: number
  readonly bits: readonly number[]
  readonly onBits: (layers: readonly string[], bits: number) => void
}

/** A live page. */
export type Live = {
  readonly app: App
  readonly transport: Transport
  /** Shows a frame with the next picture of the screen. */
  readonly frame: (frame: LiveFrame) => void
  /** Takes steps from a frame whose quantizers are out of date: bits have changed since. */
  readonly steps: (frame: LiveFrame) => void
  /** Shows the same network traced anew, with other bits: metadata changes at once, numbers with the next frame. */
  readonly retrace: (scene: Scene) => void
  /** Forgets all curves: training begins anew. */
  readonly clear: () => void
}

/** All that the curves are drawn from. */
type Memory = {
  readonly points: readonly LivePoint[]
  readonly held: readonly (readonly [step: number, accuracy: number])[]
  readonly scales: ReadonlyMap<string, readonly ScalePoint[]>
  readonly switchAt: number | null
  readonly frame: LiveFrame | null
}

const NOTHING: Memory = { points: [], held: [], scales: new Map(), switchAt: null, frame: null }
const BUCKETS = 200

const isLearned = (q: LiveQuantizer): boolean => q.phase === null || q.phase.collected >= q.phase.limit

/** The step at which the first statistics become learned values, once a frame has seen one of the two phases: one batch is one step. */
const switchOf = (m: Memory, f: LiveFrame): number | null => {
  const collecting = f.quantizers.find((q) => !isLearned(q))
  if (collecting?.phase !== null && collecting?.phase !== undefined)
    return f.step + collecting.phase.limit - collecting.phase.collected
  return m.switchAt
}

const stepsOf = (m: Memory, f: LiveFrame): Memory => ({
  ...m,
  points: [...m.points, ...f.points],
  held: f.held === null ? m.held : [...m.held, [f.held.step, f.held.accuracy]],
})

const remember = (m: Memory, f: LiveFrame): Memory => ({
  ...stepsOf(m, f),
  scales: new Map(
    f.quantizers.map((q) => [
      q.path,
      remembered(m.scales.get(q.path) ?? [], {
        step: f.step,
        scale: q.numbers.scales?.[0] ?? NaN,
        learned: isLearned(q),
      }),
    ]),
  ),
  switchAt: switchOf(m, f),
  frame: f,
})

/** Texts for the lines, and the branches of phases that do not run. */
const nowOf = (app: App, f: LiveFrame): Now => ({
  scales: new Map(
    f.quantizers.flatMap((q) => {
      const scale = app.index.node.get(q.node)?.scale
      return scale === undefined ? [] : [[scale, `${isLearned(q) ? '=' : '≈'} ${number(q.numbers.scales?.[0] ?? NaN)}`]]
    }),
  ),
  idle: new Set(
    f.quantizers.flatMap((q) => (q.phase === null ? [] : [`${q.phase.node}.${isLearned(q) ? 'collect' : 'learned'}`])),
  ),
})

const numbersOf = (f: LiveFrame): { readonly [id: string]: SceneNumbers } =>
  Object.fromEntries(f.quantizers.map((q) => [`%${q.node}`, q.numbers]))

const drawCharts = (m: Memory, hue: (path: string) => string): void => {
  const last = m.frame?.step ?? 0
  const width = Math.max(200, byId('loss').clientWidth)
  for (const id of ['loss', 'accuracy', 'scales']) byId(id).setAttribute('viewBox', `0 0 ${width} 124`)
  const f = { last, width, switchAt: m.switchAt !== null && m.switchAt <= last ? m.switchAt : null }
  const [loss, right] = [
    bucketed(
      m.points.map(([s, l]) => [s, l]),
      BUCKETS,
    ),
    bucketed(
      m.points.map(([s, , a]) => [s, a]),
      BUCKETS,
    ),
  ]
  drawCurve(byId('loss'), loss, [], false, f)
  drawCurve(byId('accuracy'), right, m.held, true, f)
  byId('loss-now').textContent = smoothed(loss).at(-1)?.[1].toFixed(3) ?? ''
  byId('accuracy-now').textContent =
    right.length === 0 ? '' : `${((smoothed(right).at(-1)?.[1] ?? 0) * 100).toFixed(1)} %`
  const collected = m.frame?.quantizers.filter((q) => q.phase !== null) ?? []
  drawScales(
    byId('scales'),
    collected.map((q) => ({ name: layerOf(q.path), hue: hue(q.path), history: m.scales.get(q.path) ?? [] })),
    f,
  )
}

/** Draws a scene in the frame of `livePage` and keeps it in step with a training. */
export const mountLive = (scene: Scene, o: LiveOptions): Live => {
  const app = mountScene(scene)
  const transport = wireTransport(o)
  let memory = NOTHING
  let rows: Rows = { update: () => undefined }
  let asked = false
  const build = (): void => {
    rows = buildRows(byId('quantizers'), app.scene, { bits: o.bits, onBits: o.onBits, go: (id) => app.go(id) })
  }
  const draw = (): void => {
    asked = false
    const { frame } = memory
    const hueAt = (node: string): string => hueOf(app.hues(), app.index.node.get(node)?.scale)
    const byPath = new Map(frame?.quantizers.map((q) => [q.path, hueAt(q.node)]))
    drawCharts(memory, (path) => byPath.get(path) ?? '')
    if (frame === null) return
    document.body.setAttribute('data-step', String(frame.step))
    transport.standing(frame, o.epochs)
    app.view.setNow(nowOf(app, frame))
    app.setNumbers(numbersOf(frame))
    for (const q of frame.quantizers) rows.update(q, memory.scales.get(q.path) ?? [], frame.step, hueAt(q.node))
  }
  const ask = (): void => {
    if (!asked) requestAnimationFrame(draw)
    asked = true
  }
  build()
  // The sentence and the rows have their room only now.
  app.view.firstLook()
  addEventListener('resize', ask)
  ask()
  return {
    app,
    transport,
    frame: (f) => {
      memory = remember(memory, f)
      ask()
    },
    steps: (f) => {
      memory = stepsOf(memory, f)
      ask()
    },
    retrace: (next) => {
      app.replace(next)
      memory = {
        ...memory,
        frame: null,
        scales: new Map([...memory.scales].map(([path, history]) => [path, broken(history)])),
      }
      build()
    },
    clear: () => {
      memory = NOTHING
      ask()
    },
  }
}
