/** Cells 15 to 24: where scales come from, in train and in eval, per tensor and per channel. */
import * as E from 'fp-ts/lib/Either.js'
import {
  init,
  printConfig,
  QuantHardTanh,
  QuantIdentity,
  QuantReLU,
  rand,
  randn,
  type Generator,
  type Tensor,
} from '../../src/index.js'
import type { Activation } from './activations.js'
import { showBoolean, showTensor } from './format.js'
import { allClose, call, expectDigits, expectInOrder, expectTrue, fresh, quant, times, type Cell } from './notebook.js'

/** Cell 15: a quantizer that collects statistics, and two inputs to show it. */
export const cell15 = (
  generator: Generator,
): Cell<{
  readonly quantIdentity: Activation
  readonly inp1: Tensor
  readonly inp2: Tensor
  readonly generator: Generator
}> => {
  // quant_identity = QuantIdentity(return_quant_tensor=True)
  const quantIdentity = fresh(QuantIdentity({ returnQuantTensor: true }))
  // inp1 = torch.randn(3, 3)
  const [inp1, afterFirst] = randn([3, 3])(generator)
  // inp2 = torch.randn(3, 3)
  const [inp2, afterBoth] = randn([3, 3])(afterFirst)
  return { printed: [], made: { quantIdentity, inp1, inp2, generator: afterBoth } }
}

/** Cell 16: while it collects, train takes each batch's own statistic, so two batches have two scales. The second call starts from the state that the first one returned. */
export const cell16 = (
  quantIdentity: Activation,
  inp1: Tensor,
  inp2: Tensor,
): Cell<{ readonly quantIdentity: Activation }> => {
  // out1_train = quant_identity(inp1)
  const first = call(quantIdentity, inp1)
  // out2_train = quant_identity(inp2)
  const second = call(first.next, inp2)
  // assert_with_message(not out1_train.scale.isclose(out2_train.scale).item())
  const differ = !allClose(quant(first.out).scale, quant(second.out).scale)
  expectTrue(16, 'not out1_train.scale.isclose(out2_train.scale)', differ)
  return { printed: [showBoolean(differ)], made: { quantIdentity: second.next } }
}

/** Cell 17: eval takes the running average of both batches, so there is one scale. */
export const cell17 = (quantIdentity: Activation, inp1: Tensor, inp2: Tensor): Cell<null> => {
  // quant_identity.eval()
  // out1_eval = quant_identity(inp1)
  const first = call(quantIdentity, inp1, 'eval')
  // out2_eval = quant_identity(inp2)
  const second = call(first.next, inp2, 'eval')
  // assert_with_message(out1_eval.scale.isclose(out2_eval.scale).item())
  const same = allClose(quant(first.out).scale, quant(second.out).scale)
  expectTrue(17, 'out1_eval.scale.isclose(out2_eval.scale)', same)
  return { printed: [showBoolean(same)], made: null }
}

/** Cell 18: QuantHardTanh needs its range. TypeScript refuses the call already; who insists gets a typed error. */
export const cell18 = (): Cell<null> => {
  // QuantHardTanh()
  // @ts-expect-error minVal and maxVal are missing, which is the point of this cell
  const started = init(QuantHardTanh({}), 0)
  if (E.isRight(started)) throw new Error('cell 18: the layer was accepted, the tutorial raises DependencyError')
  // DependencyError: 'Int8ActPerTensorFloatMinMaxInit' can not resolve attribute 'max_val'
  expectInOrder(18, 'the error', started.left[0].message, [
    "'Int8ActPerTensorFloatMinMaxInit' can not resolve attribute 'max_val'",
  ])
  return { printed: started.left.map((e) => `${e.tag}: ${e.message}`), made: null }
}

/** Cell 19: with its range the layer is whole. */
export const cell19 = (): Cell<{ readonly quantHardTanh: Activation }> => {
  // quant_hard_tanh = QuantHardTanh(max_val=1.0, min_val=-1.0, return_quant_tensor=True)
  const quantHardTanh = fresh(QuantHardTanh({ maxVal: 1, minVal: -1, returnQuantTensor: true }))
  return { printed: [], made: { quantHardTanh } }
}

/** Cell 20: a scale that starts from a given range is the same in train and in eval. */
export const cell20 = (quantHardTanh: Activation, inp1: Tensor, inp2: Tensor): Cell<null> => {
  // out1_train = quant_hard_tanh(inp1)
  const first = call(quantHardTanh, inp1)
  // quant_hard_tanh.eval()
  // out2_eval = quant_hard_tanh(inp2)
  const second = call(first.next, inp2, 'eval')
  // assert_with_message(out1_train.scale.isclose(out2_eval.scale).item())
  const same = allClose(quant(first.out).scale, quant(second.out).scale)
  expectTrue(20, 'out1_train.scale.isclose(out2_eval.scale)', same)
  return { printed: [showBoolean(same)], made: null }
}

const OUT_CHANNELS = 3
const SIDE = 256

/** Cell 21: one scale for the whole tensor must reach as far as its widest channel. */
export const cell21 = (
  generator: Generator,
): Cell<{ readonly inp3: Tensor; readonly perTensorQuantRelu: Activation }> => {
  // out_channels = 3
  // inp3 = torch.rand(1, out_channels, 256, 256)  # (B, C, H, W)
  const [uniform] = rand([1, OUT_CHANNELS, SIDE, SIDE])(generator)
  // inp3[:, 0, :, :] *= 3
  const inp3 = { shape: uniform.shape, data: uniform.data.map((v, i) => (i < SIDE * SIDE ? v * 3 : v)) }
  // per_tensor_quant_relu = QuantReLU(return_quant_tensor=True)
  const perTensorQuantRelu = fresh(QuantReLU({ returnQuantTensor: true }))
  // out_tensor = per_tensor_quant_relu(inp3)
  const { out, next } = call(perTensorQuantRelu, inp3)
  // out_tensor.scale * ((2**8) - 1)
  const range = times(quant(out).scale, 2 ** 8 - 1)
  expectDigits(21, 'out_tensor.scale * 255', range, '2.9998')
  return { printed: [showTensor(range)], made: { inp3, perTensorQuantRelu: next } }
}

/** Cell 22: what the layer is made of. The statistic looks at the tensor as one flat list. */
export const cell22 = (perTensorQuantRelu: Activation): Cell<null> => {
  // per_tensor_quant_relu
  const text = printConfig(perTensorQuantRelu.layer.config)
  expectInOrder(22, 'the configuration', text, [
    'QuantReLU(',
    '(inputQuant)',
    '(actQuant)',
    'RescalingIntQuant(',
    'IntQuant(',
    'RoundSte',
    'TensorClamp',
    'NoDelay',
    'ParameterFromRuntimeStatsScaling(',
    'OverTensorView()',
    'AbsPercentile(',
  ])
  return { printed: [text], made: null }
}

/** Cell 23: the same layer per channel: the statistic looks at one row for each channel. */
export const cell23 = (): Cell<{ readonly perChanQuantRelu: Activation }> => {
  // per_chan_quant_relu = QuantReLU(return_quant_tensor=True,
  //                                 scaling_per_output_channel=True,
  //                                 per_channel_broadcastable_shape=(1, out_channels, 1, 1),
  //                                 scaling_stats_permute_dims=(1, 0, 2, 3),
  //                                )
  const perChanQuantRelu = fresh(
    QuantReLU({
      returnQuantTensor: true,
      scalingPerOutputChannel: true,
      perChannelBroadcastableShape: [1, OUT_CHANNELS, 1, 1],
      scalingStatsPermuteDims: [1, 0, 2, 3],
    }),
  )
  // per_chan_quant_relu
  const text = printConfig(perChanQuantRelu.layer.config)
  expectInOrder(23, 'the configuration', text, [
    'QuantReLU(',
    '(inputQuant)',
    '(actQuant)',
    'RescalingIntQuant(',
    'IntQuant(',
    'RoundSte',
    'TensorClamp',
    'NoDelay',
    'ParameterFromRuntimeStatsScaling(',
    'OverOutputChannelView(',
    'PermuteDims',
    'AbsPercentile(',
    'FloatRestrictValue',
    'ScalarClampMinSte',
    'IntScaling',
    'ZeroZeroPoint',
    'BitWidthConst',
  ])
  return { printed: [text], made: { perChanQuantRelu } }
}

/** Cell 24 (in the notebook, not numbered in print): each channel has a scale that fits its own range. */
export const cell24 = (perChanQuantRelu: Activation, inp3: Tensor): Cell<null> => {
  // out_tensor = per_chan_quant_relu(inp3)
  const { out } = call(perChanQuantRelu, inp3)
  // out_tensor.scale * ((2**8) - 1)
  const range = times(quant(out).scale, 2 ** 8 - 1)
  expectTrue(24, 'out_tensor.scale.numel() == 3', range.data.length === OUT_CHANNELS)
  expectTrue(
    24,
    'each range is that of its channel',
    [3, 1, 1].every((top, c) => range.data[c] <= top && range.data[c] > top * 0.999),
  )
  return { printed: [showTensor(range)], made: null }
}
