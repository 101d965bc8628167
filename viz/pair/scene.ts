/** From two programs to the scene of both. Pure. */
import { isQuantTensor, type Output } from '../../src/data/quantTensor.js'
import { at } from '../../src/data/tree.js'
import { alignPrograms } from '../../src/graph/align.js'
import type { Program } from '../../src/graph/program.js'
import { demandPair } from '../border.js'
import { sceneOf, type SceneOptions } from '../scene/fromProgram.js'
import { pairSentence } from './sentence.js'
import type { Compared, PairScene, Twin } from './sides.js'
import { twinsOf } from './twins.js'

/** What may be said about two programs besides themselves. */
export type PairOptions = {
  /** Title of the page (default: the titles of both sides). */
  readonly title?: string
  /** Of each program its name (as `title`; default: `left` and `right`) and whatever a page of it alone may be given, such as the outputs of a run. */
  readonly sides?: readonly [SceneOptions, SceneOptions]
}

const isOutput = (x: unknown): x is Output =>
  typeof x === 'object' && x !== null && (('data' in x && x.data instanceof Float32Array) || isQuantTensor(x as Output))

const valuesOf = (outputs: unknown, path: string): Float32Array | null => {
  const x = outputs === undefined ? undefined : at(outputs, path)
  return isOutput(x) ? (isQuantTensor(x) ? x.value : x).data : null
}

const compare = (name: string, x: Float32Array, y: Float32Array): Compared => {
  let [equal, largest] = [0, 0]
  x.forEach((v, i) => {
    if (Object.is(v, y[i]) || v === y[i]) equal++
    else largest = Math.max(largest, Number.isFinite(v - y[i]) ? Math.abs(v - y[i]) : Infinity)
  })
  return { name, count: x.length, equal, largest }
}

/** Compares results of the same name and size; without two runs there is nothing to compare. */
const comparedOf = (
  programs: readonly [Program, Program],
  [a, b]: readonly [SceneOptions, SceneOptions],
): readonly Compared[] =>
  programs[0].outputs.flatMap((o) => {
    const [x, y] =
      o.kind === 'result' && programs[1].outputs.some((p) => p.kind === 'result' && p.path === o.path)
        ? [valuesOf(a.outputs, o.path), valuesOf(b.outputs, o.path)]
        : [null, null]
    return x === null || y === null || x.length !== y.length ? [] : [compare(o.path === '' ? 'output' : o.path, x, y)]
  })

/** The scene of two programs. Linear in the nodes, but for the alignment (see `alignPrograms`). */
export const pairOf = (programs: readonly [Program, Program], options: PairOptions = {}): PairScene => {
  demandPair('pairOf', programs, options)
  const [a, b] = options.sides ?? [{}, {}]
  const scenes = [
    sceneOf(programs[0], { ...a, title: a.title ?? 'left' }),
    sceneOf(programs[1], { ...b, title: b.title ?? 'right' }),
  ] as const
  const twins = alignPrograms(programs[0], programs[1]).map((n): Twin => ({ a: n.a, b: n.b, changes: n.changes }))
  const pair: PairScene = {
    title: options.title ?? `${scenes[0].title} · ${scenes[1].title}`,
    scenes,
    twins,
    compared: comparedOf(programs, [a, b]),
    sentence: [],
  }
  return { ...pair, sentence: pairSentence(pair, twinsOf(pair)) }
}
