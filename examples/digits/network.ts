/** The network of the digits example, quantized or float. */
import { chain, Conv2d, Flatten, Linear, MaxPool2d, QuantConv2d, QuantIdentity, QuantLinear, QuantReLU, ReLU, Uint8ActPerTensorFloat } from '../../src/index.js'

const pool = MaxPool2d({ kernelSize: 2 })

/** QuantIdentity → conv → ReLU → pool → conv → ReLU → pool → linear → ReLU → linear, weights and activations at `bits`. */
export const quantNet = (bits: number) => {
  const act = { bitWidth: bits, returnQuantTensor: true }
  return chain({
    // Grey levels are never negative: an unsigned quantizer wastes no bit on a sign.
    input: QuantIdentity({ ...act, actQuant: Uint8ActPerTensorFloat }),
    conv1: QuantConv2d({ inChannels: 1, outChannels: 16, kernelSize: 3, padding: 1, weightBitWidth: bits }),
    relu1: QuantReLU(act),
    pool1: pool,
    conv2: QuantConv2d({ inChannels: 16, outChannels: 32, kernelSize: 3, padding: 1, weightBitWidth: bits }),
    relu2: QuantReLU(act),
    pool2: pool,
    flatten: Flatten(),
    fc1: QuantLinear({ inFeatures: 1568, outFeatures: 128, weightBitWidth: bits }),
    relu3: QuantReLU(act),
    fc2: QuantLinear({ inFeatures: 128, outFeatures: 10, weightBitWidth: bits }),
  })
}

/** The same network without quantizers. */
export const floatNet = () => chain({
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
