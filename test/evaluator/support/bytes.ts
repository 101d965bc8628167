/** Plans that store bytes beside plans that store none. */
import assert from 'node:assert/strict'
import type { Tensor } from '../../../src/data/tensor.js'
import type * as q from '../../../src/index.js'
import { newMath } from '../../../src/evaluator/wasm/kernels/math.js'
import { load, loadGuarded, type Loaded } from '../../../src/evaluator/wasm/load.js'
import type { Plan } from '../../../src/evaluator/wasm/placing.js'
import { planOf } from '../../../src/evaluator/wasm/planning.js'
import { bindInputs } from '../../../src/nn/program/binding.js'
import { misplaced } from './placement.js'
import { assertSame, get } from './programs.js'

/** What a program is run on. */
export type Args = { readonly params: unknown; readonly state: unknown; readonly inputs: unknown }

/** The plan with bytes, and the one without. */
export const plansOf = (
  program: q.Program,
  inputs: readonly Tensor[],
): { readonly bytes: Plan; readonly plain: Plan } => {
  const plan = (bytes: boolean): Plan => planOf(program, (i) => inputs[i].data, [], newMath(), { bytes })
  return { bytes: plan(true), plain: plan(false) }
}

/** Copies inputs in, runs, and copies the outputs out. */
export const outputsOf = (loaded: Loaded, inputs: readonly Tensor[], all: boolean): readonly Tensor[] => {
  inputs.forEach((t, i) => loaded.inputs[i].data.set(t.data))
  assert.equal(loaded.execute(all), null)
  return loaded.outputs.map((t) => ({ ...t, data: t.data.slice() }))
}

/** Both plans over several inputs, one after the other; gives how many values were bytes, and how often the guard was raised. */
export const compared = (program: q.Program, args: Args, others: readonly Tensor[], what: string) => {
  const first = get(bindInputs(program, args))
  const at = program.inputs.findIndex((p) => p.kind === 'data')
  const { bytes, plain } = plansOf(program, first)
  assert.deepEqual(misplaced(bytes, []), [], what)
  const a = get(load(program, plain, null))
  const b = get(loadGuarded(program, bytes, (read) => planOf(program, read, [], newMath()), null))
  let raised = 0
  for (const [k, x] of [first[at], ...others, first[at]].entries()) {
    const inputs = first.with(at, x)
    const expected = outputsOf(a, inputs, k === 0)
    outputsOf(b, inputs, k === 0).forEach((t, i) => assertSame(t, expected[i], `${what}: output ${i} of input ${k}`))
    if (b.isUnfit()) raised++
  }
  a.dispose()
  b.dispose()
  return { bytes: bytes.byteGrids.size, raised }
}

/** A tensor with one number changed. */
export const changed = (x: Tensor, at: number, value: number): Tensor => ({
  ...x,
  data: x.data.map((v, i) => (i === at % x.data.length ? value : v)),
})
