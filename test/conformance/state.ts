/** State keys of case files and our trees of parameters and state: finding, loading, stepping by SGD. */
import * as q from '../../src/index.js'
import { BREVITAS_STEPS } from './build.js'
import { camel, decode, type Case, type TensorJson } from './format.js'

/** Nested records of tensors, as every layer's parameters and state are. */
export type Nested = { readonly [name: string]: q.Tensor | Nested }
/** All that a case keeps between its steps. */
export type Trees = { readonly params: Nested; readonly state: Nested }
/** A leaf of the trees. */
export type Place = { readonly which: 'params' | 'state'; readonly path: readonly string[] }

const PLACES: { readonly [place: string]: string } = {
  act_quant: 'actQuant',
  input_quant: 'inputQuant',
  output_quant: 'outputQuant',
  weight_quant: 'weightQuant',
  bias_quant: 'biasQuant',
  trunc_quant: 'truncQuant',
}

/** `m.weight_quant.tensor_quant.scaling_impl.value` → `m`, `weightQuant`, `scale`, `value`. */
const pathOf = (key: string): readonly string[] => {
  const [layer, first, ...rest] = key.split('.')
  const place = PLACES[first]
  if (place === undefined) return [layer, camel(first)]
  return [layer, place, rest.includes('zero_point_impl') ? 'zeroPoint' : 'scale', camel(rest[rest.length - 1])]
}

/** Is it a tensor, not a record of them? */
const isLeaf = (t: q.Tensor | Nested): t is q.Tensor => t.data instanceof Float32Array

/** The leaf at a path, if there is one. */
export const leafAt = (tree: unknown, path: readonly string[]): q.Tensor | undefined =>
  path.reduce<unknown>((t, k) => (typeof t === 'object' && t !== null ? (t as Nested)[k] : undefined), tree) as
    q.Tensor | undefined

/** A copy of nested records with one leaf replaced. */
const put = (tree: Nested, path: readonly string[], leaf: q.Tensor): Nested => {
  const [head, ...rest] = path
  const child = tree[head]
  return { ...tree, [head]: rest.length === 0 || child === undefined || isLeaf(child) ? leaf : put(child, rest, leaf) }
}

/** Where a state key stands: among the parameters, or in the state (where a binary layer keeps its weight). */
export const placeOf = (trees: Trees, key: string): Place => {
  const path = pathOf(key)
  return { which: leafAt(trees.params, path) === undefined ? 'state' : 'params', path }
}

/** Loading a learned value ends its collection: the leaf that says so, if this quantizer collects, and its number. */
const endOfCollection = ([id, place, part, leaf]: readonly string[]): {
  readonly path: readonly string[]
  readonly value: number
} | null => {
  if (leaf !== 'value') return null
  return place === 'weightQuant'
    ? { path: [id, place, part, 'initDone'], value: 1 }
    : { path: [id, place, part, 'counter'], value: q.LEARNED }
}

/** A leaf after a step, as Brevitas tells it: there the counter of a learned quantizer is one more than its steps. */
export const recordedLeaf = (c: Case, trees: Trees, key: string): q.Tensor | undefined => {
  const { which, path } = placeOf(trees, key)
  const found = leafAt(trees[which], path)
  const [id, place, , leaf] = path
  if (leaf !== 'counter' || found?.data[0] !== q.LEARNED) return found
  const prefix = place === 'inputQuant' ? 'input_' : place === 'outputQuant' ? 'output_' : ''
  const steps = c.layers[id].kwargs[`${prefix}collect_stats_steps`]
  return q.scalar((typeof steps === 'number' ? steps : BREVITAS_STEPS) + 1)
}

const loadLeaf = (trees: Trees, key: string, json: TensorJson): Trees => {
  const { which, path } = placeOf(trees, key)
  const old = leafAt(trees[which], path)
  const given = decode(json)
  if (old === undefined) throw new Error(`init/${key}: the layer has no such leaf`)
  if (given.data.length !== old.data.length || (given.data.length > 1 && given.shape.join() !== old.shape.join()))
    throw new Error(`init/${key}: shape [${given.shape.join()}] given, but the layer has [${old.shape.join()}]`)
  return { ...trees, [which]: put(trees[which], path, { ...old, data: given.data }) }
}

/** A batch norm's tensors go into BatchNormToQuantScaleBias as Brevitas loads them: folded into weight and bias. */
const loadFolded = (c: Case, trees: Trees, id: string): Trees => {
  const own = (name: string): q.Tensor | undefined => {
    const json = c.init?.[`${id}.${name}`]
    return json === undefined ? undefined : decode(json)
  }
  const [weight, bias, runningMean, runningVar] = ['weight', 'bias', 'running_mean', 'running_var'].map(own)
  if (weight === undefined || bias === undefined || runningMean === undefined || runningVar === undefined)
    throw new Error(`init/${id}: a batch norm needs weight, bias, running_mean and running_var`)
  const { eps } = c.layers[id].kwargs
  return {
    ...trees,
    params: {
      ...trees.params,
      [id]: q.foldBatchNorm({ weight, bias, runningMean, runningVar }, typeof eps === 'number' ? eps : 1e-5),
    },
  }
}

/** The trees with all that the case loads before its first step. */
export const loadInit = (c: Case, fresh: Trees): Trees => {
  const init = c.init ?? {}
  const folds = (id: string): boolean => c.layers[id]?.type.endsWith('ToQuantScaleBias') && `${id}.running_mean` in init
  let trees = fresh
  for (const [key, json] of Object.entries(init)) {
    const [id] = key.split('.')
    if (folds(id)) continue
    trees = loadLeaf(trees, key, json)
    const end = endOfCollection(pathOf(key))
    if (end !== null && leafAt(trees.state, end.path) !== undefined)
      trees = { ...trees, state: put(trees.state, end.path, q.scalar(end.value)) }
  }
  return Object.keys(c.layers)
    .filter(folds)
    .reduce((t, id) => loadFolded(c, t, id), trees)
}

const stepped = (tree: Nested, grads: q.Tree<q.Tensor>, rate: number): Nested =>
  Object.fromEntries(
    Object.entries(tree).map(([k, t]) => {
      const own = (grads as Nested)[k]
      if (own === undefined) return [k, t]
      if (!isLeaf(t)) return [k, stepped(t, own as q.Tree<q.Tensor>, rate)]
      const g = own as q.Tensor
      return [k, { ...t, data: t.data.map((p, i) => p - Math.fround(rate * g.data[i])) }]
    }),
  )

/** `p <- p - lr*g` in float32, for parameters and learned state that have a gradient. */
export const sgd = (trees: Trees, grads: q.Grads, lr: number): Trees => {
  const rate = Math.fround(lr)
  return { params: stepped(trees.params, grads.params, rate), state: stepped(trees.state, grads.state, rate) }
}
