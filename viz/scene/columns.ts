/** A training log as columns, which are small to store and quick to draw. */
import type { Program } from '../../src/graph/program.js'
import type { LogRecord, QuantizerRecord } from '../log.js'
import type { Column, SceneLog, SceneTrack } from './scene.js'

const DIGITS = 5
const short = (x: number | null | undefined): number | null =>
  x === null || x === undefined || !Number.isFinite(x) ? null : Number(x.toPrecision(DIGITS))

/** After how many steps each quantizer stops collecting, by its path: the limits of the phases that read its counter. */
const limitsOf = (program: Program): ReadonlyMap<string, number> => {
  const paths = new Map(
    program.inputs
      .filter((i) => i.kind === 'state' && i.path.endsWith('.scale.counter'))
      .map((i) => [i.node, i.path.slice(0, -'.scale.counter'.length)]),
  )
  return new Map(
    program.graph.nodes.flatMap((n): readonly [string, number][] => {
      const path = n.branches === undefined ? undefined : paths.get(n.inputs[0])
      return path === undefined || n.backwardOf !== undefined ? [] : [[path, Number(n.attrs.limit)]]
    }),
  )
}

const trackOf = (records: readonly LogRecord[], path: string, limit: number | undefined): SceneTrack => {
  const column = (key: keyof QuantizerRecord): Column => records.map((r) => short(r.quantizers[path]?.[key]))
  const at = limit === undefined ? -1 : records.findIndex((r) => (r.quantizers[path]?.counter ?? -Infinity) > limit)
  return {
    path,
    scale: column('scale'),
    zeroPoint: column('zeroPoint'),
    buffer: column('buffer'),
    statistic: column('statistic'),
    bits: column('bits'),
    learnedAt: at < 0 ? null : records[at].step,
  }
}

/** Columns of a log; quantizers in the order of the program. */
export const columnsOf = (program: Program, records: readonly LogRecord[]): SceneLog => {
  const known = new Set(records.flatMap((r) => Object.keys(r.quantizers)))
  const order = [...new Set([...program.graph.nodes.filter((n) => known.has(n.path)).map((n) => n.path), ...known])]
  const limits = limitsOf(program)
  const column = (read: (r: LogRecord) => number | null): Column => records.map((r) => short(read(r)))
  return {
    steps: records.map((r) => r.step),
    epochs: column((r) => r.epoch),
    loss: column((r) => r.loss),
    accuracy: column((r) => r.accuracy),
    lr: column((r) => r.lr),
    tracks: order.map((path) => trackOf(records, path, limits.get(path))),
  }
}
