/** What our library is asked to do in each case: the program, its arguments, and the numbers for the peers. */
import {
  compile,
  crossEntropy,
  orThrow,
  grad,
  init,
  scalar,
  sgd,
  startTraining,
  tensorInput,
  trace,
  valueOf,
  vjp,
  withLoss,
  type Backend,
  type Layer,
  type Optimizer,
  type Output,
  type Program,
  type RunArgs,
  type Tensor,
  type TrainState,
  type Tree,
} from '../../src/index.js'
import { floatNet } from '../../examples/digits/network.js'
import {
  activation,
  BATCHES,
  classes,
  COLLECT,
  convolution,
  CONVS,
  elements,
  FOREVER,
  network,
  normals,
  SHAPES,
  type Case,
} from './cases.js'
import type { Numbers } from './handover.js'
import { sequence } from './sequences.js'

type Args = RunArgs<unknown, unknown, unknown>

/** Results of a case by the names under which they are compared. */
export type Results = { readonly [name: string]: Tensor }

/** A program to execute again and again on the same numbers. */
export type Evaluation = {
  readonly tag: 'evaluate'
  readonly program: Program
  readonly args: Args
  /** Names for the results of a run. */
  readonly resultsOf: (
    outputs: unknown,
    grads: { readonly inputs: Tree<Tensor>; readonly params: Tree<Tensor> },
  ) => Results
  readonly numbers: (results: Results) => Numbers
}
/** A step to take again and again. */
export type Training = {
  readonly tag: 'train'
  readonly program: Program
  readonly optimizer: Optimizer
  readonly start: TrainState<unknown, unknown>
  readonly inputs: unknown
  readonly numbers: () => Numbers
}
export type Subject = Evaluation | Training

/** The right side; errors of ours end the process' case. */
export const get = orThrow

const SEED_X = 1
const SEED_G = 2

/** Moves the state on by some runs, so that a phase has begun. */
const settled = (program: Program, args: Args, calls: number, backend: Backend): Args => {
  const compiled = get(compile(program, backend))
  let state = args.state
  for (let i = 0; i < calls; i++) state = get(compiled.run({ ...args, state })).state
  compiled.dispose()
  return { ...args, state }
}

const leaf = (tree: Tree<Tensor> | unknown): Tensor => valueOf(tree as Output)
const inner = (tree: Tree<Tensor>, ...keys: readonly string[]): Tensor =>
  keys.reduce<unknown>((t, k) => (t as { readonly [k: string]: unknown })[k], tree) as Tensor

/** Fetches of a forward, or of a forward and backward pass. */
const passes = <P, S>(
  layer: Layer<P, S>,
  shape: readonly number[],
  x: Tensor,
  g: Tensor | null,
  calls: number,
  backend: Backend,
): Pick<Evaluation, 'program' | 'args'> => {
  const start = get(init(layer, 0))
  const forward = get(trace(layer, tensorInput(shape), { mode: 'train' }))
  const args = settled(forward, { params: start.params, state: start.state, inputs: x }, calls, backend)
  if (g === null) return { program: forward, args }
  return { program: get(vjp(forward, { inputs: true })), args: { ...args, inputs: { inputs: x, cotangent: g } } }
}

const expectedOf = (results: Results, tolerance: number): Numbers['expected'] =>
  Object.fromEntries(Object.entries(results).map(([name, tensor]) => [name, { tensor, tolerance }]))

/** A threshold as the scale of a grid; a statistic over channels has its own shape. */
const scaleOf = (threshold: Tensor, integers: number): Tensor => ({
  shape: threshold.shape,
  data: threshold.data.map((t) => t / integers),
})

/** By what a workload's threshold is divided, where that is not 255. */
const THRESHOLDS: { readonly [workload: string]: number } = { W1: 128, W9: 448 }

const elementwise = (c: Case, backend: Backend): Evaluation => {
  const shape = SHAPES[c.size]
  const learned = c.phase.startsWith('learned')
  const x = { shape, data: normals(elements(shape), SEED_X) }
  const g = c.phase.endsWith('bwd') ? { shape, data: normals(elements(shape), SEED_G) } : null
  const made = passes(
    activation(c.workload, learned ? COLLECT : FOREVER),
    shape,
    x,
    g,
    learned ? COLLECT + 1 : 1,
    backend,
  )
  const scale =
    learned && c.workload !== 'W10'
      ? {
          scale: scaleOf(
            inner(made.args.state as Tree<Tensor>, 'actQuant', 'scale', 'value'),
            THRESHOLDS[c.workload] ?? 255,
          ),
        }
      : {}
  return {
    tag: 'evaluate',
    ...made,
    resultsOf: (outputs, grads): Results =>
      g === null ? { y: leaf(outputs) } : { y: leaf(outputs), gx: leaf(grads.inputs) },
    numbers: (results) => ({
      given: g === null ? { x, ...scale } : { x, g, ...scale },
      shared: { x: `x-${c.size}.f32`, g: `g-${c.size}.f32` },
      expected: expectedOf(results, 1e-4),
    }),
  }
}

const conv = (c: Case, backend: Backend): Evaluation => {
  const { cout, shape } = CONVS[c.size]
  const layer = convolution(c.size)
  const x = { shape, data: normals(elements(shape), SEED_X) }
  const outShape = [shape[0], cout, ...shape.slice(2)]
  const g = c.phase === 'fwd-bwd' ? { shape: outShape, data: normals(elements(outShape), SEED_G) } : null
  const made = passes(layer, shape, x, g, COLLECT + 1, backend)
  const params = made.args.params as { readonly weight: Tensor; readonly bias: Tensor }
  const thresholdOf = (place: string): Tensor => inner(made.args.state as Tree<Tensor>, place, 'scale', 'value')
  const largest = params.weight.data.reduce((m, w) => Math.max(m, Math.abs(w)), 0)
  const scales = {
    inScale: scaleOf(thresholdOf('inputQuant'), 128),
    outScale: scaleOf(thresholdOf('outputQuant'), 128),
    weightScale: scaleOf(scalar(largest), 127),
  }
  return {
    tag: 'evaluate',
    ...made,
    resultsOf: (outputs, grads): Results =>
      g === null
        ? { y: leaf(outputs) }
        : { y: leaf(outputs), gx: leaf(grads.inputs), gw: inner(grads.params, 'weight') },
    // Sums in another order may land on the other side of a rounding tie: a step of the output's grid in a few places.
    numbers: (results) => ({
      given: { x, ...(g === null ? {} : { g }), weight: params.weight, bias: params.bias, ...scales },
      expected: expectedOf(results, 0.01),
    }),
  }
}

const lossOf = <P, S>(net: Layer<P, S>) => withLoss(net, crossEntropy)
/** Parameters under flat names: `conv1.weight`. */
const flat = (params: unknown): { readonly [name: string]: Tensor } =>
  Object.fromEntries(
    Object.entries(params as { readonly [layer: string]: { readonly [name: string]: Tensor } }).flatMap(([layer, of]) =>
      Object.entries(of).map(([name, t]) => [`${layer}.${name}`, t]),
    ),
  )

/** Declarations of a batch of images with their digits. */
const declared = (batch: number) => ({ x: tensorInput([batch, 1, 28, 28]), target: tensorInput([batch]) })

/** What the float twin makes of the same parameters. */
const floatResults = (
  batch: number,
  params: unknown,
  inputs: { readonly x: Tensor; readonly target: Tensor },
  backend: Backend,
): Results => {
  const twin = floatNet()
  const program = get(trace(lossOf(twin), declared(batch), { mode: 'train' }))
  const compiled = get(compile(program as Program, backend))
  const start = get(init(twin, 0))
  const own = Object.fromEntries(
    Object.keys(start.params).map((k) => [k, (params as { readonly [k: string]: unknown })[k]]),
  )
  const { loss, y } = get(compiled.run({ params: own, state: start.state, inputs })).outputs as {
    readonly loss: Tensor
    readonly y: Tensor
  }
  compiled.dispose()
  return { 'float.y': valueOf(y), 'float.loss': valueOf(loss) }
}

/** The network with its quantizers past their collecting phase, as W5 and W6 use it. */
export const settledNetwork = (batch: number, backend: Backend) => {
  const net = network(COLLECT)
  const start = get(init(net, 0))
  const inputs = {
    x: { shape: [batch, 1, 28, 28], data: normals(batch * 784, SEED_X) },
    target: { shape: [batch], data: classes(batch) },
  }
  const program = get(trace(net, tensorInput([batch, 1, 28, 28]), { mode: 'train' }))
  const { state } = settled(
    program,
    { params: start.params, state: start.state, inputs: inputs.x },
    COLLECT + 1,
    backend,
  )
  return { net, params: start.params, state: state as typeof start.state, inputs }
}

const step = (c: Case, backend: Backend): Training => {
  const batch = BATCHES[c.size]
  const { net, params, state, inputs } = settledNetwork(batch, backend)
  const program: Program = get(grad(get(trace(lossOf(net), declared(batch), { mode: 'train' })), { output: 'loss' }))
  const optimizer = sgd({ lr: 1e-4, momentum: 0.9 })
  const numbers = (): Numbers => {
    const compiled = get(compile(program, backend))
    const ran = get(compiled.run({ params, state, inputs }))
    compiled.dispose()
    const out = ran.outputs as { readonly loss: Output; readonly y: Output }
    const results = {
      y: valueOf(out.y),
      loss: valueOf(out.loss),
      'grad.conv1.weight': inner(ran.grads.params, 'conv1', 'weight'),
      'grad.fc1.weight': inner(ran.grads.params, 'fc1', 'weight'),
    }
    return {
      given: { ...inputs, ...flat(params) },
      expected: { ...expectedOf(results, 0.03), ...expectedOf(floatResults(batch, params, inputs, backend), 1e-4) },
    }
  }
  return {
    tag: 'train',
    program,
    optimizer,
    start: startTraining({ params: params as unknown, state: state as unknown }, optimizer),
    inputs,
    numbers,
  }
}

const inference = (c: Case, backend: Backend): Evaluation => {
  const batch = BATCHES[c.size]
  const { net, params, state, inputs } = settledNetwork(batch, backend)
  return {
    tag: 'evaluate',
    program: get(trace(net, tensorInput([batch, 1, 28, 28]), { mode: 'eval' })),
    args: { params, state, inputs: inputs.x },
    resultsOf: (outputs) => ({ y: leaf(outputs) }),
    numbers: (results) => ({
      given: { ...inputs, ...flat(params) },
      expected: { ...expectedOf(results, 0.03), ...expectedOf(floatResults(batch, params, inputs, backend), 1e-4) },
    }),
  }
}

/** What is to be done in a case of W1 to W6; `backend` brings quantizers into their phase. */
export const subjectOf = (c: Case, backend: Backend): Subject => {
  switch (c.workload) {
    case 'W1':
    case 'W2':
    case 'W3':
    case 'W9':
    case 'W10':
      return elementwise(c, backend)
    case 'W4':
      return conv(c, backend)
    case 'W5':
      return step(c, backend)
    case 'W6':
      return inference(c, backend)
    case 'W11':
    case 'W12':
      return sequence(c, backend)
    case 'W7':
    case 'W8':
      throw new RangeError(`${c.workload} is not timed by repetition`)
  }
}
