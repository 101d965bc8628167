/** Runs one program case step by step through the public API. */
import * as E from 'fp-ts/lib/Either.js'
import * as q from '../../src/index.js'
import { buildLayer, endOfCollection, locate, type BuiltLayer } from './build.js'
import { decode, decodeQuant, isQuantJson, type Case, type Step, type ValueJson } from './format.js'
import { callFunction, layerInput } from './interpret.js'
import { leafDifference, valueDifference } from './judge.js'

/** Outcome of a case: what disagrees (null: nothing), and the metadata count over its valid quant values. */
export type Outcome = { readonly difference: string | null; readonly carried: number; readonly valid: number; readonly claims: readonly string[] }

type Trees = { readonly params: Nested; readonly state: Nested }
type Nested = { readonly [k: string]: q.Tensor | Nested }
type AnyModel = q.Layer<Nested, Nested, { readonly [name: string]: q.Value }, { readonly [name: string]: q.Value }>
type Traced = q.Program<Nested, Nested, unknown, { readonly [name: string]: q.Output }>
type Call = (p: unknown, s: unknown, x: unknown) => readonly [q.Value, unknown]

/** Names of results that can't clash with anything. */
const safe = (name: string): string => `v_${name}`

const buildModel = (c: Case, layers: { readonly [id: string]: BuiltLayer }): AnyModel => {
  const forward = (bound: { readonly [id: string]: Call }, params: Nested, state: Nested, inputs: { readonly [name: string]: q.Value }) => {
    const env = new Map(Object.entries(inputs).map(([k, v]) => [k.slice(2), v] as const))
    const after: Record<string, unknown> = {}
    for (const s of c.program) {
      if (s.layer === undefined) env.set(s.out, callFunction(env, s))
      else {
        const [y, next] = bound[s.layer](params[s.layer], after[s.layer] ?? state[s.layer], layerInput(c.layers[s.layer].type, env, s))
        env.set(s.out, y)
        after[s.layer] = next
      }
    }
    return [Object.fromEntries([...env].map(([k, v]) => [safe(k), v])), after]
  }
  return q.model(layers as never, forward as never) as unknown as AnyModel
}

const kindOfZero = (z: q.Tensor, bits: number, signed: boolean): q.ZeroPointKind => {
  if (z.data.every((v) => v === 0)) return 'zero'
  const [lo, hi] = signed ? [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1] : [0, 2 ** bits - 1]
  return z.data.every((v) => Number.isInteger(v) && v >= lo && v <= hi) ? 'integer' : 'any'
}

const declare = (v: ValueJson): q.InputDecl => {
  if (!isQuantJson(v)) return q.tensorInput(v.shape)
  const t = decodeQuant(v)
  const bits = t.bitWidth.data[0]
  return q.quantInput(t.value.shape, { scaleShape: t.scale.shape, zeroPointShape: t.zeroPoint.shape, zeroPoint: kindOfZero(t.zeroPoint, bits, t.signed), bits, signed: t.signed, training: t.training, valid: q.isValidQuantTensor(t) })
}

/** A copy of nested records with one leaf replaced. */
const put = (tree: Nested, path: readonly string[], f: (t: q.Tensor) => q.Tensor): Nested => {
  const [head, ...rest] = path
  const child = tree[head]
  if (child === undefined) return tree
  return { ...tree, [head]: rest.length === 0 ? f(child as q.Tensor) : put(child as Nested, rest, f) }
}

const get = (tree: Nested, path: readonly string[]): q.Tensor | undefined =>
  path.reduce<unknown>((t, k) => (typeof t === 'object' && t !== null ? (t as Nested)[k] : undefined), tree) as q.Tensor | undefined

/** The leaf of a state key: a parameter, or a leaf of state (where a binary layer keeps its weight). */
const whereIs = (trees: Trees, key: string): { readonly which: 'params' | 'state'; readonly path: readonly string[] } => {
  const { layer, path } = locate(key)
  const full = [layer, ...path.split('.')]
  return { which: get(trees.params, full) === undefined ? 'state' : 'params', path: full }
}

const load = (c: Case, trees: Trees): Trees => {
  let t = trees
  const batchNorms = new Map<string, Record<string, q.Tensor>>()
  for (const [key, json] of Object.entries(c.init ?? {})) {
    const { which, path } = whereIs(t, key)
    if (/ToQuantScaleBias$/.test(c.layers[path[0]].type)) batchNorms.set(path[0], { ...batchNorms.get(path[0]), [path[1]]: decode(json) })
    t = { ...t, [which]: put(t[which], path, (old) => ({ ...old, data: decode(json).data })) }
    const end = endOfCollection(c, key)
    if (end !== null) t = { ...t, state: put(t.state, end.path.split('.'), () => q.scalar(end.value)) }
  }
  for (const [id, bn] of batchNorms) if (bn.runningMean !== undefined) {
    const eps = c.layers[id].kwargs.eps
    const folded = q.foldBatchNorm(bn as never, typeof eps === 'number' ? eps : 1e-5)
    t = { ...t, params: { ...t.params, [id]: folded } }
  }
  return t
}

const sgd = (trees: Trees, grads: q.Grads, lr: number): Trees => {
  const rate = Math.fround(lr)
  const walk = (tree: Nested, g: unknown): Nested =>
    Object.fromEntries(Object.entries(tree).map(([k, t]) => {
      const own = typeof g === 'object' && g !== null ? (g as Nested)[k] : undefined
      if (own === undefined) return [k, t]
      if (!('data' in t && t.data instanceof Float32Array)) return [k, walk(t as Nested, own)]
      const leaf = t as q.Tensor
      return [k, { ...leaf, data: leaf.data.map((p, i) => p - Math.fround(rate * (own as q.Tensor).data[i])) }]
    }))
  return { params: walk(trees.params, grads.params), state: walk(trees.state, grads.state) }
}

const unwrap = <A>(e: E.Either<q.QuantErrors, A>): A => {
  if (E.isLeft(e)) throw new Refused(e.left)
  return e.right
}

/** Errors of the library, thrown through the runner only. */
export class Refused extends Error {
  constructor(readonly errors: q.QuantErrors) {
    super(q.explainAll(errors))
  }
}

type Metadata = { readonly difference: string | null; readonly carried: number; readonly valid: number; readonly claims: readonly string[] }

/** Brevitas' quant ⇔ carries or claimed; where Brevitas found it invalid we must not say carries. */
const judgeMetadata = (c: Case, step: Step, program: Traced): Metadata => {
  const inputsValid = Object.values(step.inputs).every((v) => !isQuantJson(v) || q.isValidQuantTensor(decodeQuant(v)))
  const claims: string[] = []
  let [carried, valid] = [0, 0]
  let difference: string | null = null
  const all = { ...step.expect?.values, ...(step.expect?.y === undefined ? {} : { [c.output ?? c.program[c.program.length - 1].out]: step.expect.y }) }
  for (const [name, expected] of Object.entries(all)) {
    const output = program.outputs.find((o) => o.kind === 'result' && o.path === safe(name))
    if (output === undefined) continue
    const { carried: mine } = program.graph.nodes[output.node]
    const quant = mine.tag === 'carries' || mine.tag === 'claimed'
    if (quant !== (expected.kind === 'quant')) difference ??= `values/${name}: Brevitas gives a ${expected.kind}, but the trace says ${mine.tag}`
    if (expected.kind !== 'quant') continue
    const bits = decode(expected.bit_width ?? { shape: [], data: [0] }).data[0]
    if (expected.is_valid === false && bits >= 2 && !c.tags.includes('nonfinite') && inputsValid && mine.tag === 'carries') difference ??= `values/${name}: Brevitas finds it invalid, but the trace says carries`
    if (expected.is_valid === true) {
      valid++
      if (mine.tag === 'carries') carried++
      else if (mine.tag === 'claimed') claims.push(mine.why)
    }
  }
  return { difference, carried, valid, claims }
}

const gradientOf = (grads: q.Grads, step: Step, trees: Trees, key: string): q.Tensor | undefined => {
  if (Object.hasOwn(step.inputs, key)) return (grads.inputs as Nested)[safe(key)] as q.Tensor | undefined
  const { which, path } = whereIs(trees, key)
  return get(grads[which] as Nested, path)
}

/** Runs all steps; a thrown `Refused` is the library saying no. `onStep` is told each step that ran. */
export const executeCase = (c: Case, backend: q.Backend, onStep: (index: number) => void = () => undefined): Outcome => {
  const layers = Object.fromEntries(Object.entries(c.layers).map(([id, spec]) => [id, buildLayer(spec)]))
  const model = buildModel(c, layers)
  const initial = unwrap(q.init(model, 0))
  let trees = load(c, { params: initial.params, state: initial.state })
  const output = safe(c.output ?? c.program[c.program.length - 1].out)
  let [carried, valid] = [0, 0]
  const claims: string[] = []
  const note = (difference: string | null, index: number): string | null => (difference === null ? null : `step ${index}: ${difference}`)
  for (const [index, step] of c.steps.entries()) {
    const decls = Object.fromEntries(Object.entries(step.inputs).map(([k, v]) => [safe(k), declare(v)]))
    const data = Object.fromEntries(Object.entries(step.inputs).map(([k, v]) => [safe(k), isQuantJson(v) ? decodeQuant(v) : decode(v)]))
    const program = unwrap(q.trace(model, decls, { mode: step.mode })) as Traced
    const ran = step.output_grad === undefined
      ? unwrap(unwrap(q.compile(program, backend)).run({ ...trees, inputs: data }))
      : unwrap(unwrap(q.compile(unwrap(q.vjp(program, { output, inputs: true })), backend)).run({ ...trees, inputs: { inputs: data, cotangent: decode(step.output_grad) } }))
    trees = { params: trees.params, state: ran.state }
    if (step.sgd !== undefined) trees = sgd(trees, ran.grads, step.sgd.lr)
    onStep(index)
    const { expect } = step
    if (expect === undefined) continue
    const meta = judgeMetadata(c, step, program)
    carried += meta.carried
    valid += meta.valid
    claims.push(...meta.claims)
    const differences: (string | null)[] = []
    if (expect.y !== undefined) differences.push(valueDifference('y', expect.y, ran.outputs[output], c.compare))
    for (const [name, v] of Object.entries(expect.values ?? {})) differences.push(valueDifference(`values/${name}`, v, ran.outputs[safe(name)], c.compare))
    for (const [key, t] of Object.entries(expect.grads ?? {})) {
      differences.push(leafDifference('grads', key, t, gradientOf(ran.grads, step, trees, key), c.compare))
    }
    for (const [key, t] of Object.entries(expect.state ?? {})) {
      const { which, path } = whereIs(trees, key)
      differences.push(leafDifference('state', key, t, get(trees[which], path), c.compare))
    }
    differences.push(meta.difference)
    const bad = differences.find((d) => d !== null) ?? null
    if (bad !== null) return { difference: note(bad, index), carried, valid, claims }
  }
  return { difference: null, carried, valid, claims }
}
