/** The network of the digits example, quantized or float. */
import {
  chain,
  Conv2d,
  Flatten,
  Linear,
  MaxPool2d,
  QuantConv2d,
  QuantIdentity,
  QuantLinear,
  QuantReLU,
  ReLU,
  Uint8ActPerTensorFloat,
} from '../../src/index.js'

const pool = MaxPool2d({ kernelSize: 2 })

/** The layers that quantize: activations (`input`, `relu…`) and weights (`conv…`, `fc…`). */
export const quantLayers = ['input', 'conv1', 'relu1', 'conv2', 'relu2', 'fc1', 'relu3', 'fc2'] as const
/** Bits of each of them. */
export type LayerBits = { readonly [layer in (typeof quantLayers)[number]]: number }

/** The same bits everywhere. */
export const allAt = (bits: number): LayerBits => ({
  input: bits,
  conv1: bits,
  relu1: bits,
  conv2: bits,
  relu2: bits,
  fc1: bits,
  relu3: bits,
  fc2: bits,
})

/** QuantIdentity → conv → ReLU → pool → conv → ReLU → pool → linear → ReLU → linear, each layer at its own bits. */
export const quantNetAt = (bits: LayerBits) =>
  chain({
    // Grey levels are never negative: an unsigned quantizer wastes no bit on a sign.
    input: QuantIdentity({ bitWidth: bits.input, returnQuantTensor: true, actQuant: Uint8ActPerTensorFloat }),
    conv1: QuantConv2d({ inChannels: 1, outChannels: 16, kernelSize: 3, padding: 1, weightBitWidth: bits.conv1 }),
    relu1: QuantReLU({ bitWidth: bits.relu1, returnQuantTensor: true }),
    pool1: pool,
    conv2: QuantConv2d({ inChannels: 16, outChannels: 32, kernelSize: 3, padding: 1, weightBitWidth: bits.conv2 }),
    relu2: QuantReLU({ bitWidth: bits.relu2, returnQuantTensor: true }),
    pool2: pool,
    flatten: Flatten(),
    fc1: QuantLinear({ inFeatures: 1568, outFeatures: 128, weightBitWidth: bits.fc1 }),
    relu3: QuantReLU({ bitWidth: bits.relu3, returnQuantTensor: true }),
    fc2: QuantLinear({ inFeatures: 128, outFeatures: 10, weightBitWidth: bits.fc2 }),
  })

/** The network with weights and activations at the same bits. */
export const quantNet = (bits: number) => quantNetAt(allAt(bits))

/** The same network without quantizers. */
export const floatNet = () =>
  chain({
    conv1: Conv2d({ inChannels: 1, outChannels: 16, kernelSize: 3, padding: 1 }),
    relu1: ReLU(),
    pool1: pool,
    conv2: Conv2d({ inChannels: 16, outChannels: 32, kernelSize: 3, padding: 1 }),
    relu2: ReLU(),
    pool2: pool,
    flatten: Flatten(),
    fc1: Linear({ inFeatures: 1568, outFeatures: 128 }),
    relu3: ReLU(),
    fc2: Linear({ inFeatures: 128, outFeatures: 10 }),
  })
