/** What each op says of itself in a word. The laws check what is promised; that nothing is promised less than before is checked here. */
import * as assert from 'uvu/assert'
import { primitiveOps } from '../../src/ops/index.js'
import { suite } from '../support/suite.js'

const test = suite('ops: traits')

/** Words, and the ops that say just these. A new op need not stand here. */
const SAID: { readonly [words: string]: string } = {
  'elementwise smooth':
    'abs clamp elu erf exp exp2 gelu hardswish log log2 maximum minimum neg pow sigmoid softsign sqrt tanh tensorClamp',
  '!smooth elementwise':
    'absBinarySign ceil ceil~identity clamp~identity dpuRound dpuRound~identity floor floor~identity geluSlope quantAbs quantNeg round round~identity roundToZero roundToZero~identity select signedLowerBound signedLowerBound~identity',
  'exact=sum grids=learned homogeneous smooth': 'adaptiveAvgPool avgPool',
  'exact=sum smooth':
    'adaptiveAvgPoolGrad avgPoolGrad convInputGrad convWeightGrad linearWeightGrad matmul mean padGrad sum sumTo upsampleNearestExactGrad upsampleNearestGrad',
  'exact=zeros grids=all homogeneous smooth': 'adaptiveMaxPool maxPool',
  '!smooth exact=sum': 'adaptiveMaxPoolGrad maxPoolGrad quantizeFloatGradScale quantizeGradScale quantizeGradZeroPoint',
  'elementwise grids=learned homogeneous smooth': 'add',
  'grids=learned smooth': 'addBias',
  '!smooth':
    'allClose bernoulliMask hqoLowerEnd hqoThreshold mseFloatThreshold mseLowerEnd mseRange mseThreshold quantizeFloatGradInput quantizeGradInput rowWeights snapToGrid',
  '!smooth dtype=integer': 'arange',
  'dtype=same elementwise grids=all layout=view smooth': 'asTraining dequantize identity',
  '!smooth dtype=same elementwise grids=all layout=alias updates': 'assign',
  '!smooth bounded elementwise': 'between binarySign inside sign within',
  '!smooth births elementwise': 'binaryQuantize fromSteps quantize',
  'layout=move smooth': 'broadcastTo',
  '!smooth grids=all guards': 'checkClose checkValid checkValidFloat checkZero',
  '!smooth finds=NonFinite grids=all guards': 'checkFinite',
  'dtype=same grids=all smooth': 'concat',
  'exact=sum grids=learned smooth': 'conv convTranspose linear',
  '!smooth grids=all': 'delay dropout',
  '!smooth dtype=same elementwise grids=all layout=alias': 'detach',
  'elementwise grids=learned smooth': 'div mul',
  '!smooth bounded dtype=boolean elementwise': 'equal less lessEqual',
  'elementwise grids=all smooth': 'floatAbs floatNeg hardtanh relu6',
  'exact=zeros smooth': 'gatherLast kthValue maxAll maxLast',
  'grids=all smooth': 'gatherRows pad trimGroups',
  'grids=all layout=view smooth': 'joinGroups',
  'elementwise homogeneous smooth': 'leakyRelu sub',
  smooth: 'logSoftmax scatterLast scatterRows softmax upsampleLinearGrad',
  '!smooth births': 'onLearnedGrid quantizeFloat',
  'dtype=same grids=all layout=move smooth': 'permute',
  'grids=all layout=move smooth': 'pixelShuffle pixelUnshuffle',
  'elementwise grids=all homogeneous smooth': 'relu',
  'dtype=same grids=all layout=view smooth': 'reshape',
  '!smooth exact=zeros': 'scatterToFirst',
  'dtype=same smooth': 'slice',
  'exact=sum homogeneous smooth': 'upsampleLinear',
  'grids=all homogeneous smooth': 'upsampleNearest upsampleNearestExact',
}

const wordsOf = (op: object): string =>
  Object.entries(op)
    .filter(([key, value]) => !['name', 'doc'].includes(key) && ['boolean', 'string'].includes(typeof value))
    .map(([key, value]) => (typeof value === 'boolean' ? `${value ? '' : '!'}${key}` : `${key}=${value}`))
    .toSorted()
    .join(' ')

test('what ops say of themselves is as it was', () => {
  const words = new Map(primitiveOps.map((op) => [op.name, wordsOf(op)]))
  for (const [said, names] of Object.entries(SAID))
    for (const name of names.split(' ')) assert.is(`${name}: ${words.get(name)}`, `${name}: ${said}`)
})

test.run()
