/** Generator cases: draws of torch's CPU generator, one after another. */
import * as q from '../../src/index.js'
import { buildLayer } from './build.js'
import { decode, type Json, type RngCall, type RngCase, type TensorJson, type Tolerance } from './format.js'
import { tensorDifference } from './judge.js'

type Draw = (g: q.Generator) => readonly [q.Tensor, q.Generator]

const num = (a: Json, key: string, fallback: number): number =>
  typeof a[key] === 'number' ? (a[key] as number) : fallback

const drawOf = (call: RngCall): Draw | null => {
  const shape = call.shape ?? []
  const a = call.attrs ?? {}
  switch (call.fn) {
    case 'rand':
      return q.rand(shape)
    case 'randn':
      return q.randn(shape)
    case 'randint':
      return q.randint(num(a, 'low', 0), num(a, 'high', 1), shape)
    case 'randperm':
      return q.randperm(shape[0])
    case 'bernoulli':
      return q.bernoulli(num(a, 'p', 0.5), shape)
    case 'uniform_':
      return q.uniform(num(a, 'a', 0), num(a, 'b', 1), shape)
    case 'normal_':
      return q.normal(num(a, 'mean', 0), num(a, 'std', 1), shape)
    case 'kaiming_uniform_':
      return q.kaimingUniform({ a: num(a, 'a', 0) })(shape)
    case 'kaiming_normal_':
      return q.kaimingNormal({ a: num(a, 'a', 0) })(shape)
    case 'xavier_uniform_':
      return q.xavierUniform({})(shape)
    default:
      if (!/^(torch\.nn\.|Quant)/.test(call.fn)) throw new Error(`no function ${call.fn}`)
      return null
  }
}

/** A layer's parameters, drawn through the layer itself. */
const drawLayer = (call: RngCall, g: q.Generator): { readonly params: Json; readonly next: q.Generator } => {
  const layer = buildLayer({ type: call.fn, kwargs: call.attrs ?? {} }) as unknown as q.Layer<Json, Json>
  const made = q.orThrow(q.init(layer, g))
  return { params: made.params, next: made.generator }
}

/** The first difference of a layer's parameters from what torch draws; null stands for a bias that must not be there. */
const layerDifference = (
  what: string,
  expected: { readonly [name: string]: TensorJson | null },
  params: Json,
  t: Tolerance,
): string | null =>
  ['weight', 'bias']
    .map((name) => {
      const [want, mine] = [expected[name] ?? null, params[name] as q.Tensor | undefined]
      if (want === null) return mine === undefined ? null : `${what}: there is a ${name}, which torch does not have`
      return mine === undefined
        ? `${what}: there is no ${name}`
        : tensorDifference(`${what}.${name}`, decode(want), mine, t)
    })
    .find((d) => d !== null) ?? null

/** The first difference of a generator case, or null. */
export const rngDifference = (c: RngCase): string | null => {
  let g = q.manualSeed(BigInt(c.seed))
  for (const [i, call] of c.calls.entries()) {
    const what = `call ${i} ${call.fn}`
    const draw = drawOf(call)
    let bad: string | null
    if (draw === null) {
      const { params, next } = drawLayer(call, g)
      bad = layerDifference(what, call.expect as { readonly [name: string]: TensorJson | null }, params, call.compare)
      g = next
    } else {
      const [t, next] = draw(g)
      bad = tensorDifference(what, decode(call.expect as TensorJson), t, call.compare)
      g = next
    }
    if (bad !== null) return bad
  }
  return null
}
