/** The float networks of `../shared/bench/brevitas_ptq.py`: the digits example's, and one of depthwise convolutions with batch norms. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  adam,
  AvgPool2d,
  BatchNorm2d,
  chain,
  Conv2d,
  crossEntropy,
  finish,
  Flatten,
  Linear,
  orThrow,
  parseTensors,
  ReLU,
  tensorsToBytes,
  train,
  type Layer,
} from '../../../src/index.js'
import { floatNet } from '../../../examples/digits/network.js'
import type { Digits } from '../../../examples/digits/data.js'
import type { TensorTree } from '../../../src/nn/layers/layer.js'
import type { Trained } from '../../../src/quantize/index.js'
import type { Value } from '../../../src/graph/op.js'

const conv = (inChannels: number, outChannels: number, kernelSize: number, stride = 1, groups = 1) =>
  Conv2d({ inChannels, outChannels, kernelSize, stride, padding: kernelSize === 3 ? 1 : 0, groups })

/** Five convolutions, two of them depthwise, each with a batch norm and a ReLU. */
export const depthwiseNet = () =>
  chain({
    stem: conv(1, 16, 3, 2),
    stemNorm: BatchNorm2d({ numFeatures: 16 }),
    stemRelu: ReLU(),
    dw1: conv(16, 16, 3, 1, 16),
    dw1Norm: BatchNorm2d({ numFeatures: 16 }),
    dw1Relu: ReLU(),
    pw1: conv(16, 32, 1),
    pw1Norm: BatchNorm2d({ numFeatures: 32 }),
    pw1Relu: ReLU(),
    dw2: conv(32, 32, 3, 2, 32),
    dw2Norm: BatchNorm2d({ numFeatures: 32 }),
    dw2Relu: ReLU(),
    pw2: conv(32, 64, 1),
    pw2Norm: BatchNorm2d({ numFeatures: 64 }),
    pw2Relu: ReLU(),
    pool: AvgPool2d({ kernelSize: 7 }),
    flatten: Flatten(),
    fc: Linear({ inFeatures: 64, outFeatures: 10 }),
  })

/** The networks by name. */
export const nets: { readonly [name: string]: () => Layer } = {
  Lenet: floatNet as unknown as () => Layer,
  Depthwise: depthwiseNet as unknown as () => Layer,
}

/** A network trained for 6 epochs on 8,000 digits, as the yardstick's; kept in a folder from run to run. */
export const trainedNet = async (
  name: string,
  seed: number,
  digits: Digits,
  folder: string,
): Promise<Trained<Value, Value>> => {
  const net = nets[name]()
  const file = join(folder, `${name}-${seed}.qtrc`)
  if (existsSync(file)) {
    const { params, state } = orThrow(parseTensors(readFileSync(file))) as {
      readonly params: TensorTree
      readonly state: TensorTree
    }
    return { net, params, state }
  }
  const data = { x: digits.images, target: digits.labels }
  const done = orThrow(
    await finish(train(net, crossEntropy, data, { optimizer: adam({ lr: 1e-3 }), epochs: 6, batchSize: 32, seed })),
  )
  mkdirSync(folder, { recursive: true })
  const numbers = { params: done.params, state: done.state }
  writeFileSync(file, tensorsToBytes(numbers))
  return { net, ...numbers }
}
