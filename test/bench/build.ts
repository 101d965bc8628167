/** W7: from a layer to something that runs. Each size is built in a process of its own. */
import { performance } from 'node:perf_hooks'
import {
  add,
  compile,
  crossEntropy,
  functionLayer,
  grad,
  init,
  sum,
  tanh,
  tensorInput,
  trace,
  withLoss,
  zeros,
  type Backend,
  type DataOf,
  type InputsOf,
  type Layer,
  type Value,
} from '../../src/index.js'
import { CHAINS, network, normals, type Case } from './cases.js'
import type { Done } from './peer.js'
import { get } from './subject.js'

/** A chain of about `n` nodes: tanh and addition in turn. */
const chainOf = (n: number) =>
  functionLayer('chain', (x: Value) => {
    let y = x
    for (let i = 0; i < n; i++) y = i % 2 === 0 ? tanh(y) : add(y, 1)
    return sum(y)
  })

type VjpChoice = { readonly output?: string; readonly inputs?: boolean }
type Phases = { readonly trace: number; readonly grad: number; readonly compile: number; readonly cold: number }

const timed = <A>(body: () => A): readonly [A, number] => {
  const began = performance.now()
  const a = body()
  return [a, performance.now() - began]
}

/** From a layer to its first results. A plan is made for the phase it is first wanted in, so compiling ends with the first execution. */
const buildLayer = <P, S, I, O>(
  layer: () => Layer<P, S, I, O>,
  declared: InputsOf<I>,
  options: VjpChoice,
  inputs: DataOf<I>,
  backend: Backend,
): Phases => {
  const start = get(init(layer(), 0))
  const [program, traced] = timed(() => get(trace(layer(), declared, { mode: 'train' })))
  const [both, differentiated] = timed(() => get(grad(program, options)))
  const [compiled, compiling] = timed(() => {
    const made = get(compile(both, backend))
    const resident = get(made.resident({ params: start.params, state: start.state, inputs }))
    get(resident.execute())
    return made
  })
  compiled.dispose()
  return { trace: traced, grad: differentiated, compile: compiling, cold: traced + differentiated + compiling }
}

const buildNet = (backend: Backend): Phases => {
  const inputs = { x: { shape: [1, 1, 28, 28], data: normals(784, 1) }, target: zeros([1]) }
  return buildLayer(
    () => withLoss(network(30), crossEntropy),
    { x: tensorInput([1, 1, 28, 28]), target: tensorInput([1]) },
    { output: 'loss' },
    inputs,
    backend,
  )
}

const buildChain = (n: number, backend: Backend): Phases =>
  buildLayer(() => chainOf(n), tensorInput([4]), { inputs: true }, zeros([4]), backend)

/** Builds once, cold, and says what each part took. */
export const build = (c: Case, backend: Backend): Done => {
  const phases = c.size === 'net' ? buildNet(backend) : buildChain(CHAINS[c.size], backend)
  return {
    tag: 'done',
    rows: Object.entries(phases).map(([phase, ms]) => ({ id: `${c.workload}/${c.size}/${phase}`, ms })),
  }
}
