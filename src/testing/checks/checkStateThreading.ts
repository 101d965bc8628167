/** Laws of state: it is threaded, and all of it. */
import * as E from 'fp-ts/lib/Either.js'
import fc from 'fast-check'
import { parseTensors, tensorsToBytes } from '../../data/binary.js'
import type { QuantTensor } from '../../data/quantTensor.js'
import { isTensor, type Tensor } from '../../data/tensor.js'
import { at, leaves, type Tree } from '../../data/tree.js'
import { orThrow } from '../../data/error.js'
import type { Program } from '../../graph/program.js'
import { isLayer } from '../../nn/layers/checks.js'
import type { AnyLayer, Layer } from '../../nn/layers/layer.js'
import { init, run, trace } from '../../nn/program/program.js'
import { dataFor } from './sampling.js'
import {
  guarded,
  misused,
  once,
  optionsProblem,
  showData,
  tried,
  verdictOf,
  type CheckOptions,
  type Law,
  type Verdict,
} from './verdict.js'

type Data = Tree<Tensor | QuantTensor>
type Loose = Layer<unknown, unknown, unknown, unknown>

/** A layer that is checked: traced both ways. */
export type Subject = {
  readonly name: string
  readonly layer: Loose
  readonly declared: unknown
  readonly train: Program
  readonly eval: Program
}

/** Traces a layer in both modes. */
export const subjectOf = (layer: AnyLayer, declared: unknown): Subject => {
  const loose = layer as unknown as Loose
  const traced = (mode: 'train' | 'eval'): Program => orThrow(trace(loose, declared as never, { mode })) as Program
  return { name: layer.layer, layer: loose, declared, train: traced('train'), eval: traced('eval') }
}

const start = (s: Subject, seed: number) => orThrow(init(s.layer, seed))
const step = (program: Program, params: unknown, state: unknown, inputs: Data) =>
  orThrow(run(program, { params, state, inputs } as never))

const bitsOf = (x: unknown): string =>
  leaves(isTensor, x)
    .map(
      ({ path, leaf }) =>
        `${path}[${leaf.shape.join()}]${Array.from(leaf.data, (v) => (Object.is(v, -0) ? '-0' : String(v))).join()}`,
    )
    .join(';')
const sameTrees = (a: unknown, b: unknown): boolean => bitsOf(a) === bitsOf(b)

const isConstant = (leaf: unknown): boolean =>
  typeof leaf === 'object' && leaf !== null && 'constant' in leaf && leaf.constant === true

/** Leaves of state that no training step assigns although no optimizer changes them: whoever computed their next value forgot to hand it back. */
const forgotten = ({ train, layer }: Subject): readonly string[] =>
  train.inputs.flatMap((i) => {
    if (i.kind !== 'state' || i.learned || isConstant(at(layer.state, i.path))) return []
    const next = train.outputs.find((o) => o.kind === 'state' && o.path === i.path)
    return next === undefined || next.node === i.node ? [i.path] : []
  })

const forgetsNothing = (s: Subject): string | null => {
  const found = forgotten(s)
  return found.length === 0
    ? null
    : `in train mode it hands back ${found.map((p) => JSON.stringify(p)).join(', ')} as it was given: the state is forgotten`
}

const sameShapes = ({ train, eval: evaluated }: Subject): string | null => {
  for (const program of [train, evaluated])
    for (const i of program.inputs) {
      if (i.kind !== 'state') continue
      const next = program.outputs.find((o) => o.kind === 'state' && o.path === i.path)
      if (next === undefined) return `the next state has no ${JSON.stringify(i.path)} (${program.mode})`
      const { shape } = program.graph.nodes[next.node]
      if (shape.join() !== i.shape.join())
        return `${i.path} of shape [${i.shape.join()}] becomes one of shape [${shape.join()}] (${program.mode})`
    }
  return null
}

const FIX = {
  forgets:
    'hand back the new value of each leaf of state in train mode: [y, { ...state, mean: newMean }]; what only an optimizer changes is a parameter, or learned; what never changes is constant: true',
  shapes: 'hand back a tree of the same names and shapes',
  replay: 'the forward must depend on its arguments alone',
  evalMoves: "in eval mode hand back the state as it was given (kit.mode === 'eval')",
  stored: 'state must be plain tensors, whose marks init sets',
  init: 'init of a leaf must draw from the generator that it is given alone',
} as const

const replays = (s: Subject, xs: readonly Data[]): string | null => {
  const { params, state } = start(s, 1)
  const play = (): readonly unknown[] => {
    const states = [state]
    for (const x of xs) states.push(step(s.train, params, states[states.length - 1], x).state)
    return states
  }
  const first = play()
  if (!play().every((t, i) => sameTrees(t, first[i]))) return 'played again, the same steps give another state'
  const middle = Math.floor(xs.length / 2)
  const again = step(s.train, params, first[middle], xs[middle]).state
  return sameTrees(again, first[middle + 1]) ? null : 'an old state, run again after others, gives another next state'
}

const evalStays = (s: Subject, xs: readonly Data[]): string | null => {
  const { params, state: first } = start(s, 1)
  const state = xs.reduce((now: unknown, x) => step(s.train, params, now, x).state, first)
  const ran = step(s.eval, params, state, xs[0])
  if (!sameTrees(ran.state, state)) return 'a run in eval mode changes the state'
  const again = step(s.eval, params, state, xs[0])
  return sameTrees(again.outputs, ran.outputs) ? null : 'two runs in eval mode give different results'
}

const survivesStorage = (s: Subject, xs: readonly Data[]): string | null => {
  const { params, state: first } = start(s, 1)
  const middle = Math.floor(xs.length / 2)
  const before = xs.slice(0, middle).reduce((now: unknown, x) => step(s.train, params, now, x).state, first)
  const read = parseTensors(tensorsToBytes({ params, state: before }))
  if (E.isLeft(read)) return `what was stored can't be read: ${read.left[0].message}`
  const [savedParams, savedState] = ['params', 'state'].map((part) => at(read.right, part))
  const go = (p: unknown, from: unknown): unknown =>
    xs.slice(middle).reduce((now: unknown, x) => step(s.train, p, now, x).state, from)
  return sameTrees(go(params, before), go(savedParams, savedState))
    ? null
    : 'a training that was stored and read goes on otherwise'
}

/** The laws of state of a subject. */
export const stateLaws = (
  s: Subject,
  inputs: fc.Arbitrary<Data> = dataFor(s.declared),
): readonly Law<readonly Data[]>[] => {
  const schedule = fc.array(inputs, { minLength: 2, maxLength: 5 })
  const law = (name: string, fix: string, holds: (xs: readonly Data[]) => string | null): Law<readonly Data[]> => ({
    law: name,
    fix,
    inputs: schedule,
    holds,
    show: (xs) => `the inputs ${showData(xs)}`,
  })
  return [
    law('a training is a replay: same start, same steps, same state', FIX.replay, (xs) => replays(s, xs)),
    law('evaluation leaves the state alone', FIX.evalMoves, (xs) => evalStays(s, xs)),
    law('a training that was stored goes on as if it had not been', FIX.stored, (xs) => survivesStorage(s, xs)),
  ]
}

/** The laws of state that its programs alone decide. */
export const staticStateLaws = (s: Subject): readonly Law<null>[] => [
  once('no state is forgotten', FIX.forgets, () => forgetsNothing(s)),
  once('state keeps its structure', FIX.shapes, () => sameShapes(s)),
  once('init draws the same from the same seed', FIX.init, () =>
    sameTrees(start(s, 7).params, start(s, 7).params) && sameTrees(start(s, 7).state, start(s, 7).state)
      ? null
      : 'two calls of init differ',
  ),
]

/** How a layer is checked. */
export type CheckLayerOptions = CheckOptions & {
  /** Draws what the layer is given, in the structure of the declarations (default: hard finite numbers; of integers 0 and 1). */
  readonly inputs?: fc.Arbitrary<unknown>
}

const FIELDS = {
  inputs: {
    says: 'an arbitrary of fast-check',
    like: 'fc.constant(x)',
    holds: (x: unknown) => x instanceof fc.Arbitrary,
  },
}

/** What is wrong with a layer and options that a checker was given, or null. */
export const layerProblem = (asker: string, layer: unknown, options: unknown): Verdict | null =>
  optionsProblem(asker, options, FIELDS) ??
  (isLayer(layer)
    ? null
    : misused(
        asker,
        'it was given no layer',
        'give what a constructor of layers returned, or your own record with params, state and apply',
      ))

/**
 * Checks that a layer threads its state: what it assigns in training it hands back, evaluation changes nothing, a training is a replay, and goes on
 * after it was stored. `declared` are its inputs, as for `trace`. Never throws: Left holds each broken law with the smallest inputs that were found.
 * @example
 * const verdict = checkStateThreading(QuantReLU({ collectStatsSteps: 2 }), tensorInput([6]))
 */
export const checkStateThreading = (layer: AnyLayer, declared: unknown, options: CheckLayerOptions = {}): Verdict => {
  const wrong = layerProblem('checkStateThreading', layer, options)
  if (wrong !== null) return wrong
  const { inputs, ...how } = options
  return guarded(layer.layer, () => {
    const s = subjectOf(layer, declared)
    return verdictOf(s.name, [
      ...staticStateLaws(s).map((l) => tried(s.name, l, how)),
      ...stateLaws(s, inputs as fc.Arbitrary<Data> | undefined).map((l) => tried(s.name, l, how)),
    ])
  })
}
