/** Scaled dot-product attention as a layer: quantized, and torch's own (SEMANTICS-3, 3). */
import type { QuantError } from '../../data/error.js'
import { flag, fraction, orNull, required, type OptionsOf } from '../../data/fields.js'
import { showShape, type Shape } from '../../data/shape.js'
import type { Kit, Value } from '../../graph/op.js'
import type { Quantizer } from '../../quantizers/quantizer.js'
import { dequantize, isQuantValue, reshape } from '../functions/index.js'
import { numberField } from '../functions/support.js'
import {
  asBias,
  attended,
  attending,
  attendingState,
  future,
  misshapen,
  PLACES,
  type AttendingState,
  type AttentionPlace,
  type AttentionQuantizers,
} from './attending.js'
import type { Layer, None, Traced } from './layer.js'
import { aMask, aValue, demandOperands } from './operands.js'
import { recordOf } from './options.js'
import { quantizedLayer, type Place } from './quantizedLayer.js'

const CALL = {
  /** Each query sees the keys up to its own position only (default false); not together with a mask. */
  isCausal: flag,
  /** What queries are multiplied by (default `1/sqrt(E)`). */
  scale: orNull(numberField),
  /** Probability with which weights are dropped, in evaluation too, as in torch's function (default 0). */
  dropoutP: fraction,
  /** Fewer heads of keys and values than of queries: each serves several of the third axis from the back (default false). */
  enableGqa: flag,
}
/** How a call of attention differs; as options of the layer, what every call does that says nothing else. */
export interface AttentionCall extends OptionsOf<typeof CALL> {}
/** Operands of attention: query `[.., L, E]`, key `[.., S, E]`, value `[.., S, Ev]`; the mask broadcasts over `[.., L, S]`: booleans (true: seen) or floats that are added. */
export type AttentionInput = AttentionCall & {
  readonly query: Value
  readonly key: Value
  readonly value: Value
  readonly attnMask?: Value
}
const QUANTIZED = {
  /** Give a quant tensor; needs an `sdpaOutputQuant`. */
  sdpaOutputReturnQuantTensor: flag,
}
/** Options of QuantScaledDotProductAttention: its quantizers by place and prefix (`qScaled`, `kTransposed`, `v`, `softmaxInput`, `attnOutputWeights`, `sdpaOutput`). */
export interface AttentionOptions extends AttentionQuantizers, AttentionCall, OptionsOf<typeof QUANTIZED> {}

const OPERANDS = {
  query: required(aValue),
  key: required(aValue),
  value: required(aValue),
  attnMask: aMask,
  ...CALL,
}

/** Each head of the third axis from the back several times in a row, so that there are as many as `heads`. */
const repeated = (kit: Kit, x: Value, heads: number): Value => {
  const at = x.shape.length - 3
  const times = heads / x.shape[at]
  if (times === 1) return x
  const spread: Shape = [...x.shape.slice(0, at + 1), times, ...x.shape.slice(at + 1)]
  const ones: Shape = spread.map((n, i) => (i === at + 1 ? 1 : n))
  const joined: Shape = x.shape.map((n, i) => (i === at ? n * times : n))
  return reshape(kit.emit('broadcastTo', [reshape(x, ones)], { shape: spread }), joined)
}

/** Shapes that can't attend to each other, in words; null where they can. */
const misfit = (q: Shape, k: Shape, v: Shape, gqa: boolean): string | null => {
  const at = (s: Shape, i: number): number => s[s.length - i]
  const shapes = `query ${showShape(q)}, key ${showShape(k)} and value ${showShape(v)}`
  if ([q, k, v].some((s) => s.length < 2)) return `${shapes} must have two axes or more: [.., length, features]`
  if (at(q, 1) !== at(k, 1)) return `${shapes}: query has ${at(q, 1)} features and key ${at(k, 1)}`
  if (at(k, 2) !== at(v, 2)) return `${shapes}: there are ${at(k, 2)} keys, but ${at(v, 2)} values`
  if (!gqa) return null
  if ([q, k, v].some((s) => s.length < 3)) return `${shapes} have no axis of heads for enableGqa`
  return at(q, 3) % at(k, 3) === 0 && at(q, 3) % at(v, 3) === 0
    ? null
    : `${shapes}: the heads of key and value do not divide those of the query`
}

/** What is added to the scores, and the rows that are masked throughout; or a refusal. */
const maskOf = (
  kit: Kit,
  name: string,
  mask: Value | undefined,
  causal: boolean,
  scores: Shape,
): { readonly bias: Value | null; readonly full: Value | null } | Value => {
  const [rows, columns] = scores.slice(-2)
  if (mask === undefined) return { bias: causal ? asBias(kit, future(kit, rows, columns), true) : null, full: null }
  if (causal)
    return kit.fail({
      op: name,
      tag: 'ConfigError',
      refuse: 'isCausal and a mask were given: torch takes one or the other',
      fix: 'put the causal part into the mask, or leave the mask out',
    })
  const bad = misshapen(kit, name, mask, scores)
  if (bad !== null) return bad
  const bias = mask.dtype === 'boolean' ? asBias(kit, mask, false) : dequantize(mask)
  const shape = bias.shape.length === 0 ? [1] : bias.shape
  const largest = kit.emit('maxLast', [reshape(bias, shape)])
  const top = reshape(largest, [...shape.slice(0, -1), 1])
  const full = kit.emit('equal', [top, kit.constant(-Infinity)])
  return { bias: kit.emit('select', [full, kit.constant(0), bias]), full }
}

const scoresShape = (q: Value, k: Value): Shape => [...q.shape.slice(0, -1), k.shape[k.shape.length - 2]]

type Named = { readonly name: string; readonly quantized: boolean }

const outputProblems = (
  name: string,
  o: AttentionOptions,
  output: Quantizer | null | undefined,
): readonly QuantError[] =>
  o.sdpaOutputReturnQuantTensor !== true || output !== null
    ? []
    : [
        {
          tag: 'ConfigError',
          option: 'sdpaOutputReturnQuantTensor',
          path: '',
          message: `${name}: a quant tensor was asked for, but sdpaOutputQuant is off`,
          fix: 'give it an sdpaOutputQuant: Int8ActPerTensorFloat, for instance',
        },
      ]

const attentionLayer = (
  { name, quantized }: Named,
  options: AttentionOptions,
): Layer<None, AttendingState, AttentionInput> => {
  const places: { readonly [P in AttentionPlace]?: Place } = quantized ? PLACES : {}
  return quantizedLayer({
    name,
    options,
    own: quantized ? { ...CALL, ...QUANTIZED } : CALL,
    places,
    returns: null,
    problems: ({ sdpaOutputQuant }) => (quantized ? outputProblems(name, options, sdpaOutputQuant) : []),
    ...(quantized ? {} : { twin: { layer: `Quant${name}`, options: recordOf(options) } }),
    build: (quantizers) => {
      return {
        params: {},
        state: attendingState(quantizers, options.dropoutP ?? 0),
        apply: (_params: Traced<None>, state: Traced<AttendingState>, x: AttentionInput, kit: Kit) => {
          demandOperands(kit, name, x, OPERANDS)
          const call = attending(kit, quantizers, state)
          return [
            attention(kit, name, { ...options, ...x }, call, options.sdpaOutputReturnQuantTensor === true),
            call.after(),
          ] as const
        },
      }
    },
  })
}

/** One call. */
const attention = (
  kit: Kit,
  name: string,
  x: AttentionInput,
  call: ReturnType<typeof attending>,
  returnQuant: boolean,
): Value => {
  if (name.startsWith('Quant') && isQuantValue(x.query))
    return kit.fail({
      op: name,
      tag: 'MetadataError',
      refuse: 'its query is a quant tensor, which Brevitas can not multiply by the scale here',
      fix: 'give the plain value: value(query); it is quantized after the scale (qScaledQuant)',
    })
  const [query, key, values] = [x.query, x.key, x.value].map((v) =>
    dequantize(v, `${name} quantizes its operands itself`),
  )
  const gqa = x.enableGqa === true
  const odd = misfit(query.shape, key.shape, values.shape, gqa)
  if (odd !== null) return kit.fail({ op: name, refuse: odd, fix: 'give [.., L, E], [.., S, E] and [.., S, Ev]' })
  const heads = gqa ? query.shape[query.shape.length - 3] : 0
  const [k, v] = gqa ? [repeated(kit, key, heads), repeated(kit, values, heads)] : [key, values]
  const mask = maskOf(kit, name, x.attnMask, x.isCausal === true, scoresShape(query, k))
  if ('kit' in mask) return mask
  const scale = x.scale ?? 1 / Math.sqrt(query.shape[query.shape.length - 1])
  const q = kit.emit('mul', [query, kit.constant(scale)])
  const [y] = attended(kit, call, { q, k, v, ...mask, p: x.dropoutP ?? 0 })
  const out = call.at('sdpaOutputQuant', y)
  return returnQuant
    ? out
    : dequantize(out, `${name} does not return quant tensors; set sdpaOutputReturnQuantTensor: true`)
}

/**
 * `softmax(query keyᵀ * scale + mask) value` with quantizers on the way (brevitas.nn.QuantScaledDotProductAttention): of the scaled query,
 * the transposed key, the value and the weights, by default 8 bits; the scores and the result are not quantized by default. Rows of a mask
 * that are masked throughout give zeros. Called with a record: `{ query, key, value, attnMask }`. No parameters.
 */
export const QuantScaledDotProductAttention = (o: AttentionOptions = {}): Layer<None, AttendingState, AttentionInput> =>
  attentionLayer({ name: 'QuantScaledDotProductAttention', quantized: true }, o)

/** torch's scaled_dot_product_attention as a layer, nothing quantized (brevitas.nn.ScaledDotProductAttention). */
export const ScaledDotProductAttention = (o: AttentionCall = {}): Layer<None, AttendingState, AttentionInput> =>
  attentionLayer({ name: 'ScaledDotProductAttention', quantized: false }, o)
