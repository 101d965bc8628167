/** From a network to integers alone: `toInteger`. */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantErrors } from '../data/error.js'
import { fieldProblems, oneOf, record } from '../data/fields.js'
import { quantOf } from '../data/quant.js'
import type { Tensor } from '../data/tensor.js'
import { mapTree } from '../data/tree.js'
import { programProblems, type Program, type ProgramInput } from '../graph/program.js'
import type { Specialized } from '../graph/specialize.js'
import { specialize } from '../nn/program/specialize.js'
import { entryOf } from './borders.js'
import { fixedProblems } from './checks.js'
import { innerTaps, lowerAll, settleResults, type Border as LoweredBorder } from './lower/lower.js'
import { newSession, type Integer, type Requantization, type Session } from './lower/session.js'
import type { Border, IntegerProgram } from './program.js'
import { bitsFor } from './values.js'

/** How an integer program is made. */
export type IntegerOptions = {
  /**
   * `auto` (default): multiplier and shift where they are right for all but one in ten thousand of the integers that can come in, and never more
   * than a step off; else exactly, by thresholds or a table. `multiplier`: wherever they are at most a step off. `thresholds`: only where they are exact.
   */
  readonly requantization?: Requantization
  /** Scale and zero point of quant tensors that are inputs, by path: they become constants. */
  readonly quantInputs?: { readonly [path: string]: { readonly scale: Tensor; readonly zeroPoint: Tensor } }
}

const FIELDS = { requantization: oneOf('auto', 'multiplier', 'thresholds'), quantInputs: record }

const modeProblems = (program: Program): QuantErrors =>
  program.mode === 'eval'
    ? []
    : [
        {
          tag: 'ExportError',
          op: 'trace',
          path: '',
          message: 'this program was traced in train; a network on integers computes as in eval',
          fix: "trace the network anew: trace(net, inputs, { mode: 'eval' })",
        },
      ]

/** The network with its parameters folded in, quantizers of weights kept. Deterministic: made twice, node for node the same. */
export const fixedOf = (
  program: Program,
  fixed: { readonly params: unknown; readonly state: unknown },
  quantInputs: IntegerOptions['quantInputs'],
): E.Either<QuantErrors, Specialized> =>
  specialize(program, fixed, {
    keep: (node) => node.op.births === true,
    ...(quantInputs === undefined ? {} : { quantInputs }),
  })

const borderIn = ({ name, node, integer, bits, signed }: LoweredBorder): Border => ({
  name,
  shape: node.shape,
  node: integer.value.id,
  scale: integer.grid.scale,
  zeroPoint: integer.grid.zeroPoint,
  bits,
  signed,
  range: integer.range,
})

const resultsOf = (s: Session, made: readonly Integer[]): readonly Border[] =>
  s.fixed.program.outputs.map((o, k): Border => {
    const { value, range, grid } = made[k]
    const q = quantOf(s.fixed.program.graph.nodes[o.node].carried)
    const { bits, signed } = q ?? bitsFor(range)
    return { name: o.path, shape: value.shape, node: value.id, ...grid, bits, signed, range }
  })

/** The integer graph as a program. */
const assembled = (s: Session, inputs: readonly Border[], outputs: readonly Border[]): Program => {
  const graph = s.b.finish(outputs.map((o) => s.b.value(o.node)))
  const params = [...s.keys].map(([node, key]): ProgramInput => ({
    kind: 'param',
    path: key,
    node,
    shape: graph.nodes[node].shape,
    learned: false,
    part: 'tensor',
  }))
  const data = inputs.map((i): ProgramInput => ({
    kind: 'data',
    path: i.name,
    node: i.node,
    shape: i.shape,
    learned: false,
    part: 'tensor',
  }))
  const isIndex = (x: unknown): x is number => typeof x === 'number'
  return {
    version: 1,
    mode: 'eval',
    strict: false,
    graph,
    inputs: [...data, ...params],
    outputs: outputs.map((o) => ({ kind: 'result', path: o.name, node: o.node })),
    structure: {
      data: Object.fromEntries(inputs.map((i, k) => [i.name, k])),
      params: Object.fromEntries(params.map((p, k) => [p.path, data.length + k])),
      state: {},
      results: mapTree(isIndex, s.fixed.program.structure.results, (i) => i),
      nextState: {},
      grads: null,
    },
  }
}

const nothingQuantized: QuantErrors = [
  {
    tag: 'ExportError',
    op: 'trace',
    path: '',
    message: 'no result of this program is behind a quantizer of its inputs: there are no integers to compute with',
    fix: 'quantize the input with a QuantIdentity, and trace with inputs that are data',
  },
]

/**
 * The network as a program of integers only, for one set of parameters and state. Convolutions and linear layers sum products of integers in accumulators
 * whose range is proved from the actual weights; whatever stands between an accumulator and the next quantizer (bias, batch norm, ReLU, tanh) is one function
 * of an integer, found by asking the float ops themselves, and becomes a multiplier and shift, thresholds, or a table. Where all scales are powers of two the
 * integers are those of the float program; else a layer that is given the same integers gives the same ones or, here and there, one a step apart, and with
 * `requantization: 'thresholds'` only where float32's own sums fall to the other side of a tie. `compareInteger` measures each of these. Errors: an ExportError for every place that
 * prevents it, with layer, reason and fix, all at once.
 * @example
 * ```ts
 * import { chain, init, orThrow, QuantIdentity, QuantLinear, tensorInput, trace } from 'quantrace'
 * import { toInteger } from 'quantrace/integer'
 *
 * const net = chain({
 *   input: QuantIdentity({ returnQuantTensor: true }),
 *   fc: QuantLinear({ inFeatures: 2, outFeatures: 1 }),
 * })
 * const program = orThrow(trace(net, tensorInput([1, 2]), { mode: 'eval' }))
 * const integer = orThrow(toInteger(program, orThrow(init(net, 0))))
 * console.log(integer.program.graph.nodes.length > 0)
 * ```
 * ```text
 * true
 * ```
 */
export const toInteger = <P, S, I, O>(
  program: Program<P, S, I, O>,
  fixed: { readonly params: P; readonly state: S },
  options: IntegerOptions = {},
): E.Either<QuantErrors, IntegerProgram> => {
  const wrong = [
    ...programProblems('toInteger', program),
    ...fixedProblems('toInteger', fixed),
    ...fieldProblems('toInteger', options, FIELDS),
  ]
  const problems = wrong.length > 0 ? wrong : modeProblems(program as Program)
  if (problems.length > 0) return E.left(problems)
  const special = fixedOf(program as Program, fixed, options.quantInputs)
  return E.isLeft(special) ? special : lowered(newSession(special.right, options.requantization ?? 'auto'))
}

const lowered = (s: Session): E.Either<QuantErrors, IntegerProgram> => {
  const borders = lowerAll(s)
  const results = settleResults(s).filter((r) => r !== null)
  if (s.errors.length > 0) return E.left(unique(s.errors))
  if (borders.length === 0 || results.length < s.fixed.program.outputs.length) return E.left(nothingQuantized)
  const inputs = borders.map(borderIn)
  const outputs = resultsOf(s, results)
  return E.right({
    version: 1,
    program: assembled(s, inputs, outputs),
    constants: s.constants,
    inputs,
    outputs,
    entry: entryOf(s.fixed, borders),
    accumulators: s.accumulators,
    requantizations: s.requantizations,
    biases: s.biases,
    taps: s.taps,
    inner: innerTaps(s),
  })
}

/** A place that several others ran into is named once. */
const unique = (errors: QuantErrors): QuantErrors => {
  const seen = new Set<string>()
  return errors.filter((e) => {
    const key = `${e.path}|${e.message}`
    if (seen.has(key)) return false
    seen.add(key)
    return true
  })
}
