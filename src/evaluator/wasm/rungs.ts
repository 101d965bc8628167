/**
 * With which instructions products multiply: 16-bit dot products, which every engine has, or the 8-bit ones of relaxed SIMD.
 * Of these the second factor is defined from 0 to 127 alone; what an engine makes of its top bit is asked once, and where it
 * takes the whole byte as it stands (signed or not), integers of that sign need not be split.
 */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantErrors } from '../../data/error.js'
import type { RungsDescription } from '../insight.js'
import { backendError } from '../messages.js'
import { control, f32x4, i32, i32x4, relaxed, v128 } from './asm/instructions.js'
import { newModule } from './asm/module.js'
import type { ByteOperand } from './kernel.js'
import { WORTH_BYTES } from './machine.js'

/** How an engine reads the second factor's byte: unsigned or signed, all of it; or `seven`: 7 bits are all that it promises. */
export type SecondFactor = 'unsigned' | 'signed' | 'seven'

/** The instructions that a plan is made with. */
export type Rungs = {
  /** `baseline`: 16-bit dot products. `relaxed`: 8-bit ones where the integers of both factors fit. */
  readonly integers: 'baseline' | 'relaxed'
  readonly second: SecondFactor
  /** Does an integer that the engine's second factor does not take run on 8 bits all the same, its top bit apart? */
  readonly splits: boolean
  /** Are float products added without rounding them first? */
  readonly fma: boolean
  /** Why these integers. */
  readonly why: string
}

/** What needs no question. */
export const BASELINE: Rungs = {
  integers: 'baseline',
  second: 'seven',
  splits: false,
  fma: false,
  why: 'a plan that every engine can run was asked for',
}

/** The integers of a factor, from `lo` to `hi`. */
type Range = { readonly lo: number; readonly hi: number }

/** With which dot products integers x (of a byte) are multiplied by integers w. */
export const dotOf = (r: Rungs, x: Range, w: Range): ByteOperand['dot'] => {
  if (r.integers === 'baseline' || w.lo < -128 || w.hi > 127) return 'i16'
  const whole = x.lo >= 0 ? x.hi <= 127 || r.second === 'unsigned' : r.second === 'signed'
  if (whole) return 'i8'
  return r.splits ? 'i8 split' : 'i16'
}

const CHAINS = 12

/** `ask(first, second)`: one lane of a dot product of bytes all alike; `dot8` and `dot16`: so many turns of twelve of them. */
const probeModule = (): Uint8Array<ArrayBuffer> => {
  const m = newModule()
  m.func({
    name: 'ask',
    params: ['i32', 'i32'],
    result: 'i32',
    body: ({ params: [a, b] }) =>
      i32x4.extract(0, relaxed.i8x16_dot_i7x16_add(v128.load8_splat(a.get), v128.load8_splat(b.get), i32x4.const(0))),
  })
  for (const wide of [true, false])
    m.func({
      name: wide ? 'dot16' : 'dot8',
      params: ['i32', 'i32'],
      result: 'i32',
      body: ({ params: [turns], local }) => {
        const accs = Array.from({ length: CHAINS }, () => local('v128'))
        const [x, y] = [local('v128'), local('v128')]
        return [
          x.set(v128.load(i32.const(0))),
          y.set(v128.load(i32.const(16))),
          control.loop([
            accs.map((a, k) => [
              // Another operand for each, so that none can be left out.
              a.set(
                wide
                  ? i32x4.add(a.get, i32x4.dot_i16x8_s(accs[(k + 1) % CHAINS].get, y.get))
                  : relaxed.i8x16_dot_i7x16_add(accs[(k + 1) % CHAINS].get, y.get, a.get),
              ),
            ]),
            turns.set(i32.sub(turns.get, i32.const(1))),
            control.br_if(0, turns.get),
          ]),
          i32x4.extract(
            0,
            accs.reduce((v, a) => f32x4.add(v, a.get), x.get),
          ),
        ]
      },
    })
  return m.bytes({ pages: 1, maximum: 1, shared: false })
}

/** An engine with relaxed SIMD, to be asked. */
export type Probe = {
  readonly second: () => SecondFactor
  /** How many times as many products an 8-bit dot product does in the same time. Takes some milliseconds. */
  readonly gain: () => number
}

const TURNS = 10_000
/** Milliseconds in which an engine gets to its optimised code. */
const WARM_UP_MS = 8
const ROUNDS = 12

const timed = (call: () => void): number => {
  const began = performance.now()
  call()
  return performance.now() - began
}

/** How many times as long the first takes as the second: the least of several, taken in turn. */
const ratio = (first: () => void, second: () => void): number => {
  let [a, b] = [Infinity, Infinity]
  for (const until = performance.now() + WARM_UP_MS; performance.now() < until;) {
    first()
    second()
  }
  for (let i = 0; i < ROUNDS; i++) {
    a = Math.min(a, timed(first))
    b = Math.min(b, timed(second))
  }
  return a / b
}

/** Opens the probe; only where the engine has relaxed SIMD. */
export const newProbe = (): Probe => {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1 })
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(probeModule()), { env: { memory } })
  const call = (name: string, a: number, b: number): number => {
    const f = exports[name]
    return typeof f === 'function' ? Number(f(a, b)) : NaN
  }
  new Int8Array(memory.buffer).set([-128, 127, -1, -77])
  const ask = (first: number, second: number): number => call('ask', first, second)
  // -1 as the second factor is 255, too; -77 is 179.
  const gives = (factor: number, other: number): boolean =>
    ask(0, 2) === 4 * -128 * factor && ask(1, 2) === 4 * 127 * factor && ask(0, 3) === 4 * -128 * other
  return {
    second: () => {
      if (gives(255, 179)) return 'unsigned'
      return gives(-1, -77) ? 'signed' : 'seven'
    },
    gain: () =>
      2 *
      ratio(
        () => void call('dot16', TURNS, 0),
        () => void call('dot8', TURNS, 0),
      ),
  }
}

/** What is there, and what was asked for. */
type Wanted = {
  readonly relaxed: boolean
  readonly simd: 'baseline' | 'relaxed' | undefined
  readonly fma: boolean | undefined
}

const noRelaxed = backendError(
  'wasm',
  "this engine has no relaxed SIMD, which simd: 'relaxed' asks for",
  'leave simd out, or take Node from version 22 on',
)

/** The rungs of this engine, by its answers and its speed, or as they are asked for; and what could not be had. */
export const rungsHere = ({
  relaxed: has,
  simd,
  fma = false,
}: Wanted): E.Either<QuantErrors, { readonly rungs: Rungs; readonly note: readonly string[] }> => {
  if (simd === 'relaxed' && !has) return E.left([noRelaxed])
  const note = fma && !has ? ['no relaxed SIMD: float products are rounded before they are added'] : []
  const base: Rungs = { ...BASELINE, fma: fma && has }
  if (simd === 'baseline') return E.right({ rungs: { ...base, why: "simd: 'baseline' was asked for" }, note })
  if (!has) return E.right({ rungs: { ...base, why: 'this engine has no relaxed SIMD' }, note })
  const probe = newProbe()
  const second = probe.second()
  if (simd === 'relaxed')
    return E.right({
      rungs: { ...base, integers: 'relaxed', second, splits: true, why: "simd: 'relaxed' was asked for" },
      note,
    })
  const gain = probe.gain()
  const says = `8-bit ones did ${gain.toFixed(2)} times as many products here (from ${WORTH_BYTES} on they are taken)`
  const integers = gain >= WORTH_BYTES ? 'relaxed' : 'baseline'
  return E.right({ rungs: { ...base, integers, second, why: says }, note })
}

/** What is said of rungs. */
export const described = ({ integers, fma, why }: Rungs): RungsDescription => ({ integers, fma, why })
