/** Multi-head attention with quantized projections (SEMANTICS-3, 4). */
import { flag, required, type Field } from '../../data/fields.js'
import { sameShape, showShape, type Shape } from '../../data/shape.js'
import { isInvalid } from '../../graph/builder.js'
import type { Kit, Value } from '../../graph/op.js'
import { dequantize, reshape, transpose } from '../functions/index.js'
import { asBias, attended, attending, attendingState } from './attending.js'
import { called } from './checks.js'
import type { Layer, SpecTree, Traced } from './layer.js'
import {
  addedLeaf,
  headProblems,
  HERE,
  insideOf,
  isPacked,
  NAME,
  OWN,
  PROJECTION_FIELDS,
  projectionsOf,
  type MultiheadInput,
  type MultiheadOptions,
  type MultiheadOutput,
  type MultiheadParams,
  type MultiheadState,
  type ProjectionName,
  type Projections,
} from './multihead.js'
import { aMask, aValue, demandOperands } from './operands.js'
import { quantizedLayer, type Built, type Quantizers } from './quantizedLayer.js'
import type { WeightState } from './weightLayer.js'

export type {
  MultiheadCall,
  MultiheadInput,
  MultiheadOptions,
  MultiheadOutput,
  MultiheadParams,
  MultiheadState,
} from './multihead.js'

/** What does not fit, in torch's words; null where all does. Shapes as given, before any axis is moved. */
const misfit = (o: MultiheadOptions, q: Value, k: Value, v: Value): string | null => {
  const rank = q.shape.length
  if (rank !== 2 && rank !== 3)
    return `query should be unbatched 2D or batched 3D tensor but received ${rank}-D query tensor`
  if (k.shape.length !== rank || v.shape.length !== rank)
    return `For ${rank === 3 ? 'batched (3-D)' : 'unbatched (2-D)'} \`query\`, expected \`key\` and \`value\` to be ${rank}-D but found ${k.shape.length}-D and ${v.shape.length}-D tensors respectively`
  const last = (x: Value): number => x.shape[rank - 1]
  if (last(q) !== o.embedDim) return `was expecting embedding dimension of ${o.embedDim}, but got ${last(q)}`
  if (!sameShape(k.shape, v.shape))
    return `key shape ${showShape(k.shape)} does not match value shape ${showShape(v.shape)}`
  if (last(k) !== (o.kdim ?? o.embedDim))
    return `was expecting keys and values of ${o.kdim ?? o.embedDim} features, but got ${last(k)}`
  if (rank === 3) {
    const axis = o.batchFirst === true ? 0 : 1
    if (q.shape[axis] !== k.shape[axis])
      return `query has ${q.shape[axis]} samples, but key and value have ${k.shape[axis]} (axis ${axis})`
  }
  return null
}

const OPERANDS: { readonly [name: string]: Field } = {
  query: required(aValue),
  key: aValue,
  value: aValue,
  keyPaddingMask: aMask,
  attnMask: aMask,
  needWeights: flag,
  averageAttnWeights: flag,
}

/** What is wrong with the masks' shapes, or null. */
const maskMisfit = (x: MultiheadInput, [l, s]: readonly [number, number], n: number, heads: number): string | null => {
  const mask = x.attnMask?.shape
  if (mask !== undefined) {
    const wanted = mask.length === 2 ? [l, s] : [n * heads, l, s]
    if (mask.length !== 2 && mask.length !== 3)
      return `attn_mask's dimension ${mask.length} is not supported: give 2 or 3`
    if (!sameShape(mask, wanted))
      return `The shape of the ${mask.length}D attn_mask is ${showShape(mask)}, but should be ${showShape(wanted)}.`
  }
  const padding = x.keyPaddingMask?.shape
  const wanted = x.query.shape.length === 2 ? [s] : [n, s]
  return padding === undefined || sameShape(padding, wanted)
    ? null
    : `The shape of the key_padding_mask is ${showShape(padding)}, but should be ${showShape(wanted)}.`
}

/** With `more` columns of "not masked" (0) at the end. */
const widened = (kit: Kit, mask: Value, more: number): Value =>
  more === 0
    ? mask
    : kit.emit('pad', [mask], {
        pad: mask.shape.map((_, i): readonly [number, number] => (i === mask.shape.length - 1 ? [0, more] : [0, 0])),
        mode: 'constant',
        value: 0,
      })

/** Both masks as one that is added to the scores `[N*heads, L, S]`: -inf where a boolean one is true, floats as they are. */
const biasOf = (kit: Kit, x: MultiheadInput, n: number, heads: number, more: number): Value | null => {
  const floats = (mask: Value, shape: Shape): Value => {
    const wide = widened(kit, dequantize(mask), more)
    const shaped = reshape(mask.dtype === 'boolean' ? asBias(kit, wide, true) : wide, shape)
    return shaped
  }
  const columns = (mask: Value): number => mask.shape[mask.shape.length - 1] + more
  const { attnMask, keyPaddingMask } = x
  const mask =
    attnMask === undefined
      ? null
      : floats(
          attnMask,
          attnMask.shape.length === 2
            ? [1, attnMask.shape[0], columns(attnMask)]
            : [...attnMask.shape.slice(0, 2), columns(attnMask)],
        )
  if (keyPaddingMask === undefined) return mask
  const s = columns(keyPaddingMask)
  const each = floats(keyPaddingMask, [n, 1, 1, s])
  const padding = reshape(kit.emit('broadcastTo', [each], { shape: [n, heads, 1, s] }), [n * heads, 1, s])
  return mask === null ? padding : kit.emit('add', [mask, padding])
}

type Call = {
  readonly kit: Kit
  readonly o: MultiheadOptions
  readonly project: (name: ProjectionName, x: Value) => Value
  readonly added: { readonly biasK?: Value; readonly biasV?: Value }
  readonly call: ReturnType<typeof attending>
  readonly p: number
}

/** Query, key and value after their projections, or a refusal. */
const projected = ({ kit, o, project }: Call, q: Value, k: Value, v: Value): readonly Value[] | Value => {
  if (!isPacked(o)) return [project('qProj', q), project('kProj', k), project('vProj', v)]
  if (q.id !== k.id || k.id !== v.id)
    return kit.fail({
      op: NAME,
      tag: 'ConfigError',
      refuse: 'Packed in_proj is supported only for self-attention with k is v is q. Set packed_in_proj=False.',
      fix: 'give the query alone, or set packedInProj: false',
    })
  const all = dequantize(project('inProj', q), 'it is split into query, key and value')
  const e = o.embedDim
  return isInvalid(all)
    ? all
    : [0, 1, 2].map((i) => kit.emit('slice', [all], { dim: all.shape.length - 1, start: i * e, end: (i + 1) * e }))
}

/** `[length, N, E]` as `[N*heads, length, E/heads]`. */
const perHead = (x: Value, heads: number): Value => {
  const [length, n, e] = x.shape
  return transpose(reshape(x, [length, n * heads, e / heads]), 0, 1)
}

/** Attention over `[L, N, E]`: the result before its last axis moves, and the weights `[N, heads, L, S]`. */
const attend = (c: Call, x: MultiheadInput, operands: readonly Value[]): readonly [Value, Value] => {
  const { kit, o, call, added } = c
  const [q, k0, v0] = operands
  const [l, n, e] = q.shape
  const heads = o.numHeads
  const lengthened = (v: Value, more: Value | undefined): Value =>
    more === undefined ? v : kit.emit('concat', [v, kit.emit('broadcastTo', [more], { shape: [1, n, e] })], { dim: 0 })
  const zero = (v: Value): Value =>
    o.addZeroAttn === true
      ? kit.emit('pad', [v], {
          pad: [
            [0, 0],
            [0, 1],
            [0, 0],
          ],
          mode: 'constant',
          value: 0,
        })
      : v
  const [k, v] = [lengthened(k0, added.biasK), lengthened(v0, added.biasV)].map((t) => zero(perHead(t, heads)))
  const bias = biasOf(kit, x, n, heads, Number(o.addBiasKv === true) + Number(o.addZeroAttn === true))
  const scaled = kit.emit('div', [perHead(q, heads), kit.constant(Math.sqrt(e / heads))])
  const [y, weights] = attended(kit, call, { q: scaled, k, v, bias, full: null, p: c.p })
  const joined = reshape(transpose(y, 0, 1), [l, n, e])
  return [joined, reshape(dequantize(weights), [n, heads, l, weights.shape[2]])]
}

const forward = (c: Call, x: MultiheadInput): MultiheadOutput => {
  const { kit, o } = c
  const given = [x.query, x.key ?? x.query, x.value ?? x.query]
  const refuse = (said: string): MultiheadOutput => ({
    y: kit.fail({
      op: NAME,
      refuse: said,
      fix: `give query [L, N, ${o.embedDim}], key and value [S, N, ..] (batchFirst: the first two axes swapped), or all without N`,
    }),
  })
  const odd = misfit(o, given[0], given[1], given[2])
  if (odd !== null) return refuse(odd)
  const batched = x.query.shape.length === 3
  const inside = (v: Value): Value => {
    if (!batched) return reshape(v, [v.shape[0], 1, v.shape[1]])
    return o.batchFirst === true ? transpose(v, 0, 1) : v
  }
  const [q, k, v] = given.map(inside)
  const [l, n] = q.shape
  const oddMask = maskMisfit(x, [l, k.shape[0]], n, o.numHeads)
  if (oddMask !== null) return refuse(oddMask)
  const operands = projected(c, q, k, v)
  if ('kit' in operands) return { y: operands }
  const failed = operands.find(isInvalid)
  if (failed !== undefined) return { y: failed }
  const [sums, weights] = attend(c, x, operands)
  const out = c.project('outProj', sums)
  if (isInvalid(out)) return { y: out }
  const swapped = o.batchFirst === true ? transpose(out, 0, 1) : out
  const y = batched ? swapped : reshape(out, [l, o.embedDim])
  if (x.needWeights === false) return { y }
  const mean =
    x.averageAttnWeights === false
      ? weights
      : kit.emit('div', [kit.emit('sum', [weights], { dims: [1], keepdim: false }), kit.constant(o.numHeads)])
  return { y, weights: batched ? mean : reshape(mean, mean.shape.slice(1)) }
}

/** A call without the parameters of this layer. */
const noProjection = (kit: Kit, name: string): Value =>
  kit.failWith({
    tag: 'InputError',
    input: name,
    path: kit.path(),
    message: `${NAME} was called without its ${name}`,
    fix: 'pass params and state of this layer',
  })

const added = (o: MultiheadOptions): SpecTree =>
  o.addBiasKv === true ? { biasK: addedLeaf(o.embedDim), biasV: addedLeaf(o.embedDim) } : {}

/** Parameters, state and forward. */
const built = (
  o: MultiheadOptions,
  layers: Projections,
  quantizers: Quantizers<typeof HERE>,
): Built<MultiheadParams, MultiheadState, MultiheadInput, MultiheadOutput> => {
  const trees = (which: 'params' | 'state'): SpecTree =>
    Object.fromEntries(Object.entries(layers).map(([name, l]) => [name, l[which]]))
  return {
    params: { ...trees('params'), ...added(o) },
    state: { ...trees('state'), ...attendingState(quantizers, o.dropout ?? 0) },
    apply: (p, s, x, kit) => {
      demandOperands(kit, NAME, x, OPERANDS)
      const after: { [name in ProjectionName]?: Traced<WeightState> } = {}
      const call = attending(kit, quantizers, s)
      const project = (name: ProjectionName, v: Value): Value =>
        kit.scoped(name, () => {
          const [layer, params, state] = [layers[name], p[name], s[name]]
          if (layer === undefined || params === undefined || state === undefined) return noProjection(kit, name)
          const [y, next] = called(layer, params, state, v, kit)
          after[name] = next
          return y
        })
      const dropped = kit.mode === 'train' ? (o.dropout ?? 0) : 0
      const out = forward({ kit, o, project, added: p, call, p: dropped }, { ...o, ...x })
      return [out, { ...s, ...call.after(), ...after }]
    },
  }
}

/**
 * Multi-head attention (brevitas.nn.QuantMultiheadAttention): projections are QuantLinear with quantized input, weight and bias (options
 * behind `inProj` and `outProj`), in between attention with quantizers `qScaled`, `kTransposed`, `softmaxInput`, `attnOutputWeights`, `v`.
 * Called with a record, `{ query }` for self-attention; gives `{ y, weights }`. Formulas and quirks: SEMANTICS-3, 4; masks mean the contrary
 * of QuantScaledDotProductAttention's: true is masked.
 */
export const QuantMultiheadAttention = (
  o: MultiheadOptions,
): Layer<MultiheadParams, MultiheadState, MultiheadInput, MultiheadOutput> => {
  // Asked only once the options are known to be right, and made once.
  let made: Projections | null = null
  const layers = (): Projections => (made ??= projectionsOf(o))
  return quantizedLayer({
    name: NAME,
    options: o,
    own: OWN,
    known: PROJECTION_FIELDS,
    places: HERE,
    returns: null,
    problems: () => [
      ...Object.entries(layers())
        .filter(([name]) => name !== 'kProj' && name !== 'vProj')
        .flatMap(([, l]) => l.problems),
      ...headProblems(o),
    ],
    inside: (found) => insideOf(layers(), found),
    build: (quantizers) => built(o, layers(), quantizers),
  })
}
