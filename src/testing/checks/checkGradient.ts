/** The gradient of a network against differences. */
import fc from 'fast-check'
import * as E from 'fp-ts/lib/Either.js'
import { orThrow } from '../../data/error.js'
import type { QuantTensor } from '../../data/quantTensor.js'
import { sizeOf } from '../../data/shape.js'
import type { Tensor } from '../../data/tensor.js'
import type { Tree } from '../../data/tree.js'
import { vjpProgram } from '../../autodiff/vjp.js'
import { reference } from '../../evaluator/reference/reference.js'
import type { Program, ProgramInput } from '../../graph/program.js'
import type { AnyLayer } from '../../nn/layers/layer.js'
import { bindInputs } from '../../nn/program/binding.js'
import { init } from '../../nn/program/program.js'
import { ops as registry } from '../../ops/index.js'
import { cotangentArb } from '../arbitraries.js'
import { layerProblem, subjectOf, type CheckLayerOptions, type Subject } from './checkStateThreading.js'
import { dataFor, gentle } from './sampling.js'
import { guarded, misused, once, showData, tried, verdictOf, type Law, type Verdict } from './verdict.js'

type Data = Tree<Tensor | QuantTensor>
type Flat = readonly Tensor[]

const STEP = 1 / 256
const TOLERANCE = 0.03

const runOn = (program: Program, flat: Flat): Flat => {
  const executable = orThrow(reference.prepare(program))
  return orThrow(executable.run(flat)).outputs
}

const nudged = (flat: Flat, at: number, i: number, h: number): Flat =>
  flat.map((t, k) => (k === at ? { shape: t.shape, data: t.data.map((x, e) => (e === i ? x + h : x)) } : t))

/** `Σ g·result`, in double. */
const valueOf = (program: Program, place: number, flat: Flat, g: Tensor): number =>
  runOn(program, flat)[place].data.reduce((sum, x, i) => sum + x * g.data[i], 0)

/** One element: null where the gradient is that of the differences, or these disagree with each other (a kink). */
const elementWrong = (f: (h: number) => number, gradient: number): number | null => {
  const here = f(0)
  const [up, down] = [(f(STEP) - here) / STEP, (here - f(-STEP)) / STEP]
  const middle = (up + down) / 2
  const most = TOLERANCE * (1 + Math.abs(middle))
  if (!Number.isFinite(middle) || Math.abs(up - down) > 2 * most) return null
  return Math.abs(gradient - middle) <= most ? null : middle
}

const MOST_ELEMENTS = 24

type Differentiated = {
  readonly program: Program
  readonly back: Program
  readonly place: number
  readonly estimators: readonly string[]
}

const isWanted = (i: ProgramInput): boolean =>
  i.kind === 'param' || (i.kind === 'data' && i.dtype === undefined && i.part === 'tensor')

/** The path of the gradient of an input: outputs that are gradients have the paths of what they are gradients of. */
const gradientOf = (k: number, program: Program): string => program.inputs[k].path

const gradientWrong = (d: Differentiated, flat: Flat, g: Tensor): string | null => {
  const { program, back, place } = d
  const outputs = runOn(back, [...flat, g])
  const at = new Map(back.graph.outputs.map((id, k) => [id, outputs[k]]))
  for (const [k, i] of program.inputs.entries()) {
    if (!isWanted(i)) continue
    const found = back.outputs.find((o) => o.kind === 'grad' && o.path === gradientOf(k, program))
    const gradient = found === undefined ? undefined : at.get(found.node)
    if (gradient === undefined) return `there is no gradient for ${i.kind} ${JSON.stringify(i.path)}`
    const every = Math.max(1, Math.ceil(gradient.data.length / MOST_ELEMENTS))
    for (let e = 0; e < gradient.data.length; e += every) {
      const middle = elementWrong((h) => valueOf(program, place, nudged(flat, k, e, h), g), gradient.data[e])
      if (middle !== null)
        return `${i.kind} ${JSON.stringify(i.path)}, element ${e}: the gradient is ${gradient.data[e]}, differences give ${middle}`
    }
  }
  return null
}

/** Ops of a program whose gradient is not their derivative, where one is wanted. */
const estimatorsOf = (program: Program): readonly string[] => [
  ...new Set(
    program.graph.nodes.flatMap((n) =>
      n.op.examples.length > 0 &&
      !n.op.smooth &&
      n.op.layout === undefined &&
      n.op.guards !== true &&
      n.inputs.length > 0
        ? [n.op.name]
        : [],
    ),
  ),
]

const differentiatedOf = (s: Subject, mode: 'train' | 'eval'): E.Either<string, Differentiated> => {
  const program = mode === 'train' ? s.train : s.eval
  const results = program.outputs.filter((o) => o.kind === 'result')
  if (results.length !== 1) return E.left(`it gives ${results.length} results; a gradient starts from one`)
  const back = vjpProgram(registry)(program, { inputs: true, cotangent: 'given' })
  if (E.isLeft(back)) return E.left(back.left[0].message)
  const place = program.graph.outputs.indexOf(results[0].node)
  return E.right({ program, back: back.right, place, estimators: estimatorsOf(program) })
}

const gradientLaw = (s: Subject, d: Differentiated, inputs: fc.Arbitrary<Data>): Law<readonly [Data, Tensor]> => {
  const { shape } = d.program.graph.nodes[d.program.graph.outputs[d.place]]
  return {
    law: 'the gradient agrees with differences',
    fix: 'the vjp rule of an op in it: check each with checkOp',
    inputs: fc.tuple(inputs, cotangentArb(shape)),
    holds: ([x, g]) => {
      const { params, state } = orThrow(init(s.layer, 1))
      return gradientWrong(d, orThrow(bindInputs(d.program, { params, state, inputs: x })), g)
    },
    show: ([x, g]) => `the input ${showData(x)} with the cotangent ${showData(g)}`,
    share: sizeOf(shape) > 64 ? 0.2 : 0.5,
  }
}

/**
 * Checks the gradients of a layer, or a loss, with respect to parameters and inputs against central differences, in train mode. Elements at kinks
 * are passed over. Networks with estimators (rounding, binary signs, …) have gradients that are no derivatives on purpose: they are refused, with the names of
 * those ops. Never throws: Left holds what is wrong, with the smallest inputs that were found.
 * @example
 * const verdict = checkGradient(functionLayer('loss', (x: Value) => mean(mul(x, x))), tensorInput([4]))
 */
export const checkGradient = (layer: AnyLayer, declared: unknown, options: CheckLayerOptions = {}): Verdict => {
  const wrong = layerProblem('checkGradient', layer, options)
  if (wrong !== null) return wrong
  const { inputs: own, ...how } = options
  return guarded(layer.layer, () => {
    const s = subjectOf(layer, declared)
    const made = differentiatedOf(s, 'train')
    if (E.isLeft(made))
      return misused(s.name, made.left, 'give a layer with one float result, all of whose ops have a gradient')
    const { estimators } = made.right
    if (estimators.length > 0)
      return misused(
        s.name,
        `${estimators.join(', ')} have gradients that are estimates, not derivatives`,
        'check the float part of it, or the ops by checkOp',
      )
    const inputs = (own as fc.Arbitrary<Data> | undefined) ?? dataFor(declared, gentle)
    return verdictOf(s.name, [
      tried(
        s.name,
        once('it has one result that can be differentiated', '', () => null),
        how,
      ),
      tried(s.name, gradientLaw(s, made.right, inputs), how),
    ])
  })
}
