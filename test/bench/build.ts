/** W7: from a layer to something that runs. Each size is built in a process of its own. */
import { performance } from 'node:perf_hooks'
import { add, compile, crossEntropy, functionLayer, grad, sum, tanh, tensorInput, trace, withLoss, type Backend, type Value } from '../../src/index.js'
import { CHAINS, network, type Case } from './cases.js'
import type { Done } from './peer.js'
import { get } from './subject.js'

/** A chain of about `n` nodes: tanh and addition in turn. */
const chainOf = (n: number) => functionLayer('chain', (x: Value) => {
  let y = x
  for (let i = 0; i < n; i++) y = i % 2 === 0 ? tanh(y) : add(y, 1)
  return sum(y)
})

type Phases = { readonly trace: number; readonly grad: number; readonly compile: number; readonly cold: number }

const timed = <A>(body: () => A): readonly [A, number] => {
  const began = performance.now()
  const a = body()
  return [a, performance.now() - began]
}

const buildNet = (backend: Backend): Phases => {
  const [program, traced] = timed(() => get(trace(withLoss(network(30), crossEntropy), { x: tensorInput([32, 1, 28, 28]), target: tensorInput([32]) }, { mode: 'train' })))
  const [both, differentiated] = timed(() => get(grad(program, { output: 'loss' })))
  const [compiled, compiling] = timed(() => get(compile(both, backend)))
  compiled.dispose()
  return { trace: traced, grad: differentiated, compile: compiling, cold: traced + differentiated + compiling }
}

const buildChain = (n: number, backend: Backend): Phases => {
  const [program, traced] = timed(() => get(trace(chainOf(n), tensorInput([4]), { mode: 'train' })))
  const [both, differentiated] = timed(() => get(grad(program, { inputs: true })))
  const [compiled, compiling] = timed(() => get(compile(both, backend)))
  compiled.dispose()
  return { trace: traced, grad: differentiated, compile: compiling, cold: traced + differentiated + compiling }
}

/** Builds once, cold, and says what each part took. */
export const build = (c: Case, backend: Backend): Done => {
  const phases = c.size === 'net' ? buildNet(backend) : buildChain(CHAINS[c.size], backend)
  return { tag: 'done', rows: Object.entries(phases).map(([phase, ms]) => ({ id: `${c.workload}/${c.size}/${phase}`, ms })) }
}
