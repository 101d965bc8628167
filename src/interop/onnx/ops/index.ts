/** Every primitive and how it is said in ONNX, or why not. */
import { int64s, operand, unsupported, type Rule, type Unsupported } from '../rule.js'
import * as blocks from './blocks.js'
import * as elementwise from './elementwise.js'
import * as layout from './layout.js'
import * as pools from './pools.js'
import * as products from './products.js'
import * as quantizers from './quantizers.js'

const { direct, through } = elementwise

/** Products that take a bias as an operand. */
export const biased: { readonly [op: string]: products.Product | undefined } = {
  conv: products.conv,
  convTranspose: products.convTranspose,
  linear: products.linear,
}

const GRADIENT = unsupported(
  'it belongs to a backward pass or an optimizer, which ONNX models don’t hold',
  'export the program of a forward pass, traced in eval',
)
const STATISTIC = unsupported(
  'it is a statistic of data, and ONNX models have no state',
  'export a network traced in eval, after its statistics were collected',
)
const RANDOM = unsupported('it draws random numbers', 'trace the network in eval, where dropout changes nothing')

/** A bias behind something that is no product: an addition along the channel axis. */
const addBias: Rule = (x, node) => {
  const axis = Number(node.attrs.axis)
  const shape = node.shape.map((n, i) => (i === axis ? n : 1))
  const b = x.emit(node, 'Reshape', [operand(x, node, 1), int64s(x, shape, 'shape')])
  return x.emit(node, 'Add', [operand(x, node, 0), b])
}

/** The zero point is subtracted again: `|int| - z` and `-int - z` as Brevitas has it, `|int - z|` and `z - int` corrected. */
const quantNeg = quantizers.overIntegers(
  (x, node, q, z) => x.emit(node, 'Sub', [z, q]),
  (x, node, q, z) => x.emit(node, 'Sub', [x.emit(node, 'Neg', [q]), z]),
)
const quantAbs = quantizers.overIntegers(
  (x, node, q, z) => x.emit(node, 'Abs', [x.emit(node, 'Sub', [q, z])]),
  (x, node, q, z) => x.emit(node, 'Sub', [x.emit(node, 'Abs', [q]), z]),
)

/** Ops by the name of what they compute. */
export const rules: { readonly [op: string]: Rule | Unsupported } = {
  abs: direct('Abs'),
  absBinarySign: direct('Abs'),
  adaptiveAvgPool: pools.adaptiveAvgPool,
  adaptiveAvgPoolGrad: GRADIENT,
  adaptiveMaxPool: pools.adaptiveMaxPool,
  adaptiveMaxPoolGrad: GRADIENT,
  add: direct('Add'),
  addBias,
  allClose: STATISTIC,
  asTraining: through,
  arange: layout.arange,
  assign: through,
  avgPool: pools.avgPool,
  avgPoolGrad: GRADIENT,
  bernoulliMask: RANDOM,
  binaryQuantize: quantizers.binaryQuantize,
  binarySign: elementwise.binarySign,
  broadcastTo: layout.broadcastTo,
  ceil: direct('Ceil'),
  checkClose: through,
  checkFinite: through,
  checkValid: through,
  checkZero: through,
  clamp: elementwise.clamp,
  concat: layout.concat,
  conv: products.alone(products.conv),
  convInputGrad: GRADIENT,
  convTranspose: products.alone(products.convTranspose),
  convWeightGrad: GRADIENT,
  delay: elementwise.delay,
  dequantize: through,
  detach: through,
  div: direct('Div'),
  dpuRound: unsupported('ONNX has no rounding of ties as the DPU does', 'choose ROUND'),
  dropout: RANDOM,
  elu: elementwise.elu,
  equal: elementwise.compared('Equal'),
  erf: direct('Erf'),
  exp: direct('Exp'),
  exp2: elementwise.exp2,
  floor: direct('Floor'),
  fromSteps: quantizers.fromSteps,
  gatherLast: pools.gatherLast,
  gatherRows: pools.gatherRows,
  gelu: elementwise.gelu,
  geluSlope: GRADIENT,
  hardswish: elementwise.hardswish,
  hardtanh: elementwise.hardtanh,
  identity: through,
  kthValue: STATISTIC,
  leakyRelu: elementwise.leakyRelu,
  less: elementwise.compared('Less'),
  lessEqual: elementwise.compared('LessOrEqual'),
  linear: products.alone(products.linear),
  linearWeightGrad: GRADIENT,
  log: direct('Log'),
  log2: elementwise.log2,
  logSoftmax: pools.along('LogSoftmax'),
  matmul: direct('MatMul'),
  maxAll: pools.maxAll,
  maxLast: pools.maxLast,
  maxPool: pools.maxPool,
  maxPoolGrad: GRADIENT,
  floatAbs: direct('Abs'),
  floatNeg: direct('Neg'),
  hqoLowerEnd: STATISTIC,
  hqoThreshold: STATISTIC,
  joinGroups: blocks.joinGroups,
  maximum: direct('Max'),
  mean: pools.reduced('ReduceMean', 18),
  minimum: direct('Min'),
  mseFloatThreshold: STATISTIC,
  mseLowerEnd: STATISTIC,
  mseRange: STATISTIC,
  mseThreshold: STATISTIC,
  onLearnedGrid: quantizers.onLearnedGrid,
  mul: direct('Mul'),
  neg: direct('Neg'),
  pad: layout.pad,
  padGrad: GRADIENT,
  permute: layout.permute,
  pixelShuffle: layout.pixelShuffle,
  pixelUnshuffle: layout.pixelUnshuffle,
  pow: direct('Pow'),
  quantAbs,
  quantNeg,
  quantize: quantizers.quantize,
  quantizeFloat: blocks.quantizeFloat,
  quantizeFloatGradInput: GRADIENT,
  quantizeFloatGradScale: GRADIENT,
  quantizeGradInput: GRADIENT,
  quantizeGradScale: GRADIENT,
  quantizeGradZeroPoint: GRADIENT,
  relu: blocks.relu,
  relu6: elementwise.relu6,
  reshape: layout.reshape,
  round: direct('Round'),
  roundToZero: elementwise.roundToZero,
  rowWeights: GRADIENT,
  scatterLast: GRADIENT,
  scatterRows: GRADIENT,
  scatterToFirst: GRADIENT,
  select: elementwise.select,
  sigmoid: direct('Sigmoid'),
  sign: direct('Sign'),
  signedLowerBound: elementwise.signedLowerBound,
  slice: layout.slice,
  snapToGrid: quantizers.snapToGrid,
  softmax: pools.along('Softmax'),
  softsign: elementwise.softsign,
  sqrt: direct('Sqrt'),
  sub: direct('Sub'),
  sum: pools.reduced('ReduceSum', 13),
  sumTo: GRADIENT,
  trimGroups: blocks.trimGroups,
  tanh: direct('Tanh'),
  tensorClamp: elementwise.clamp,
  upsampleLinear: layout.upsampleLinear,
  upsampleLinearGrad: GRADIENT,
  upsampleNearest: layout.upsampleNearest,
  upsampleNearestExact: layout.upsampleNearestExact,
  upsampleNearestExactGrad: GRADIENT,
  upsampleNearestGrad: GRADIENT,
  within: elementwise.within,
}
