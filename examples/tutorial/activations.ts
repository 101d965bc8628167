/** Cells 1 to 12: quantized activations beside convolutions, and what becomes of the metadata. */
import * as E from 'fp-ts/lib/Either.js'
import {
  chain,
  Int8ActPerTensorFloat,
  isValidQuantTensor,
  manualSeed,
  QuantConv2d,
  QuantIdentity,
  QuantReLU,
  QuantSigmoid,
  randn,
  ShiftedUint8ActPerTensorFloat,
  trace,
  type ActivationState,
  type Generator,
  type None,
  type QuantTensor,
  type Tensor,
} from '../../src/index.js'
import { show, showBoolean, showTensor, showTruth } from './format.js'
import {
  allClose,
  allEqual,
  call,
  construct,
  declared,
  expectDigits,
  expectInOrder,
  expectTrue,
  fresh,
  quant,
  type Cell,
  type Live,
} from './notebook.js'

/** A layer without weights, with its state. */
export type Activation = Live<None, ActivationState>

/** The notebook's convolution. */
export const CONV = { inChannels: 2, outChannels: 3, kernelSize: [3, 3] } as const

/** The digits of the input on an 8-bit grid, as cells 5, 7 and 8 print them. */
const QUANTIZED = `
  -0.4566 -0.5707 -0.5517  0.5897  1.5409   0.5136 -0.5897 -0.5707  0.1902 -0.0761  -0.4946 -1.5029 -0.1902  0.4376  1.3317
  -1.6361  2.0736  1.7122  2.3780 -1.1224  -0.3234 -1.0844 -0.0761 -0.0951 -0.7610
  -1.5980  0.0190 -0.7419  0.1902  0.6278   0.6468 -0.2473 -0.5327  1.1605  0.4376  -0.7990 -1.2936 -0.7419 -1.3127 -0.2283
  -2.4351 -0.0761  0.2283  0.7990 -0.1902  -0.3615 -1.2175 -0.6278 -0.4566  1.9214`

/** The notebook's helper asserts a condition and prints it. */
const assertWithMessage = (cell: number, what: string, condition: boolean): string => {
  // assert condition
  // print(condition)
  expectTrue(cell, what, condition)
  return showBoolean(condition)
}

/** Cell 1 defines a helper that later cells call; it prints nothing. */
export const cell1 = (): Cell<{ readonly assertWithMessage: typeof assertWithMessage }> => ({
  printed: [],
  made: { assertWithMessage },
})

/** Cell 2: a convolution that quantizes its output is the same as one followed by a QuantIdentity. */
export const cell2 = (): Cell<{ readonly inp: Tensor; readonly generator: Generator }> => {
  // torch.manual_seed(0)
  // output_quant_conv = QuantConv2d(in_channels=2, out_channels=3, kernel_size=(3,3), output_quant=Int8ActPerTensorFloat)
  const [outputQuantConv] = construct(QuantConv2d({ ...CONV, outputQuant: Int8ActPerTensorFloat }), manualSeed(0))
  // torch.manual_seed(0)
  // default_quant_conv = QuantConv2d(in_channels=2, out_channels=3, kernel_size=(3,3))
  // output_identity_quant = QuantIdentity()
  const [convThenIdentity, afterWeights] = construct(
    chain({ conv: QuantConv2d(CONV), outputIdentityQuant: QuantIdentity() }),
    manualSeed(0),
  )
  // inp = torch.randn(1, 2, 5, 5)
  const [inp, generator] = randn([1, 2, 5, 5])(afterWeights)
  // out_tensor1 = output_quant_conv(inp)
  const { out: out1 } = call(outputQuantConv, inp)
  // out_tensor2 = output_identity_quant(default_quant_conv(inp))
  const { out: out2 } = call(convThenIdentity, inp)
  // assert_with_message(out_tensor1.isclose(out_tensor2).all().item())
  return {
    printed: [assertWithMessage(2, 'out_tensor1.isclose(out_tensor2)', allClose(out1, out2))],
    made: { inp, generator },
  }
}

/** Cell 3: the same with a quantized input as well. */
export const cell3 = (): Cell<{ readonly inp: Tensor; readonly generator: Generator }> => {
  // torch.manual_seed(0)
  // input_output_quant_conv = QuantConv2d(…, input_quant=Int8ActPerTensorFloat, output_quant=Int8ActPerTensorFloat)
  const [inputOutputQuantConv] = construct(
    QuantConv2d({ ...CONV, inputQuant: Int8ActPerTensorFloat, outputQuant: Int8ActPerTensorFloat }),
    manualSeed(0),
  )
  // torch.manual_seed(0)
  // default_quant_conv = QuantConv2d(…); input_identity_quant = QuantIdentity(); output_identity_quant = QuantIdentity()
  const [threeLayers, afterWeights] = construct(
    chain({ inputIdentityQuant: QuantIdentity(), conv: QuantConv2d(CONV), outputIdentityQuant: QuantIdentity() }),
    manualSeed(0),
  )
  // inp = torch.randn(1, 2, 5, 5)
  const [inp, generator] = randn([1, 2, 5, 5])(afterWeights)
  // out_tensor1 = input_output_quant_conv(inp)
  const { out: out1 } = call(inputOutputQuantConv, inp)
  // out_tensor2 = output_identity_quant(default_quant_conv(input_identity_quant(inp)))
  const { out: out2 } = call(threeLayers, inp)
  // assert_with_message(out_tensor1.isclose(out_tensor2).all().item())
  return {
    printed: [assertWithMessage(3, 'out_tensor1.isclose(out_tensor2)', allClose(out1, out2))],
    made: { inp, generator },
  }
}

/** Cell 4: a disabled QuantIdentity changes nothing. */
export const cell4 = (inp: Tensor): Cell<{ readonly disabledQuantIdentity: Activation }> => {
  // disabled_quant_identity = QuantIdentity(act_quant=None)
  const disabledQuantIdentity = fresh(QuantIdentity({ actQuant: null }))
  // assert_with_message((inp == disabled_quant_identity(inp)).all().item())
  const { out } = call(disabledQuantIdentity, inp)
  return {
    printed: [assertWithMessage(4, 'inp == disabled_quant_identity(inp)', allEqual(inp, out))],
    made: { disabledQuantIdentity },
  }
}

/** Cell 5: a QuantTensor is the numbers together with their scale, zero point and bit width. */
export const cell5 = (inp: Tensor): Cell<{ readonly outTensor: QuantTensor }> => {
  // return_quant_identity = QuantIdentity(return_quant_tensor=True)
  const returnQuantIdentity = fresh(QuantIdentity({ returnQuantTensor: true }))
  // out_tensor = return_quant_identity(inp)
  const outTensor = quant(call(returnQuantIdentity, inp).out)
  expectDigits(5, 'out_tensor', outTensor.value, QUANTIZED)
  expectDigits(5, 'its scale', outTensor.scale, '0.0190')
  // out_tensor
  return { printed: [show(outTensor)], made: { outTensor } }
}

/** Cell 6: the numbers lie on the grid that the metadata describes. */
export const cell6 = (outTensor: QuantTensor): Cell<null> => {
  // assert_with_message(out_tensor.is_valid)
  return { printed: [assertWithMessage(6, 'out_tensor.is_valid', isValidQuantTensor(outTensor))], made: null }
}

/** Cell 7: without returnQuantTensor the numbers stay on their grid, but nobody knows any more. */
export const cell7 = (
  disabledQuantIdentity: Activation,
  outTensor: QuantTensor,
): Cell<{ readonly outTorchTensor: Tensor }> => {
  // out_torch_tensor = disabled_quant_identity(out_tensor)
  const { out, says } = call(disabledQuantIdentity, outTensor)
  if ('kind' in out) throw new Error('cell 7: the result is a quant tensor, the tutorial prints a plain one')
  expectDigits(7, 'out_torch_tensor', out, QUANTIZED)
  // out_torch_tensor
  return { printed: [showTensor(out), ...says], made: { outTorchTensor: out } }
}

/** Cell 8: with returnQuantTensor the disabled layer hands the metadata on. */
export const cell8 = (outTensor: QuantTensor): Cell<{ readonly identityOutTensor: QuantTensor }> => {
  // return_disabled_quant_identity = QuantIdentity(act_quant=None, return_quant_tensor=True)
  const returnDisabledQuantIdentity = fresh(QuantIdentity({ actQuant: null, returnQuantTensor: true }))
  // identity_out_tensor = return_disabled_quant_identity(out_tensor)
  const { out, says } = call(returnDisabledQuantIdentity, outTensor)
  const identityOutTensor = quant(out)
  expectDigits(8, 'identity_out_tensor', identityOutTensor.value, QUANTIZED)
  expectDigits(8, 'its scale', identityOutTensor.scale, '0.0190')
  // identity_out_tensor
  return { printed: [show(identityOutTensor), ...says], made: { identityOutTensor } }
}

/** Cell 9: QuantReLU cuts off the negative half first, so all 255 steps of an unsigned grid serve the rest. */
export const cell9 = (inp: Tensor): Cell<null> => {
  // return_quant_relu = QuantReLU(return_quant_tensor=True)
  const returnQuantRelu = fresh(QuantReLU({ returnQuantTensor: true }))
  // return_quant_relu(inp)
  const { out } = call(returnQuantRelu, inp)
  expectDigits(
    9,
    'return_quant_relu(inp)',
    quant(out).value,
    `
    0.0000 0.0000 0.0000 0.5974 1.5402   0.5041 0.0000 0.0000 0.1867 0.0000   0.0000 0.0000 0.0000 0.4481 1.3255
    0.0000 2.0817 1.7083 2.3804 0.0000   0.0000 0.0000 0.0000 0.0000 0.0000
    0.0000 0.0187 0.0000 0.1867 0.6254   0.6348 0.0000 0.0000 1.1668 0.4387   0.0000 0.0000 0.0000 0.0000 0.0000
    0.0000 0.0000 0.2334 0.7935 0.0000   0.0000 0.0000 0.0000 0.0000 1.9230`,
  )
  return { printed: [show(out)], made: null }
}

/** Cell 10: ReLU maps a grid through zero into itself, so a disabled QuantReLU may keep the metadata. */
export const cell10 = (outTensor: QuantTensor): Cell<{ readonly reluOutTensor: QuantTensor }> => {
  // return_disabled_quant_relu = QuantReLU(act_quant=None, return_quant_tensor=True)
  const returnDisabledQuantRelu = fresh(QuantReLU({ actQuant: null, returnQuantTensor: true }))
  // relu_out_tensor = return_disabled_quant_relu(out_tensor)
  const { out, says } = call(returnDisabledQuantRelu, outTensor)
  const reluOutTensor = quant(out)
  // assert_with_message(relu_out_tensor.is_valid)
  const valid = assertWithMessage(10, 'relu_out_tensor.is_valid', isValidQuantTensor(reluOutTensor))
  // assert_with_message(relu_out_tensor.scale == out_tensor.scale), and the same of zero_point and bit_width
  const same = (['scale', 'zeroPoint', 'bitWidth'] as const).map((part) => {
    const equal = allEqual(reluOutTensor[part], outTensor[part])
    expectTrue(10, `relu_out_tensor.${part} == out_tensor.${part}`, equal)
    return showTruth(equal)
  })
  return { printed: [valid, ...same, ...says], made: { reluOutTensor } }
}

/** Cell 11: a sigmoid leaves every grid, so a disabled QuantSigmoid can't give a QuantTensor. We refuse at trace time, before any number. */
export const cell11 = (outTensor: QuantTensor): Cell<null> => {
  // return_disabled_quant_sigmoid = QuantSigmoid(act_quant=None, return_quant_tensor=True)
  const returnDisabledQuantSigmoid = QuantSigmoid({ actQuant: null, returnQuantTensor: true })
  // sigmoid_out_tensor = return_disabled_quant_sigmoid(out_tensor)
  const traced = trace(returnDisabledQuantSigmoid, declared(outTensor), { mode: 'train' })
  if (E.isRight(traced)) throw new Error('cell 11: the trace succeeded, the tutorial raises AssertionError')
  // AssertionError: QuantLayer is not correctly configured, check if warnings were raised
  expectInOrder(11, 'the error', traced.left[0].message, [
    'QuantLayer is not correctly configured, check if warnings were raised',
  ])
  return { printed: traced.left.map((e) => `${e.tag}: ${e.message}`), made: null }
}

/** Cell 12: an unsigned grid with a zero point holds negative values, and ReLU still cuts them: it sees values, not integers. */
export const cell12 = (inp: Tensor): Cell<null> => {
  // shifted_quant_identity = QuantIdentity(act_quant=ShiftedUint8ActPerTensorFloat, return_quant_tensor=True)
  const shiftedQuantIdentity = QuantIdentity({ actQuant: ShiftedUint8ActPerTensorFloat, returnQuantTensor: true })
  // return_disabled_quant_relu = QuantReLU(act_quant=None, return_quant_tensor=True)
  const returnDisabledQuantRelu = QuantReLU({ actQuant: null, returnQuantTensor: true })
  // return_disabled_quant_relu(shifted_quant_identity(inp))
  const { out, says } = call(fresh(chain({ shiftedQuantIdentity, returnDisabledQuantRelu })), inp)
  expectDigits(
    12,
    'return_disabled_quant_relu(shifted_quant_identity(inp))',
    quant(out).value,
    `
    0.0000 0.0000 0.0000 0.5854 1.5485   0.5099 0.0000 0.0000 0.1888 0.0000   0.0000 0.0000 0.0000 0.4532 1.3219
    0.0000 2.0772 1.6996 2.3794 0.0000   0.0000 0.0000 0.0000 0.0000 0.0000
    0.0000 0.0189 0.0000 0.1888 0.6232   0.6421 0.0000 0.0000 1.1708 0.4343   0.0000 0.0000 0.0000 0.0000 0.0000
    0.0000 0.0000 0.2266 0.7931 0.0000   0.0000 0.0000 0.0000 0.0000 1.9262`,
  )
  return { printed: [show(out), ...says], made: null }
}
