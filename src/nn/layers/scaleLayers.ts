/** ScaleBias and HadamardClassifier: layers whose weights, if any, are not quantized (SEMANTICS-3, 5). */
import { count, flag, required, type Field } from '../../data/fields.js'
import { quantOf } from '../../data/quant.js'
import type { Shape } from '../../data/shape.js'
import type { Tensor } from '../../data/tensor.js'
import type { Kit, Value } from '../../graph/op.js'
import { ceilLog2 } from '../../ops/support/metadata.js'
import { add, dequantize, isQuantValue, reshape } from '../functions/index.js'
import { demandValue } from '../functions/support.js'
import { brokenLayer } from './checks.js'
import { constantLeaf, type Layer, type None } from './layer.js'
import { optionProblems, recordOf } from './options.js'

/** Options of ScaleBias. */
export type FloatScaleBiasOptions = {
  readonly numFeatures: number
  /** Default true. */
  readonly bias?: boolean
  /** How weight and bias are viewed, -1 where the features stand (default `[1, -1, 1, 1]`). */
  readonly runtimeShape?: Shape
}
const runtimeShape: Field = {
  says: 'a list of whole numbers, -1 where the features stand',
  like: '[1, -1, 1, 1]',
  holds: (x) => Array.isArray(x) && x.every((n) => Number.isSafeInteger(n) && n >= -1),
}
const SCALE_BIAS: { readonly [name: string]: Field } = { numFeatures: required(count), bias: flag, runtimeShape }

/**
 * `x * weight + bias`, both viewed in `runtimeShape`, nothing quantized (brevitas.nn.ScaleBias); the result is plain, of a quant tensor too.
 * A bias of any size works, and one of zeros is added like any other (Brevitas fails on the first, and leaves out the second).
 */
export const ScaleBias = (
  o: FloatScaleBiasOptions,
): Layer<{ readonly weight: Tensor; readonly bias?: Tensor }, None> => {
  const problems = optionProblems('ScaleBias', o, SCALE_BIAS)
  if (problems.length > 0) return brokenLayer('ScaleBias', problems)
  const shape = [o.numFeatures]
  const view = (o.runtimeShape ?? [1, -1, 1, 1]).map((n) => (n === -1 ? o.numFeatures : n))
  return {
    layer: 'ScaleBias',
    params: {
      weight: constantLeaf(shape, 1, true),
      ...(o.bias === false ? {} : { bias: constantLeaf(shape, 0, true) }),
    },
    state: {},
    problems,
    source: {
      layer: 'ScaleBias',
      options: recordOf(o),
      takes: Object.keys(SCALE_BIAS),
      twin: { layer: 'QuantScaleBias', options: recordOf(o) },
    },
    config: { name: 'ScaleBias', parts: [['numFeatures', String(o.numFeatures)]] },
    apply: (p, s, given, kit) => {
      demandValue('ScaleBias', given)
      const x = dequantize(given, 'ScaleBias gets the bare value and returns a plain tensor')
      const y = kit.emit('mul', [x, reshape(p.weight, view)])
      return [p.bias === undefined ? y : add(y, reshape(p.bias, view)), s]
    },
  }
}

/** Options of HadamardClassifier. */
export type HadamardOptions = {
  readonly inChannels: number
  readonly outChannels: number
  /** Keep the scale at `1/sqrt(outChannels)` instead of learning it (default false). */
  readonly fixedScale?: boolean
  /** Must be true: Brevitas' layer gives nothing else. */
  readonly returnQuantTensor?: boolean
}
const HADAMARD: { readonly [name: string]: Field } = {
  inChannels: required(count),
  outChannels: required(count),
  fixedScale: flag,
  returnQuantTensor: flag,
}

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
const misfit = (x: Value, o: HadamardOptions): Value | null => {
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

/**
 * A classifier with a fixed matrix of ±1 (brevitas.nn.HadamardClassifier): `y = -scale * ((x / n) Mᵀ)`, n the norm of the whole input, batch
 * included, plus 1e-8; so a result depends on all samples of its batch. M is the corner of Sylvester's matrix. Input: a quant tensor
 * `[.., inChannels]` with zero point 0; gives one `[.., outChannels]` on the scale `s_x * scale / n`.
 */
export const HadamardClassifier = (
  o: HadamardOptions,
): Layer<{ readonly scale?: Tensor }, { readonly scale?: Tensor }> => {
  const name = 'HadamardClassifier'
  const problems = optionProblems(name, o, HADAMARD)
  if (problems.length > 0) return brokenLayer(name, problems)
  const start = Math.fround(1 / Math.sqrt(o.outChannels))
  const fixed = o.fixedScale === true
  return {
    layer: name,
    params: fixed ? {} : { scale: constantLeaf([], start, true) },
    state: fixed ? { scale: constantLeaf([], start, false) } : {},
    problems,
    source: { layer: name, options: recordOf(o), takes: Object.keys(HADAMARD) },
    config: {
      name,
      parts: [
        ['inChannels', String(o.inChannels)],
        ['outChannels', String(o.outChannels)],
        ['fixedScale', String(fixed)],
      ],
    },
    apply: (p, s, x, kit) => {
      demandValue(name, x)
      const bad = misfit(x, o)
      const q = quantOf(x.carried)
      const scale = p.scale ?? s.scale
      if (bad !== null || q === null || scale === undefined) return [bad ?? x, s]
      const plain = dequantize(x, 'its integers are counted, and its norm is taken')
      const squares = kit.emit('sum', [kit.emit('mul', [plain, plain])], {
        dims: x.shape.map((_, i) => i),
        keepdim: false,
      })
      const n = kit.emit('add', [kit.emit('sqrt', [squares]), kit.constant(1e-8)])
      const own = kit.emit('div', [kit.emit('mul', [kit.value(q.scale), scale]), n])
      const integers = kit.emit('div', [plain, kit.value(q.scale)])
      const sums = kit.emit('neg', [kit.emit('linear', [integers, sylvester(kit, o.outChannels, o.inChannels)])])
      const y = kit.emit('fromSteps', [sums, own, kit.constant(0)], {
        bits: Math.min(32, ceilLog2((2 ** q.bits - 1) * o.inChannels)),
        signed: true,
        rounding: 'ROUND',
        training: kit.mode === 'train',
        zero: 'zero',
      })
      return [isQuantValue(y) ? y : x, s]
    },
  }
}
