/** Cells 13 and 14: quantizing before and after a ReLU. */
import {
  chain,
  functionLayer,
  Int8ActPerTensorFloat,
  manualSeed,
  plain,
  QuantConv2d,
  QuantReLU,
  relu,
  type Generator,
  type Tensor,
} from '../../src/index.js'
import { CONV } from './activations.js'
import { showTensor } from './format.js'
import { allEqual, call, construct, expectDigits, expectTrue, type Cell } from './notebook.js'

/**
 * Cell 13: quantizing before ReLU spends half of the signed grid on numbers that ReLU throws away. Kept as a quant tensor, and
 * through the `relu` that keeps metadata, the trace even says so: of the signed 8 bits only 0 … 127 are left, which are 7.
 */
export const cell13 = (inp: Tensor): Cell<null> => {
  // torch.manual_seed(0)
  // output_quant_conv = QuantConv2d(…, output_quant=Int8ActPerTensorFloat)
  const outputQuantConv = QuantConv2d({ ...CONV, outputQuant: Int8ActPerTensorFloat })
  // torch.relu(output_quant_conv(inp))
  const [convThenRelu] = construct(
    chain({ outputQuantConv, relu: functionLayer('torch.relu', plain.relu) }),
    manualSeed(0),
  )
  const { out, says } = call(convThenRelu, inp)
  if ('kind' in out) throw new Error('cell 13: the result is a quant tensor, the tutorial prints a plain one')
  expectDigits(
    13,
    'torch.relu(output_quant_conv(inp))',
    out,
    `
    0.0000 0.0000 0.0000   1.3134 1.2557 1.0392   0.4186 0.0000 0.0000
    0.7361 0.5340 0.8516   0.2887 0.3175 0.0000   0.8949 1.6743 0.0722
    0.0000 0.0000 0.0289   0.0000 0.0000 0.2021   0.0000 0.0000 0.4907`,
  )
  const outputQuantTensorConv = QuantConv2d({ ...CONV, outputQuant: Int8ActPerTensorFloat, returnQuantTensor: true })
  const [convThenKeepingRelu] = construct(
    chain({ outputQuantTensorConv, relu: functionLayer('F.relu', relu) }),
    manualSeed(0),
  )
  const kept = call(convThenKeepingRelu, inp)
  expectTrue(13, 'F.relu(quant) == torch.relu(plain)', allEqual(kept.out, out))
  return {
    printed: [
      showTensor(out),
      ...says,
      '# and with returnQuantTensor: true and relu instead of plain.relu:',
      ...kept.says,
    ],
    made: null,
  }
}

/** Cell 14: quantizing after ReLU: close to cell 13, with steps half as wide. */
export const cell14 = (inp: Tensor): Cell<{ readonly generator: Generator }> => {
  // torch.manual_seed(0)
  // default_quant_conv = QuantConv2d(in_channels=2, out_channels=3, kernel_size=(3,3))
  // default_quant_relu = QuantReLU()
  const [convThenQuantRelu, generator] = construct(
    chain({ defaultQuantConv: QuantConv2d(CONV), defaultQuantRelu: QuantReLU() }),
    manualSeed(0),
  )
  // default_quant_relu(default_quant_conv(inp))
  const { out } = call(convThenQuantRelu, inp)
  if ('kind' in out) throw new Error('cell 14: the result is a quant tensor, the tutorial prints a plain one')
  expectDigits(
    14,
    'default_quant_relu(default_quant_conv(inp))',
    out,
    `
    0.0000 0.0000 0.0000   1.3078 1.2555 1.0397   0.4185 0.0000 0.0000
    0.7454 0.5427 0.8566   0.2943 0.3269 0.0000   0.8893 1.6674 0.0785
    0.0065 0.0000 0.0262   0.0000 0.0000 0.1962   0.0000 0.0000 0.4839`,
  )
  return { printed: [showTensor(out)], made: { generator } }
}
