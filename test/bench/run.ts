/**
 * npm run bench -- [--quick] [--json FILE]
 * What tracing costs (chains of 1k, 10k, 100k nodes: time per node must not grow) and what a training step costs.
 */
import * as E from 'fp-ts/lib/Either.js'
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { performance } from 'node:perf_hooks'
import * as q from '../../src/index.js'
import { floatNet, quantNet } from '../../examples/digits/network.js'

/** One measurement; `perUnit` is milliseconds per thousand nodes, or per image. */
type Row = { readonly workload: string; readonly size: string; readonly phase: string; readonly ours_ms: number; readonly perUnit: number }

const get = <A>(e: E.Either<q.QuantErrors, A>): A => {
  if (E.isLeft(e)) throw new Error(q.explainAll(e.left))
  return e.right
}

/** The best of some rounds, in milliseconds. */
const best = (rounds: number, body: () => void): number => {
  let least = Infinity
  for (let i = 0; i < rounds; i++) {
    const began = performance.now()
    body()
    least = Math.min(least, performance.now() - began)
  }
  return least
}

const chainOf = (n: number) => q.functionLayer('chain', (x: q.Value) => {
  let y = x
  for (let i = 0; i < n; i++) y = i % 2 === 0 ? q.tanh(y) : q.add(y, 1)
  return q.sum(y)
})

const chainRows = (n: number, rounds: number): readonly Row[] => {
  const layer = chainOf(n)
  const program = get(q.trace(layer, q.tensorInput([4]), { mode: 'train' }))
  const row = (phase: string, body: () => void): Row => {
    const ours_ms = best(rounds, body)
    return { workload: 'chain', size: String(n), phase, ours_ms, perUnit: (ours_ms * 1000) / n }
  }
  return [
    row('trace', () => void get(q.trace(layer, q.tensorInput([4]), { mode: 'train' }))),
    row('differentiate', () => void get(q.grad(program, { inputs: true }))),
    row('print', () => void q.printProgram(program)),
  ]
}

const stepRow = <P, S>(workload: string, net: q.Layer<P, S>, batch: number, rounds: number): Row => {
  const program = get(q.grad(get(q.trace(q.withLoss(net, q.crossEntropy), { x: q.tensorInput([batch, 1, 28, 28]), target: q.tensorInput([batch]) }, { mode: 'train' })), { output: 'loss' }))
  const compiled = get(q.compile(program))
  const start = get(q.init(net, 0))
  const [x] = q.randn([batch, 1, 28, 28])(q.manualSeed(0))
  const inputs = { x, target: q.zeros([batch]) }
  const ours_ms = best(rounds, () => void get(compiled.run({ params: start.params, state: start.state, inputs })))
  return { workload, size: `b${batch}`, phase: 'step', ours_ms, perUnit: ours_ms / batch }
}

const main = (): void => {
  const quick = process.argv.includes('--quick')
  const rounds = quick ? 1 : 3
  const rows = [
    ...[1000, 10_000, ...(quick ? [] : [100_000])].flatMap((n) => chainRows(n, rounds)),
    stepRow('digits, 8 bits', quantNet(8), 32, rounds),
    stepRow('digits, float', floatNet(), 32, rounds),
  ]
  for (const r of rows) console.log(`${r.workload.padEnd(16)} ${r.size.padEnd(8)} ${r.phase.padEnd(14)} ${r.ours_ms.toFixed(2).padStart(10)} ms   ${r.perUnit.toFixed(3)} ${r.workload === 'chain' ? 'ms per 1000 nodes' : 'ms per image'}`)
  const [quantized, float] = rows.slice(-2)
  console.log(`a quantized step costs ${(quantized.ours_ms / float.ours_ms).toFixed(2)} times the float step on the same backend`)
  const at = process.argv.indexOf('--json')
  const file = at < 0 ? undefined : process.argv[at + 1]
  if (file === undefined) return
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, `${JSON.stringify(rows, null, 2)}\n`)
}

main()
