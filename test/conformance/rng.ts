/** Generator cases: draws of torch's CPU generator, one after another. */
import * as q from '../../src/index.js'
import { decode, type Json, type RngCall, type RngCase, type TensorJson } from './format.js'
import { tensorDifference } from './judge.js'

type Draw = (g: q.Generator) => readonly [q.Tensor, q.Generator]

const num = (a: Json, key: string, fallback: number): number => (typeof a[key] === 'number' ? (a[key] as number) : fallback)

const drawOf = (call: RngCall): Draw | null => {
  const shape = call.shape ?? []
  const a = call.attrs ?? {}
  switch (call.fn) {
    case 'rand': return q.rand(shape)
    case 'randn': return q.randn(shape)
    case 'randint': return q.randint(num(a, 'low', 0), num(a, 'high', 1), shape)
    case 'randperm': return q.randperm(shape[0])
    case 'bernoulli': return q.bernoulli(num(a, 'p', 0.5), shape)
    case 'uniform_': return q.uniform(num(a, 'a', 0), num(a, 'b', 1), shape)
    case 'normal_': return q.normal(num(a, 'mean', 0), num(a, 'std', 1), shape)
    case 'kaiming_uniform_': return q.kaimingUniform({ a: num(a, 'a', 0) })(shape)
    case 'kaiming_normal_': return q.kaimingNormal({ a: num(a, 'a', 0) })(shape)
    case 'xavier_uniform_': return q.xavierUniform({})(shape)
    default: return null
  }
}

const api: { readonly [name: string]: unknown } = q
const camel = (name: string): string => name.replace(/_([a-z0-9])/g, (_, c: string) => c.toUpperCase())

/** A layer's parameters, drawn through the layer itself. */
const drawLayer = (call: RngCall, g: q.Generator): { readonly weight: q.Tensor; readonly bias?: q.Tensor; readonly next: q.Generator } => {
  const make = api[call.fn.replace(/^torch\.nn\./, '')]
  if (typeof make !== 'function') throw new Error(`no layer ${call.fn}`)
  const layer = (make as (o: Json) => q.Layer<{ readonly weight: q.Tensor; readonly bias?: q.Tensor }, q.TensorTree>)(Object.fromEntries(Object.entries(call.attrs ?? {}).map(([k, v]) => [camel(k), v])))
  const made = q.init(layer, g)
  if (made._tag === 'Left') throw new Error(q.explainAll(made.left))
  return { ...made.right.params, next: made.right.generator }
}

/** The first difference of a generator case, or null. */
export const rngDifference = (c: RngCase): string | null => {
  let g = q.manualSeed(BigInt(c.seed))
  for (const [i, call] of c.calls.entries()) {
    const draw = drawOf(call)
    const expected = call.expect as TensorJson & { readonly weight?: TensorJson; readonly bias?: TensorJson | null }
    if (draw !== null) {
      const [t, next] = draw(g)
      g = next
      const bad = tensorDifference(`call ${i} ${call.fn}`, decode(expected), t, call.compare)
      if (bad !== null) return bad
      continue
    }
    const made = drawLayer(call, g)
    g = made.next
    for (const name of ['weight', 'bias'] as const) {
      const want = expected[name]
      const mine = made[name]
      if (want === undefined || want === null) continue
      const bad = mine === undefined ? `call ${i} ${call.fn}: no ${name}` : tensorDifference(`call ${i} ${call.fn}.${name}`, decode(want), mine, call.compare)
      if (bad !== null) return bad
    }
  }
  return null
}
