/** The registry: every primitive by its name. Adding an op is one file and one line here. */
import type { Op, OpTable } from '../graph/op.js'
import { structuralOps } from '../graph/structural.js'
import { adaptiveAvgPool } from './adaptiveAvgPool.js'
import { adaptiveAvgPoolGrad } from './adaptiveAvgPoolGrad.js'
import { adaptiveMaxPool } from './adaptiveMaxPool.js'
import { adaptiveMaxPoolGrad } from './adaptiveMaxPoolGrad.js'
import { avgPool } from './avgPool.js'
import { avgPoolGrad } from './avgPoolGrad.js'
import { concat } from './concat.js'
import { conv } from './conv.js'
import { convInputGrad } from './convInputGrad.js'
import { convTranspose } from './convTranspose.js'
import { convWeightGrad } from './convWeightGrad.js'
import { linear } from './linear.js'
import { linearWeightGrad } from './linearWeightGrad.js'
import { matmul } from './matmul.js'
import { maxPool } from './maxPool.js'
import { maxPoolGrad } from './maxPoolGrad.js'
import { slice } from './slice.js'
import { bernoulliMask, dropout } from './dropout.js'
import { gatherLast, scatterLast } from './gatherLast.js'
import { logSoftmax, softmax } from './softmax.js'
import { pixelShuffle, pixelUnshuffle } from './pixelShuffle.js'
import { pad } from './pad.js'
import { padGrad } from './padGrad.js'
import { upsampleLinear, upsampleLinearGrad } from './upsampleLinear.js'
import {
  upsampleNearest,
  upsampleNearestExact,
  upsampleNearestExactGrad,
  upsampleNearestGrad,
} from './upsampleNearest.js'
import { mseThreshold } from './mseThreshold.js'
import { abs, absBinarySign } from './abs.js'
import { elu, gelu, geluSlope, hardswish, leakyRelu, sigmoid, tanh } from './activations.js'
import { add } from './add.js'
import { addBias } from './addBias.js'
import { binaryQuantize, delay } from './binaryQuantize.js'
import { allClose, checkClose, checkFinite, checkValid, checkZero } from './checks.js'
import {
  between,
  clamp,
  clampSte,
  inside,
  signedLowerBound,
  signedLowerBoundSte,
  tensorClamp,
  within,
} from './clamp.js'
import { equal, less, lessEqual } from './compare.js'
import { div } from './div.js'
import { exp, exp2, log, log2, sqrt } from './exponentials.js'
import { maximum, minimum } from './extrema.js'
import { asTraining, assign, dequantize, detach, identity } from './identity.js'
import { fromSteps, snapToGrid } from './fromSteps.js'
import { kthValue, scatterToFirst } from './kthValue.js'
import { maxAll, maxLast } from './largest.js'
import { mul } from './mul.js'
import { neg } from './neg.js'
import { permute } from './permute.js'
import { quantAbs, quantNeg } from './quantSigns.js'
import { quantize, quantizeGradInput, quantizeGradScale, quantizeGradZeroPoint } from './quantize.js'
import { hardtanh, relu, relu6 } from './relu.js'
import { reshape } from './reshape.js'
import {
  ceil,
  ceilSte,
  dpuRound,
  dpuRoundSte,
  floor,
  floorSte,
  round,
  roundSte,
  roundToZero,
  roundToZeroSte,
} from './rounding.js'
import { select } from './select.js'
import { binarySign, sign } from './sign.js'
import { softsign } from './softsign.js'
import { sub } from './sub.js'
import { mean, sum } from './sum.js'
import { broadcastTo, sumTo } from './sumTo.js'

const primitives: readonly Op[] = [
  between,
  inside,
  tensorClamp,
  mseThreshold,
  upsampleLinear,
  upsampleLinearGrad,
  upsampleNearest,
  upsampleNearestExact,
  upsampleNearestExactGrad,
  upsampleNearestGrad,
  bernoulliMask,
  dropout,
  gatherLast,
  scatterLast,
  logSoftmax,
  softmax,
  pixelShuffle,
  pixelUnshuffle,
  pad,
  padGrad,
  adaptiveAvgPool,
  adaptiveAvgPoolGrad,
  adaptiveMaxPool,
  adaptiveMaxPoolGrad,
  avgPool,
  avgPoolGrad,
  concat,
  conv,
  convInputGrad,
  convTranspose,
  convWeightGrad,
  linear,
  linearWeightGrad,
  matmul,
  maxPool,
  maxPoolGrad,
  slice,
  abs,
  absBinarySign,
  add,
  addBias,
  allClose,
  asTraining,
  assign,
  binaryQuantize,
  binarySign,
  broadcastTo,
  ceil,
  ceilSte,
  checkClose,
  checkFinite,
  checkValid,
  checkZero,
  clamp,
  clampSte,
  delay,
  dequantize,
  detach,
  div,
  dpuRound,
  dpuRoundSte,
  elu,
  equal,
  exp,
  exp2,
  floor,
  floorSte,
  fromSteps,
  gelu,
  geluSlope,
  hardswish,
  hardtanh,
  identity,
  kthValue,
  leakyRelu,
  less,
  lessEqual,
  log,
  log2,
  maxAll,
  maxLast,
  maximum,
  mean,
  minimum,
  mul,
  neg,
  permute,
  quantAbs,
  quantNeg,
  quantize,
  quantizeGradInput,
  quantizeGradScale,
  quantizeGradZeroPoint,
  relu,
  relu6,
  reshape,
  round,
  roundSte,
  roundToZero,
  roundToZeroSte,
  scatterToFirst,
  select,
  sigmoid,
  sign,
  signedLowerBound,
  signedLowerBoundSte,
  snapToGrid,
  softsign,
  sqrt,
  sub,
  sum,
  sumTo,
  tanh,
  within,
]

/** All primitives by name, the structural ones included. */
export const ops: OpTable = Object.freeze({
  ...structuralOps,
  ...Object.fromEntries(primitives.map((op) => [op.name, op])),
})

/** The computing primitives, from which laws sample. */
export const primitiveOps: readonly Op[] = primitives
