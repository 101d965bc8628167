/** What this machine can do at most, measured with loops that do nothing else: the yardstick of a profile. */
import type { Limits } from '../insight.js'
import type { Code } from './asm/encode.js'
import { control, f32x4, i32, i32x4, v128 } from './asm/instructions.js'
import { forLoop, newModule, type Local } from './asm/module.js'
import { PAGE_BYTES } from './machine.js'

const CHAINS = 12
const TURNS = 200_000

const limitModule = (pages: number): Uint8Array<ArrayBuffer> => {
  const m = newModule()
  m.func({
    name: 'scale',
    params: ['i32', 'i32'],
    body: ({ params: [bytes, to], local }) => {
      const p = local('i32')
      const at = (o: number): Code =>
        v128.store(i32.add(to.get, p.get), f32x4.mul(v128.load(p.get, o), f32x4.const(1.0001)), o)
      return forLoop(p, i32.const(0), bytes.get, 64, [0, 16, 32, 48].map(at))
    },
  })
  const peak = (name: string, step: (acc: Local<'v128'>, x: Local<'v128'>) => Code<'v128'>): void =>
    void m.func({
      name,
      params: ['i32', 'i32'],
      result: 'i32',
      body: ({ params: [turns], local }) => {
        const accs = Array.from({ length: CHAINS }, () => local('v128'))
        const x = local('v128')
        return [
          x.set(v128.load(i32.const(0))),
          control.loop([
            accs.map((a) => a.set(step(a, x))),
            turns.set(i32.sub(turns.get, i32.const(1))),
            control.br_if(0, turns.get),
          ]),
          i32x4.extract(
            0,
            accs.slice(1).reduce((v, a) => v128.xor(v, a.get), accs[0].get),
          ),
        ]
      },
    })
  peak('floats', (a, x) => f32x4.add(x.get, f32x4.mul(a.get, x.get)))
  peak('integers', (a, x) => i32x4.add(x.get, i32x4.dot_i16x8_s(a.get, x.get)))
  return m.bytes({ pages, maximum: pages, shared: false })
}

/** Milliseconds in which an engine gets to its optimised code. */
const WARM_UP_MS = 40

const best = (call: () => void): number => {
  for (const until = performance.now() + WARM_UP_MS; performance.now() < until;) call()
  let least = Infinity
  for (let i = 0; i < 7; i++) {
    const began = performance.now()
    call()
    least = Math.min(least, performance.now() - began)
  }
  return least
}

/** Measures the limits; takes a quarter of a second. */
export const measureLimits = (): Limits => {
  const [small, large] = [3 << 20, 24 << 20]
  const pages = (2 * large) / PAGE_BYTES
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages })
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(limitModule(pages)), { env: { memory } })
  const call = (name: string, a: number, b: number): (() => void) => {
    const f = exports[name]
    return () => {
      if (typeof f === 'function') f(a, b)
    }
  }
  const rate = (bytes: number): number => (2 * bytes) / best(call('scale', bytes, bytes)) / 1e6
  return {
    cacheGBs: rate(small),
    memoryGBs: rate(large),
    gflops: (TURNS * CHAINS * 8) / best(call('floats', TURNS, 0)) / 1e6,
    integerGops: (TURNS * CHAINS * 16) / best(call('integers', TURNS, 0)) / 1e6,
  }
}
