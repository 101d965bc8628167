/** onnxruntime-web on its WebAssembly backend: inference of the float net and of the QCDQ net; the faster one counts. */
import { InferenceSession, Tensor as OrtTensor, env } from 'onnxruntime-web'
import { compile, createWasm, reference, tensorInput, trace } from '../../src/index.js'
import { BATCHES, type Case } from './cases.js'
import type { Received } from './handover.js'
import { onnxBytes } from './onnx.js'
import { onnxNet, type ScaleAt } from './onnxNets.js'
import { ready, unable, type Peer, type Prepared, type Surroundings } from './peer.js'
import { get, settledNetwork } from './subject.js'

/** The scales of our network, by the quantizers' paths: those of learned activations and of the weights. */
const scalesOf = async (batch: number): Promise<ScaleAt> => {
  const backend = get(await createWasm({ threads: 1 }))
  const { net, params, state, inputs } = settledNetwork(batch, backend)
  backend.dispose()
  const one = { shape: [1, 1, 28, 28], data: inputs.x.data.subarray(0, 784) }
  const compiled = get(compile(get(trace(net, tensorInput(one.shape), { mode: 'eval' })), reference))
  const [values, scales] = [new Map<number, number>(), new Map<string, number>()]
  get(
    compiled.run(
      { params, state, inputs: one },
      {
        observe: (node, value) => {
          values.set(node.id, value.data[0])
          const scale = values.get(node.inputs[1] ?? -1)
          if (node.op.name === 'quantize' && scale !== undefined) scales.set(node.path, scale)
        },
      },
    ),
  )
  return (path) => {
    const scale = scales.get(path)
    if (scale === undefined)
      throw new RangeError(`no quantizer ran at ${path}; there are ${[...scales.keys()].join(', ')}`)
    return scale
  }
}

/** V8 runs a module of 12 MB in its baseline tier at first; until the optimised code is there, times say nothing. */
const WARM_MS = 1500

const session = async (c: Case, from: Received, scaleAt: ScaleAt | null): Promise<() => Promise<unknown>> => {
  const batch = BATCHES[c.size]
  const made = await InferenceSession.create(onnxBytes(onnxNet(batch, from.given, scaleAt)), {
    executionProviders: ['wasm'],
    graphOptimizationLevel: 'all',
    logSeverityLevel: 3,
  })
  const feeds = { x: new OrtTensor('float32', from.given('x').data, [batch, 1, 28, 28]) }
  const y = (await made.run(feeds)).fc2.data
  if (!(y instanceof Float32Array)) throw new TypeError('the result is no float tensor')
  from.check(scaleAt === null ? 'float.y' : 'y', y)
  return () => made.run(feeds)
}

const timeOf = async (run: () => Promise<unknown>): Promise<number> => {
  const until = performance.now() + WARM_MS
  let best = Infinity
  while (performance.now() < until) {
    const began = performance.now()
    await run()
    best = Math.min(best, performance.now() - began)
  }
  return best
}

/** Opens onnxruntime-web with a number of threads. */
export const ortWeb = async (around: Surroundings): Promise<Peer> => {
  env.wasm.numThreads = around.threads
  const prepare = async (c: Case, numbers: () => Received): Promise<Prepared> => {
    if (c.workload !== 'W6') return unable('not written')
    const from = numbers()
    const [float, qcdq] = [await session(c, from, null), await session(c, from, await scalesOf(BATCHES[c.size]))]
    const [f, q] = [await timeOf(float), await timeOf(qcdq)]
    return {
      ...ready(f <= q ? float : qcdq),
      note: `the ${f <= q ? 'float' : 'QCDQ'} export is the faster one (${f.toPrecision(3)} against ${q.toPrecision(3)} ms)`,
    }
  }
  return { prepare, close: () => {} }
}
