/** Every operator that is known, by its name; those of other domains behind their domain. */
import type { ImportRule } from '../entry.js'
import * as c from './constants.js'
import * as e from './elementwise.js'
import { gatherElements } from './gatherElements.js'
import * as l from './layout.js'
import * as p from './pools.js'
import * as m from './products.js'
import * as q from './quantizers.js'
import { resize, upsample } from './resize.js'

const { direct, formula, keeping } = e

const qonnx = (domain: string): { readonly [op: string]: ImportRule } => ({
  [`${domain}.Quant`]: q.quant,
  [`${domain}.IntQuant`]: q.quant,
  [`${domain}.BipolarQuant`]: q.bipolarQuant,
  [`${domain}.Trunc`]: q.trunc,
})

/** What ONNX Runtime's quantizer writes for widths that ONNX itself got later, and what its optimizer makes of gelu. */
const microsoft: { readonly [op: string]: ImportRule } = {
  'com.microsoft.QuantizeLinear': q.quantizeLinear,
  'com.microsoft.DequantizeLinear': q.dequantizeLinear,
  'com.microsoft.Gelu': e.gelu,
}

/** The table. */
export const importRules: { readonly [op: string]: ImportRule } = {
  ...qonnx('qonnx.custom_op.general'),
  ...qonnx('onnx.brevitas'),
  ...microsoft,
  ...e.comparisons,
  ...p.reductions,
  Abs: direct('abs'),
  Add: e.addition,
  AveragePool: p.averagePool,
  BatchNormalization: m.batchNorm,
  Cast: e.cast,
  CastLike: e.castLike,
  Ceil: direct('ceil'),
  Celu: e.celu,
  Clip: e.clip,
  Concat: l.concat,
  Constant: c.constant,
  ConstantOfShape: c.constantOfShape,
  Conv: m.conv,
  ConvTranspose: m.convTranspose,
  CumSum: l.cumSum,
  DepthToSpace: l.depthToSpace,
  DequantizeLinear: q.dequantizeLinear,
  Div: e.division,
  Dropout: c.dropout,
  Elu: e.elu,
  Erf: direct('erf'),
  Exp: direct('exp'),
  Expand: l.expand,
  Flatten: l.flatten,
  Floor: direct('floor'),
  Gather: l.gather,
  GatherElements: gatherElements,
  Gelu: e.gelu,
  Gemm: m.gemm,
  GlobalAveragePool: p.globalPool('adaptiveAvgPool'),
  GlobalMaxPool: p.globalPool('adaptiveMaxPool'),
  HardSigmoid: e.hardSigmoid,
  HardSwish: direct('hardswish'),
  Identity: c.through,
  InstanceNormalization: m.instanceNorm,
  LayerNormalization: m.layerNorm,
  LeakyRelu: e.leaky,
  Log: direct('log'),
  LogSoftmax: p.softmax('logSoftmax'),
  MatMul: m.matmul,
  Max: e.variadic('maximum'),
  MaxPool: p.maxPool,
  Mean: e.variadic('add', true),
  Min: e.variadic('minimum'),
  Mish: e.mish,
  Mod: e.modulo,
  Mul: e.multiplication,
  Neg: direct('neg'),
  Pad: l.pad,
  Pow: e.power,
  PRelu: e.prelu,
  QuantizeLinear: q.quantizeLinear,
  RMSNormalization: m.rmsNorm,
  Reciprocal: formula((v) => v.kit.emit('div', [v.kit.constant(1), v])),
  Relu: keeping('relu'),
  Reshape: l.reshape,
  Resize: resize,
  Round: direct('round'),
  Selu: e.selu,
  Shape: c.shape,
  Sigmoid: direct('sigmoid'),
  Sign: direct('sign'),
  Size: c.size,
  Slice: l.slice,
  Softmax: p.softmax('softmax'),
  Softplus: formula(e.softplus),
  Softsign: direct('softsign'),
  SpaceToDepth: l.spaceToDepth,
  Split: l.split,
  Sqrt: direct('sqrt'),
  Squeeze: l.squeeze,
  Sub: e.subtraction,
  Sum: e.variadic('add'),
  Swish: e.swish,
  Tanh: direct('tanh'),
  ThresholdedRelu: e.thresholdedRelu,
  Tile: l.tile,
  Transpose: l.transpose,
  Unsqueeze: l.unsqueeze,
  Upsample: upsample,
  Where: e.where,
  Range: (x) => x.refuse('its bounds depend on data', 'only sizes and constants may say how a graph is shaped'),
  ReduceProd: (x) => x.refuse('products over data are not known', 'take the exponential of a sum of logarithms'),
}
