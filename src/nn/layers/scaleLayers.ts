/** ScaleBias and HadamardClassifier: layers whose weights, if any, are not quantized (SEMANTICS-3, 5). */
import { byDefault, count, flag, required, type OptionsOf, type Resolved } from '../../data/fields.js'
import { quantOf } from '../../data/quant.js'
import type { Tensor } from '../../data/tensor.js'
import type { Kit, Value } from '../../graph/op.js'
import { ceilLog2 } from '../../ops/support/metadata.js'
import { add, dequantize, isQuantValue, reshape } from '../functions/index.js'
import { demandValue } from '../functions/support.js'
import { constantLeaf, type Layer, type None, type Traced } from './layer.js'
import { featureView, VIEWED_FEATURES } from './normParts.js'
import { recordOf } from './options.js'
import { quantizedLayer } from './quantizedLayer.js'

/** Options of ScaleBias. */
export interface FloatScaleBiasOptions extends OptionsOf<typeof VIEWED_FEATURES> {}
type ScaleBiasParams = { readonly weight: Tensor; readonly bias?: Tensor }

/**
 * `x * weight + bias`, both viewed in `runtimeShape`, nothing quantized (brevitas.nn.ScaleBias); the result is plain, of a quant tensor too.
 * A bias of any size works, and one of zeros is added like any other (Brevitas fails on the first, and leaves out the second).
 */
export const ScaleBias = (o: FloatScaleBiasOptions): Layer<ScaleBiasParams, None> =>
  quantizedLayer({
    name: 'ScaleBias',
    options: o,
    own: VIEWED_FEATURES,
    places: {},
    twin: { layer: 'QuantScaleBias', options: recordOf(o) },
    build: (_q, { numFeatures, bias }) => ({
      params: {
        weight: constantLeaf([numFeatures], 1, true),
        ...(bias ? { bias: constantLeaf([numFeatures], 0, true) } : {}),
      },
      state: {},
      apply: (p: Traced<ScaleBiasParams>, s: Traced<None>, given: Value, kit: Kit) => {
        demandValue('ScaleBias', given)
        const view = featureView(o)
        const x = dequantize(given, 'ScaleBias gets the bare value and returns a plain tensor')
        const y = kit.emit('mul', [x, reshape(p.weight, view)])
        return [p.bias === undefined ? y : add(y, reshape(p.bias, view)), s] as const
      },
    }),
  })

const HADAMARD = {
  inChannels: required(count),
  outChannels: required(count),
  /** Keep the scale at `1/sqrt(outChannels)` instead of learning it (default false). */
  fixedScale: byDefault(flag, false),
  /** Must be true: Brevitas' layer gives nothing else. */
  returnQuantTensor: flag,
}
/** Options of HadamardClassifier. */
export interface HadamardOptions extends OptionsOf<typeof HADAMARD> {}

/** Rows and columns of Sylvester's matrix, `[[M, M], [M, -M]]` from `[1]` on. */
const sylvester = (kit: Kit, rows: number, columns: number): Value => {
  let m = kit.constant(1, [1, 1])
  while (m.shape[0] < Math.max(rows, columns)) {
    const minus = kit.emit('neg', [m])
    const [top, bottom] = [kit.emit('concat', [m, m], { dim: 1 }), kit.emit('concat', [m, minus], { dim: 1 })]
    m = kit.emit('concat', [top, bottom], { dim: 0 })
  }
  const some = kit.emit('slice', [m], { dim: 0, start: 0, end: rows })
  return kit.emit('slice', [some], { dim: 1, start: 0, end: columns })
}

/** Why an input can't be classified, or null. */
const misfit = (x: Value, o: Resolved<typeof HADAMARD>): Value | null => {
  const q = quantOf(x.carried)
  const name = 'HadamardClassifier'
  const refuse = (said: string, fix: string, tag?: 'MetadataError') =>
    x.kit.fail({ op: name, refuse: said, fix, ...(tag === undefined ? {} : { tag }) })
  if (q === null)
    return refuse(
      `it needs a quant tensor, but its input is a plain tensor: ${x.kit.whyPlain(x)}`,
      'quantize its input, with returnQuantTensor: true',
      'MetadataError',
    )
  if (o.returnQuantTensor !== true)
    return refuse(
      'it gives quant tensors only, but returnQuantTensor is not true',
      'set returnQuantTensor: true, and take value(y) where a plain tensor is wanted',
      'MetadataError',
    )
  if (q.zero !== 'zero')
    return refuse(
      'Computing zero point of output accumulator not supported yet. The zero point of its input may not be 0',
      'quantize its input without a zero point',
      'MetadataError',
    )
  return x.shape.length > 0 && x.shape[x.shape.length - 1] === o.inChannels
    ? null
    : refuse(
        `it reads ${o.inChannels} channels along the last axis, and its input is [${x.shape.join()}]`,
        `give it an input [.., ${o.inChannels}], or change inChannels`,
      )
}

type HadamardParams = { readonly scale?: Tensor }

/** One call; `stored` is the scale. */
const classified = (x: Value, o: Resolved<typeof HADAMARD>, stored: Value | undefined, kit: Kit): Value => {
  const bad = misfit(x, o)
  const q = quantOf(x.carried)
  if (bad !== null || q === null || stored === undefined) return bad ?? x
  const plain = dequantize(x, 'its integers are counted, and its norm is taken')
  const squares = kit.emit('sum', [kit.emit('mul', [plain, plain])], {
    dims: x.shape.map((_, i) => i),
    keepdim: false,
  })
  const n = kit.emit('add', [kit.emit('sqrt', [squares]), kit.constant(1e-8)])
  const own = kit.emit('div', [kit.emit('mul', [kit.value(q.scale), stored]), n])
  const integers = kit.emit('div', [plain, kit.value(q.scale)])
  const sums = kit.emit('neg', [kit.emit('linear', [integers, sylvester(kit, o.outChannels, o.inChannels)])])
  // Of each integer one step or its negative: the result is not clipped to Brevitas' width, which counts unsigned sums and has a sign.
  const most = Math.max(-q.lo, q.hi) * o.inChannels
  const y = kit.emit('fromSteps', [sums, own, kit.constant(0)], {
    lo: -most,
    hi: most,
    bits: Math.min(32, ceilLog2((2 ** q.bits - 1) * o.inChannels)),
    signed: true,
    rounding: 'ROUND',
    training: kit.mode === 'train',
    zero: 'zero',
  })
  return isQuantValue(y) ? y : x
}

/**
 * A classifier with a fixed matrix of ±1 (brevitas.nn.HadamardClassifier): `y = -scale * ((x / n) Mᵀ)`, n the norm of the whole input, batch
 * included, plus 1e-8; so a result depends on all samples of its batch. M is the corner of Sylvester's matrix. Input: a quant tensor
 * `[.., inChannels]` with zero point 0; gives one `[.., outChannels]` on the scale `s_x * scale / n`.
 */
export const HadamardClassifier = (o: HadamardOptions): Layer<HadamardParams, HadamardParams> =>
  quantizedLayer({
    name: 'HadamardClassifier',
    options: o,
    own: HADAMARD,
    places: {},
    printed: ({ fixedScale }) => ({ fixedScale: String(fixedScale) }),
    build: (_q, own) => {
      const start = Math.fround(1 / Math.sqrt(own.outChannels))
      return {
        params: own.fixedScale ? {} : { scale: constantLeaf([], start, true) },
        state: own.fixedScale ? { scale: constantLeaf([], start, false) } : {},
        apply: (p: Traced<HadamardParams>, s: Traced<HadamardParams>, x: Value, kit: Kit) => {
          demandValue('HadamardClassifier', x)
          return [classified(x, own, p.scale ?? s.scale, kit), s] as const
        },
      }
    },
  })
