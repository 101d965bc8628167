/** W11, an LSTM over 50 steps, and W12, self-attention over 64: forward and backward pass, and evaluation, with quantizers past their collecting phase. */
import {
  compile,
  grad,
  init,
  mean,
  mul,
  orThrow,
  QuantLSTM,
  QuantMultiheadAttention,
  tensorInput,
  trace,
  valueOf,
  type Backend,
  type Kit,
  type Layer,
  type Output,
  type Program,
  type Tensor,
  type TensorTree,
  type Traced,
  type Value,
} from '../../src/index.js'
import { toStateDict } from '../../src/interop/brevitas/index.js'
import { BATCHES, elements, normals, type Case } from './cases.js'
import type { Numbers } from './handover.js'
import type { Evaluation, Results } from './subject.js'

const SEED = 3
/** Calls that end every collection of 30. */
const SETTLE = 31
const LSTM = { inputSize: 32, hiddenSize: 64 } as const
const ATTENTION = { embedDim: 64, numHeads: 4 } as const
const STEPS = { W11: 50, W12: 64 } as const

type Sequence = Layer<TensorTree, TensorTree, { readonly x: Value }, { readonly y: Value }>

const off = (names: readonly string[]) => Object.fromEntries(names.map((n) => [n, null]))
const LSTM_QUANTIZERS = ['weight', 'bias', 'io', 'gateAcc', 'sigmoid', 'tanh', 'cellState'].map((n) => `${n}Quant`)
const ATTENTION_QUANTIZERS = [
  ...['inProj', 'outProj'].flatMap((p) => ['InputQuant', 'WeightQuant', 'BiasQuant'].map((n) => `${p}${n}`)),
  ...['attnOutputWeights', 'qScaled', 'kTransposed', 'v'].map((n) => `${n}Quant`),
]

/** The layer, or the same without quantizers. */
const layerOf = (workload: 'W11' | 'W12', quantized: boolean): Sequence => {
  if (workload === 'W11') return QuantLSTM({ ...LSTM, ...(quantized ? {} : off(LSTM_QUANTIZERS)) }) as Sequence
  const layer = QuantMultiheadAttention({ ...ATTENTION, ...(quantized ? {} : off(ATTENTION_QUANTIZERS)) })
  return {
    ...layer,
    apply: (p: never, s: never, { x }: { readonly x: Value }, kit: Kit) =>
      layer.apply(p, s, { query: x, needWeights: false }, kit),
  } as unknown as Sequence
}

/** The mean of the squares of the result: a loss for the backward pass. */
const withMeanSquare = (layer: Sequence) => ({
  ...layer,
  apply: (p: Traced<TensorTree>, s: Traced<TensorTree>, x: Value, kit: Kit) => {
    const [{ y }, after] = layer.apply(p, s, { x }, kit)
    return [{ y, loss: mean(mul(y, y)) }, after] as const
  },
})

type Trees = { readonly params: TensorTree; readonly state: TensorTree }

const ran = (program: Program, args: Trees & { readonly inputs: Tensor }, backend: Backend) => {
  const compiled = orThrow(compile(program, backend))
  const done = orThrow(compiled.run(args as never))
  compiled.dispose()
  return done as { readonly outputs: { readonly y: Output; readonly loss: Output }; readonly state: TensorTree }
}

const resultsOf = (outputs: unknown): Results => {
  const { y, loss } = outputs as { readonly y: Output; readonly loss: Output }
  return { y: valueOf(y), loss: valueOf(loss) }
}

/** What is done in a case of W11 or W12. */
export const sequence = (c: Case, backend: Backend): Evaluation => {
  const workload = c.workload === 'W11' ? 'W11' : 'W12'
  const shape = [STEPS[workload], BATCHES[c.size], workload === 'W11' ? LSTM.inputSize : ATTENTION.embedDim]
  const x = { shape, data: normals(elements(shape), SEED) }
  const layer = layerOf(workload, true)
  const start = orThrow(init(layer, 0))
  const tracedIn = (net: Sequence, mode: 'train' | 'eval') =>
    orThrow(trace(withMeanSquare(net) as unknown as Layer, tensorInput(shape), { mode })) as Program
  const forward = tracedIn(layer, 'train')
  let { state } = start
  for (let i = 0; i < SETTLE; i++) ({ state } = ran(forward, { params: start.params, state, inputs: x }, backend))
  const plain = layerOf(workload, false)
  const plainState = orThrow(init(plain, 0)).state
  const given = orThrow(toStateDict(layer, { params: start.params, state })) as { readonly [name: string]: Tensor }
  return {
    tag: 'evaluate',
    program:
      c.phase === 'train'
        ? (orThrow(grad(forward, { output: 'loss' })) as unknown as Program)
        : tracedIn(layer, 'eval'),
    args: { params: start.params, state, inputs: x },
    resultsOf,
    numbers: (results): Numbers => {
      const twin = ran(tracedIn(plain, 'eval'), { params: start.params, state: plainState, inputs: x }, backend)
      const float = resultsOf(twin.outputs)
      return {
        given: {
          x,
          ...Object.fromEntries(Object.entries(given).map(([k, t]) => [k, { shape: t.shape, data: t.data }])),
        },
        expected: {
          ...Object.fromEntries(Object.entries(results).map(([k, tensor]) => [k, { tensor, tolerance: 0.05 }])),
          ...Object.fromEntries(
            Object.entries(float).map(([k, tensor]) => [`float.${k}`, { tensor, tolerance: 1e-4 }]),
          ),
        },
      }
    },
  }
}
