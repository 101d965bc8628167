/** State keys of case files and our trees of parameters and state: finding, loading, stepping by SGD. */
import * as q from '../../src/index.js'
import { toStateDict } from '../../src/interop/brevitas/index.js'
import { withBrevitasNames } from '../../src/interop/brevitas/torchNames.js'
import { BREVITAS_STEPS, buildLayer } from './build.js'
import { camel, decode, type Case, type Json, type TensorJson } from './format.js'

/** Nested records of tensors, as every layer's parameters and state are. */
export type Nested = { readonly [name: string]: q.Tensor | Nested }
/** All that a case keeps between its steps. */
export type Trees = { readonly params: Nested; readonly state: Nested }
/** A leaf of the trees. */
export type Place = { readonly which: 'params' | 'state'; readonly path: readonly string[] }

/** Which part of a quantizer's state a key means, and which leaf of it. */
const partOf = (rest: readonly string[]): readonly [part: string, leaf: string] => {
  const leaf = rest[rest.length - 1]
  if (leaf === 'bit_width_offset') return ['bitWidth', 'offset']
  if (rest.includes('pre_scaling_impl')) return [rest.includes('scaling_impl') ? 'preScale' : 'norm', leaf]
  return [rest.includes('zero_point_impl') ? 'zeroPoint' : 'scale', camel(leaf)]
}

/** `m.weight_quant.tensor_quant.scaling_impl.value` → `m`, `weightQuant`, `scale`, `value`. */
const pathOf = (key: string): readonly string[] => {
  const [layer, ...parts] = key.split('.')
  const inner = parts.findIndex((p) => p === 'fused_activation_quant_proxy' || p === 'tensor_quant')
  if (inner < 0) return [layer, ...parts.map(camel)]
  return [layer, ...parts.slice(0, inner).map(camel), ...partOf(parts)]
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
const endOfCollection = (
  path: readonly string[],
): { readonly path: readonly string[]; readonly value: number } | null => {
  if (path[path.length - 1] !== 'value') return null
  const above = path.slice(0, -1)
  return above.includes('weightQuant')
    ? { path: [...above, 'initDone'], value: 1 }
    : { path: [...above, 'counter'], value: q.LEARNED }
}

/** Options that say the steps of a quantizer by its place, where its own name isn't the prefix. */
const STEP_PREFIXES: readonly (readonly [place: RegExp, prefix: string])[] = [
  [/^layers\.\d+\.\d+\.cell\.outputQuant$/, 'io_'],
  [/^layers\.\d+\.\d+\.cell\.gateAccQuant$/, 'gate_acc_quant_'],
  [/AccQuant$/, 'gate_acc_'],
  [/SigmoidQuant$/, 'sigmoid_'],
  [/anhQuant$/, 'tanh_'],
  [/cellStateQuant$/, 'cell_state_'],
  [/^(inProj|qProj|kProj|vProj)\.inputQuant$/, 'in_proj_input_'],
  [/^outProj\.inputQuant$/, 'out_proj_input_'],
  [/^outProj\.outputQuant$/, 'out_proj_output_'],
  [/^qScaledQuant/, 'q_scaled_'],
  [/^kTransposedQuant/, 'k_transposed_'],
  [/^vQuant/, 'v_'],
  [/^attnOutputWeightsQuant/, 'attn_output_weights_'],
  [/^softmaxInputQuant/, 'softmax_input_'],
  [/^sdpaOutputQuant/, 'sdpa_output_'],
  [/^inputQuant$/, 'input_'],
  [/^outputQuant$/, 'output_'],
]
const stepsOf = (kwargs: Json, place: readonly string[]): unknown => {
  const prefix = STEP_PREFIXES.find(([p]) => p.test(place.join('.')))?.[1] ?? ''
  return kwargs[`${prefix}collect_stats_steps`]
}

/** A leaf after a step, as Brevitas tells it: there the counter of a learned quantizer is one more than its steps. */
export const recordedLeaf = (c: Case, trees: Trees, key: string): q.Tensor | undefined => {
  const { which, path } = placeOf(trees, key)
  const found = leafAt(trees[which], path)
  if (path[path.length - 1] !== 'counter' || found?.data[0] !== q.LEARNED) return found
  const steps = stepsOf(c.layers[path[0]].kwargs, path.slice(1, -2))
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

/** torch's own names of a layer's parameters under Brevitas' names. */
const renamed = (c: Case, init: NonNullable<Case['init']>): NonNullable<Case['init']> => {
  const torch = Object.keys(init).some((k) => /_l\d+(_reverse)?$|in_proj_(weight|bias)$|[qkv]_proj_weight$/.test(k))
  if (!torch) return init
  const arrays = Object.fromEntries(
    Object.entries(init).map(([k, t]) => [k, { ...decode(t), type: 'F32' as const }] as const),
  )
  const model = q.model(
    Object.fromEntries(Object.entries(c.layers).map(([id, spec]) => [id, buildLayer(spec)])) as never,
    (() => undefined) as never,
  )
  const known = Object.keys(q.orThrow(toStateDict(model, q.orThrow(q.init(model, 0)))))
  return Object.fromEntries(
    Object.entries(withBrevitasNames(model, arrays, known)).map(([k, { shape, data }]) => [
      k,
      { shape, f32: Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('base64') },
    ]),
  )
}

/** The trees with all that the case loads before its first step. */
export const loadInit = (c: Case, fresh: Trees): Trees => {
  const init = c.init === undefined ? {} : renamed(c, c.init)
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
