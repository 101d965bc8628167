/** All laws of a layer: state, metadata, backends, stored forms, gradients. */
import * as E from 'fp-ts/lib/Either.js'
import type fc from 'fast-check'
import { orThrow } from '../../data/error.js'
import { isQuantTensor, isValidQuantTensor, type Output, type QuantTensor } from '../../data/quantTensor.js'
import { isTensor, type Tensor } from '../../data/tensor.js'
import { leaves, type Tree } from '../../data/tree.js'
import { fastestHere } from '../../evaluator/fastest.js'
import { reference } from '../../evaluator/reference/reference.js'
import { parseProgram, programToJSON } from '../../graph/json.js'
import type { Program } from '../../graph/program.js'
import type { AnyLayer } from '../../nn/layers/layer.js'
import { bindInputs } from '../../nn/program/binding.js'
import { init, run } from '../../nn/program/program.js'
import { specialize } from '../../nn/program/specialize.js'
import { ops as registry } from '../../ops/index.js'
import { differenceOf, disturbedTables, type Computed } from '../agree.js'
import { rebuilt } from './rebuilt.js'
import { computedBy } from './programLaw.js'
import { dataFor } from './sampling.js'
import {
  layerProblem,
  stateLaws,
  staticStateLaws,
  subjectOf,
  type CheckLayerOptions,
  type Subject,
} from './checkStateThreading.js'
import { guarded, showData, tried, verdictOf, type Law, type Verdict } from './verdict.js'

type Data = Tree<Tensor | QuantTensor>

/** The state after a first training step: quantizers hold something then. */
const begun = (s: Subject, x: Data): { readonly params: unknown; readonly state: unknown } => {
  const { params, state } = orThrow(init(s.layer, 1))
  return { params, state: orThrow(run(s.train, { params, state, inputs: x } as never)).state }
}

const isOutput = (x: unknown): x is Output =>
  isTensor(x) || (typeof x === 'object' && x !== null && isQuantTensor(x as Output))

/** Results that the trace says carry lie on their grids. */
const resultsValid = (s: Subject, x: Data): string | null => {
  for (const program of [s.train, s.eval]) {
    const ran = orThrow(run(program, { ...begun(s, x), inputs: x } as never))
    const found = leaves(isOutput, ran.outputs)
    const carrying = program.outputs.filter(
      (o) => o.kind === 'result' && program.graph.nodes[o.node].carried.tag === 'carries',
    )
    for (const { path } of carrying) {
      const out = found.find((l) => l.path === path)?.leaf
      if (out === undefined || !isQuantTensor(out) || !isValidQuantTensor(out))
        return `the result ${JSON.stringify(path)} carries metadata in ${program.mode}, and is not on its grid`
    }
  }
  return null
}

const flatOf = (program: Program, s: Subject, x: Data): readonly Tensor[] =>
  orThrow(bindInputs(program, { ...begun(s, x), inputs: x }))

/** The reference with the liberties of sums taken in other ways. */
const disturbedRuns = (program: Program, flat: readonly Tensor[]) => (): readonly Computed[] =>
  disturbedTables(registry).map((t) => computedBy(reference, rebuilt(program, t), flat))

const backendsAgree = (s: Subject, x: Data): string | null => {
  const backend = fastestHere()
  for (const program of [s.train, s.eval]) {
    const flat = flatOf(program, s, x)
    const apart = differenceOf(
      computedBy(reference, program, flat),
      computedBy(backend, program, flat),
      disturbedRuns(program, flat),
    )
    if (apart !== null) return `${backend.name} and the reference differ in ${program.mode}: ${apart}`
  }
  return null
}

const storesWell = (s: Subject, x: Data): string | null => {
  const read = parseProgram(registry)(programToJSON(s.eval))
  if (E.isLeft(read)) return `the program can't be read again: ${read.left[0].message}`
  // What the trace proved of loops a file only claims: from then on nothing changes.
  const text = programToJSON(read.right)
  const again = parseProgram(registry)(text)
  if (E.isLeft(again) || programToJSON(again.right) !== text) return 'the program is stored otherwise the second time'
  const flat = flatOf(s.eval, s, x)
  return differenceOf(computedBy(reference, s.eval, flat), computedBy(reference, read.right, flat), () => [])
}

const specializesWell = (s: Subject, x: Data): string | null => {
  const fixed = begun(s, x)
  const made = specialize(s.eval as Program<unknown, unknown>, fixed)
  const direct = run(s.eval, { ...fixed, inputs: x } as never)
  if (E.isLeft(made) || E.isLeft(direct))
    return E.isLeft(made) === E.isLeft(direct) ? null : 'of the program and its specialized form one fails'
  const { program, constants } = made.right
  const special = run(program as Program, { params: constants, state: {}, inputs: x } as never)
  if (E.isLeft(special)) return `the specialized program fails: ${special.left[0].message}`
  return showData(direct.right.outputs) === showData(special.right.outputs)
    ? null
    : 'the specialized program gives something else'
}

const FIX = {
  valid: 'a quantizer or an op of the layer promises what does not hold: check each with checkOp',
  backends: 'an op of the layer: check each with checkOp; or the backend: checkBackend',
  stored: 'ops of your own must be in the registry that parses, attributes must be JSON',
  special: 'a rule that depends on more than its operands: evaluate, or a phase whose counter is no leaf of state',
} as const

/** The laws of a layer beside those of its state. */
const numberLaws = (s: Subject, inputs: fc.Arbitrary<Data>): readonly Law<Data>[] => {
  const law = (name: string, fix: string, share: number, holds: (s: Subject, x: Data) => string | null): Law<Data> => ({
    law: name,
    fix,
    inputs,
    share,
    holds: (x) => holds(s, x),
    show: (x) => `the input ${showData(x)}`,
  })
  return [
    law('results that carry lie on their grids', FIX.valid, 1, resultsValid),
    law('backends agree', FIX.backends, 0.3, backendsAgree),
    law('a stored program is the program', FIX.stored, 0.2, storesWell),
    law('the specialized program is the program', FIX.special, 0.5, specializesWell),
  ]
}

/**
 * Checks a layer, or a whole network: its state is threaded and none of it forgotten (`checkStateThreading`), results that carry metadata lie on their
 * grids, backends agree, its program can be stored and specialized. `declared` are its inputs, as for `trace`. Never throws: Left holds each broken law
 * with the smallest inputs that were found.
 * @example
 * const verdict = checkLayer(mine, tensorInput([2, 4]))
 * assert.ok(isRight(verdict), showVerdict(verdict))
 */
export const checkLayer = (layer: AnyLayer, declared: unknown, options: CheckLayerOptions = {}): Verdict => {
  const wrong = layerProblem('checkLayer', layer, options)
  if (wrong !== null) return wrong
  const { inputs: own, ...how } = options
  return guarded(layer.layer, () => {
    const s = subjectOf(layer, declared)
    const inputs = (own as fc.Arbitrary<Data> | undefined) ?? dataFor(declared)
    return verdictOf(s.name, [
      ...staticStateLaws(s).map((l) => tried(s.name, l, how)),
      ...stateLaws(s, inputs).map((l) => tried(s.name, l, how)),
      ...numberLaws(s, inputs).map((l) => tried(s.name, l, how)),
    ])
  })
}
