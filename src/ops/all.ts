/** Every primitive: adding an op is one file and one line here. */
export { abs, absBinarySign } from './abs.js'
export { elu, gelu, geluSlope, hardswish, leakyRelu, sigmoid, tanh } from './activations.js'
export { adaptiveAvgPool } from './adaptiveAvgPool.js'
export { adaptiveAvgPoolGrad } from './adaptiveAvgPoolGrad.js'
export { adaptiveMaxPool } from './adaptiveMaxPool.js'
export { adaptiveMaxPoolGrad } from './adaptiveMaxPoolGrad.js'
export { add } from './add.js'
export { addBias } from './addBias.js'
export { arange } from './arange.js'
export { avgPool } from './avgPool.js'
export { avgPoolGrad } from './avgPoolGrad.js'
export { binaryQuantize, delay } from './binaryQuantize.js'
export { allClose, checkClose, checkFinite, checkValid, checkValidFloat, checkZero } from './checks.js'
export {
  between,
  clamp,
  clampSte,
  inside,
  signedLowerBound,
  signedLowerBoundSte,
  tensorClamp,
  within,
} from './clamp.js'
export { equal, less, lessEqual } from './compare.js'
export { concat } from './concat.js'
export { conv } from './conv.js'
export { convInputGrad } from './convInputGrad.js'
export { convTranspose } from './convTranspose.js'
export { convWeightGrad } from './convWeightGrad.js'
export { div } from './div.js'
export { bernoulliMask, dropout } from './dropout.js'
export { erf } from './erf.js'
export { exp, exp2, log, log2, sqrt } from './exponentials.js'
export { maximum, minimum } from './extrema.js'
export { floatAbs, floatNeg } from './floatSigns.js'
export { fromSteps, snapToGrid } from './fromSteps.js'
export { gatherLast, scatterLast } from './gatherLast.js'
export { gatherRows, rowWeights, scatterRows } from './gatherRows.js'
export { asTraining, assign, dequantize, detach, identity } from './identity.js'
export { kthValue, scatterToFirst } from './kthValue.js'
export { maxAll, maxLast } from './largest.js'
export { joinGroups, trimGroups } from './groups.js'
export { hqoLowerEnd, hqoThreshold } from './halfQuadratic.js'
export { linear } from './linear.js'
export { linearWeightGrad } from './linearWeightGrad.js'
export { matmul } from './matmul.js'
export { maxPool } from './maxPool.js'
export { maxPoolGrad } from './maxPoolGrad.js'
export { mseFloatThreshold } from './mseFloatThreshold.js'
export { mseLowerEnd, mseRange } from './mseRange.js'
export { mseThreshold } from './mseThreshold.js'
export { mul } from './mul.js'
export { neg } from './neg.js'
export { onLearnedGrid } from './onLearnedGrid.js'
export { pad } from './pad.js'
export { padGrad } from './padGrad.js'
export { permute } from './permute.js'
export { pixelShuffle, pixelUnshuffle } from './pixelShuffle.js'
export { pow } from './pow.js'
export { quantAbs, quantNeg } from './quantSigns.js'
export { quantize } from './quantize.js'
export { quantizeGradInput, quantizeGradScale, quantizeGradZeroPoint } from './quantizeGrad.js'
export { quantizeFloat, quantizeFloatGradInput, quantizeFloatGradScale } from './quantizeFloat.js'
export { hardtanh, relu, relu6 } from './relu.js'
export { reshape } from './reshape.js'
export {
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
export { select } from './select.js'
export { binarySign, sign } from './sign.js'
export { slice } from './slice.js'
export { logSoftmax, softmax } from './softmax.js'
export { softsign } from './softsign.js'
export { sub } from './sub.js'
export { mean, sum } from './sum.js'
export { broadcastTo, sumTo } from './sumTo.js'
export { upsampleLinear, upsampleLinearGrad } from './upsampleLinear.js'
export {
  upsampleNearest,
  upsampleNearestExact,
  upsampleNearestExactGrad,
  upsampleNearestGrad,
} from './upsampleNearest.js'
