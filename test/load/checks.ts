/** What must hold under load; each check gives its figures, and what is wrong with them. */
import * as q from '../../src/index.js'
import { batchOf, trainingOf } from './nets.js'

/** Figures in words, and what is wrong, or null. */
export type Loaded = { readonly figures: string; readonly fault: string | null }

const MIB = 2 ** 20
const settle = async (): Promise<number> => {
  for (let k = 0; k < 3; k++) {
    globalThis.gc?.()
    await new Promise((done) => {
      setTimeout(done, 20)
    })
  }
  return process.memoryUsage().rss
}

/** So many steps: memory at the end is that after the first thousand. */
export const steps = async (count: number): Promise<Loaded> => {
  const { program, optimizer, start } = trainingOf(16, 1)
  const trainer = q.orThrow(q.trainer(program, optimizer, start))
  const batches = Array.from({ length: 64 }, (_, k) => batchOf(k))
  const began = performance.now()
  let early = 0
  for (let k = 0; k < count; k++) {
    q.orThrow(trainer.step(batches[k % batches.length]))
    if (k === 999) early = await settle()
  }
  const seconds = (performance.now() - began) / 1000
  const late = await settle()
  trainer.dispose()
  const grown = (late - early) / early
  return {
    figures: `${count} training steps in ${seconds.toFixed(1)} s: RSS ${(early / MIB).toFixed(1)} MiB after step 1,000, ${(late / MIB).toFixed(1)} MiB at the end (${(100 * grown).toFixed(2)} %)`,
    fault: Math.abs(grown) <= 0.05 || late < early ? null : 'memory grew by more than 5 %',
  }
}

/** So many different programs compiled, run and released: the second half costs no more memory than the first left behind. */
export const programs = async (count: number): Promise<Loaded> => {
  const rss: number[] = []
  for (let k = 0; k < count; k++) {
    const net = q.chain({
      fc: q.QuantLinear({ inFeatures: 1 + (k % 31), outFeatures: 1 + (k % 17) }),
      act: q.QuantReLU({ collectStatsSteps: 1 }),
    })
    const program = q.orThrow(q.trace(net, q.tensorInput([1 + (k % 7), 1 + (k % 31)]), { mode: 'train' }))
    const compiled = q.orThrow(q.compile(program))
    const fixed = q.orThrow(q.init(net, k))
    q.orThrow(compiled.run({ ...fixed, inputs: q.zeros([1 + (k % 7), 1 + (k % 31)]) }))
    compiled.dispose()
    if (k === Math.floor(count / 2) || k === count - 1) rss.push(await settle())
  }
  const grown = (rss[1] - rss[0]) / rss[0]
  return {
    figures: `${count} programs compiled and released: RSS ${(rss[0] / MIB).toFixed(1)} MiB at half, ${(rss[1] / MIB).toFixed(1)} MiB at the end (${(100 * grown).toFixed(2)} %)`,
    fault: grown <= 0.1 ? null : 'memory grew by more than 10 % in the second half',
  }
}

const bitsOf = (t: unknown): string => Buffer.from(q.tensorsToBytes(t)).toString('base64')

/** Eight trainings stepped in turns, sharing a backend with threads, give what they give one after the other. */
export const concurrent = async (count: number): Promise<Loaded> => {
  const backend = q.orThrow(await q.createWasm({ threads: 2, splitAbove: 64 }))
  const widths = [3, 4, 7, 8, 12, 16, 24, 33]
  const all = widths.map((w, k) => trainingOf(w, k))
  const open = () =>
    all.map(({ program, optimizer, start }) => q.orThrow(q.trainer(program, optimizer, start, backend)))
  const close = (trainers: ReturnType<typeof open>): readonly string[] =>
    trainers.map((t) => {
      t.dispose()
      const { params, state } = t.training()
      return bitsOf({ params, state })
    })
  const turns = open()
  for (let k = 0; k < count; k++)
    await Promise.all(
      turns.map(async (t, i) => {
        await Promise.resolve()
        q.orThrow(t.step(batchOf(k * 8 + i)))
      }),
    )
  const together = close(turns)
  const one = open()
  one.forEach((t, i) => {
    for (let k = 0; k < count; k++) q.orThrow(t.step(batchOf(k * 8 + i)))
  })
  const apart = close(one)
  backend.dispose()
  const odd = together.findIndex((b, i) => b !== apart[i])
  return {
    figures: `8 programs stepping in turns, ${count} steps each: ${odd < 0 ? 'the bits of one after the other' : `program ${odd} differs`}`,
    fault: odd < 0 ? null : 'a program that steps beside others gives something else',
  }
}

type Cost = { readonly nodes: number; readonly ms: readonly number[]; readonly heap: number }

const costOf = (layers: number): Cost => {
  globalThis.gc?.()
  const before = process.memoryUsage().heapUsed
  const net = q.functionLayer('deep', (x: q.Value) => {
    let y = x
    for (let k = 0; k < layers; k++) y = k % 3 === 0 ? q.tanh(y) : q.add(q.mul(y, 0.5 + 1 / (k + 2)), x)
    return q.mean(y)
  })
  const at = [performance.now()]
  const program = q.orThrow(q.trace(net, q.tensorInput([4]), { mode: 'eval' }))
  at.push(performance.now())
  const back = q.orThrow(q.grad(program, { inputs: true }))
  at.push(performance.now())
  const compiled = q.orThrow(q.compile(back))
  q.orThrow(compiled.run({ params: {}, state: {}, inputs: q.tensorOf([4], [1, 2, 3, 4]) }))
  at.push(performance.now())
  globalThis.gc?.()
  const heap = process.memoryUsage().heapUsed - before
  compiled.dispose()
  return { nodes: back.graph.nodes.length, ms: [1, 2, 3].map((k) => at[k] - at[k - 1]), heap }
}

/** Twice the nodes cost twice the time and memory: growth per doubling, from 2,500 to 10,000 traced nodes and more. */
export const linear = (most: number): Loaded => {
  costOf(500)
  const sizes = [most / 4, most / 2, most].map((n) => Math.round(n / 2.34))
  const costs = sizes.map((n) => {
    const tries = [costOf(n), costOf(n)]
    return {
      ...tries[0],
      ms: tries[0].ms.map((_, k) => Math.min(...tries.map((t) => t.ms[k]))),
      heap: Math.min(...tries.map((t) => t.heap)),
    }
  })
  const [first, , last] = costs
  const scale = last.nodes / first.nodes
  const growth = last.ms.map((ms, k) => ms / first.ms[k] / scale)
  const heap = last.heap / first.heap / scale
  const names = ['traced', 'differentiated', 'compiled and run']
  const figures = costs
    .map(
      (c) =>
        `  ${c.nodes} nodes: ${c.ms.map((ms, k) => `${names[k]} in ${ms.toFixed(0)} ms`).join(', ')}, heap ${(c.heap / MIB).toFixed(1)} MiB`,
    )
    .join('\n')
  const worst = Math.max(...growth, heap)
  return {
    figures: `cost of programs by size\n${figures}\n  growth against linear: ${growth.map((g, k) => `${names[k]} ${g.toFixed(2)}`).join(', ')}, heap ${heap.toFixed(2)}`,
    fault: worst < 2 ? null : `four times the nodes cost ${(worst * scale).toFixed(1)} times as much`,
  }
}
