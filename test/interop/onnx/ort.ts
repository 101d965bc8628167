/** ONNX Runtime on one thread: what others compute with our files. */
import { env, InferenceSession, Tensor as OrtTensor } from 'onnxruntime-web'
import type * as q from '../../../src/index.js'

env.wasm.numThreads = 1

/** Results by name, as the file has it, without optimizations. */
export const byOrt = async (
  bytes: Uint8Array,
  inputs: { readonly [name: string]: q.Tensor },
): Promise<{ readonly [name: string]: q.Tensor }> => {
  const session = await InferenceSession.create(bytes, {
    executionProviders: ['wasm'],
    graphOptimizationLevel: 'disabled',
    logSeverityLevel: 4,
  })
  try {
    const feeds = Object.fromEntries(
      Object.entries(inputs).map(([k, t]) => [k, new OrtTensor('float32', t.data, [...t.shape])]),
    )
    return Object.fromEntries(
      Object.entries(await session.run(feeds)).map(([name, { data, dims }]) => {
        if (!(data instanceof Float32Array)) throw new TypeError(`${name} is no float tensor`)
        return [name, { shape: dims, data }]
      }),
    )
  } finally {
    await session.release()
  }
}
