/** The end of a program case, for the formats that it is written to: its program in evaluation mode, its final state, its last inputs. */
import * as E from 'fp-ts/lib/Either.js'
import * as q from '../../src/index.js'
import { programOf, type Now } from './actions.js'
import {
  declare,
  doStep,
  layersOf,
  mapNames,
  modelOf,
  type ByName,
  type CaseModel,
  type CaseProgram,
} from './execute.js'
import { decode, decodeQuant, isQuantJson, outputOf, safe, type Case } from './format.js'
import { loadInit, type Trees } from './state.js'

/** Is it a case with steps that all must succeed? */
export const isProgramCase = (c: Case): boolean => c.steps.length > 0 && c.expect_error === undefined

/** All that is known at the end of a case; or what was refused on the way. */
export type Final = {
  readonly model: CaseModel
  /** The name of its output among the model's results. */
  readonly output: string
  readonly trees: Trees
  /** The model and its trees after the first training step, unless that is the last step. */
  readonly mid: { readonly model: CaseModel; readonly trees: Trees } | null
  readonly inputs: ByName<q.Tensor | q.QuantTensor>
  readonly declared: ByName<q.InputDecl>
}

/** Runs all steps, on the reference, their gradient steps and their actions included. */
export const finalOf = (c: Case): E.Either<q.QuantErrors, Final> => {
  const layers = layersOf(c)
  const first = q.init(modelOf(c, layers), 0)
  if (E.isLeft(first)) return first
  let now: Now = { layers, trees: loadInit(c, first.right) }
  let mid: Final['mid'] = null
  for (const [index, step] of c.steps.entries()) {
    const { done } = doStep(c, step, now, q.reference)
    if (E.isLeft(done)) return done
    now = done.right
    if (mid === null && step.mode === 'train' && index < c.steps.length - 1)
      mid = { model: modelOf(c, now.layers, programOf(c, step)), trees: now.trees }
  }
  const last = c.steps[c.steps.length - 1]
  const statements = programOf(c, last)
  return E.right({
    model: modelOf(c, now.layers, statements),
    output: safe(outputOf(c, statements)),
    trees: now.trees,
    mid,
    inputs: mapNames(last.inputs, (v) => (isQuantJson(v) ? decodeQuant(v) : decode(v))),
    declared: mapNames(last.inputs, declare),
  })
}

/** The program of a case in evaluation mode, with its output as the one result. */
export const evalProgram = ({ model, declared, output }: Final): E.Either<q.QuantErrors, CaseProgram> => {
  return E.map((p: q.Program): CaseProgram => {
    const kept = p.outputs.filter((o) => o.kind === 'result' && o.path === output)
    return {
      ...p,
      outputs: kept,
      structure: { ...p.structure, results: { [output]: 0 }, nextState: {} },
    } as CaseProgram
  })(q.trace(model, declared, { mode: 'eval' }) as E.Either<q.QuantErrors, q.Program>)
}

/** The model of a case at one of its steps: the case's own, unless an action changed it before. */
export const modelAt = (c: Case, step: number): E.Either<q.QuantErrors, Pick<Final, 'model' | 'output'>> =>
  c.steps.some((s) => s.before !== undefined || s.program !== undefined)
    ? finalOf({ ...c, steps: c.steps.slice(0, step + 1) })
    : E.right({ model: modelOf(c), output: safe(outputOf(c)) })
