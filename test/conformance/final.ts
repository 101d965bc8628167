/** The end of a program case, for the formats that it is written to: its program in evaluation mode, its final state, its last inputs. */
import * as E from 'fp-ts/lib/Either.js'
import * as q from '../../src/index.js'
import { declare, mapNames, modelOf, runStep, type ByName, type CaseModel, type CaseProgram } from './execute.js'
import { decode, decodeQuant, isQuantJson, outputOf, safe, type Case } from './format.js'
import { loadInit, sgd, type Trees } from './state.js'

/** Is it a case with steps that all must succeed? */
export const isProgramCase = (c: Case): boolean => c.steps.length > 0 && c.expect_error === undefined

/** All that is known at the end of a case; or what was refused on the way. */
export type Final = {
  readonly model: CaseModel
  readonly trees: Trees
  /** Trees after the first training step, unless that is the last step. */
  readonly mid: Trees | null
  readonly inputs: ByName<q.Tensor | q.QuantTensor>
  readonly declared: ByName<q.InputDecl>
}

/** Runs all steps, on the reference, their gradient steps included. */
export const finalOf = (c: Case): E.Either<q.QuantErrors, Final> => {
  const model = modelOf(c)
  const first = q.init(model, 0)
  if (E.isLeft(first)) return first
  let trees = loadInit(c, first.right)
  let mid: Trees | null = null
  for (const [index, step] of c.steps.entries()) {
    const traced = q.trace(model, mapNames(step.inputs, declare), { mode: step.mode })
    if (E.isLeft(traced)) return traced
    const ran = runStep(step, traced.right as CaseProgram, safe(outputOf(c)), trees, q.reference)
    if (E.isLeft(ran)) return ran
    const after = { params: trees.params, state: ran.right.state }
    trees = step.sgd === undefined ? after : sgd(after, ran.right.grads, step.sgd.lr)
    if (mid === null && step.mode === 'train' && index < c.steps.length - 1) mid = trees
  }
  const last = c.steps[c.steps.length - 1]
  return E.right({
    model,
    trees,
    mid,
    inputs: mapNames(last.inputs, (v) => (isQuantJson(v) ? decodeQuant(v) : decode(v))),
    declared: mapNames(last.inputs, declare),
  })
}

/** The program of a case in evaluation mode, with its output as the one result. */
export const evalProgram = (c: Case, { model, declared }: Final): E.Either<q.QuantErrors, CaseProgram> => {
  const output = safe(outputOf(c))
  return E.map((p: q.Program): CaseProgram => {
    const kept = p.outputs.filter((o) => o.kind === 'result' && o.path === output)
    return {
      ...p,
      outputs: kept,
      structure: { ...p.structure, results: { [output]: 0 }, nextState: {} },
    } as CaseProgram
  })(q.trace(model, declared, { mode: 'eval' }) as E.Either<q.QuantErrors, q.Program>)
}
