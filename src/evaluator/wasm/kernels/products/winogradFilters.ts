/** The filters of Winograd's products: transformed once, and what integers of them fit. */
import type { Code } from '../../asm/encode.js'
import { f32x4, i32, v128 } from '../../asm/instructions.js'
import { forLoop } from '../../asm/module.js'
import type { Stage } from '../../kernel.js'
import { advance, indexed, range } from './code.js'
import type { Place } from './layout.js'
import { filters, floatSums, newWork, pairSums } from './winogradTransforms.js'
import { FILTER_NS } from '../../machine.js'

/** Where the taps of a weight lie: bytes from one output channel, one word and one tap to the next. */
export type Taps = { readonly base: Place; readonly to: number; readonly word: number; readonly tap: number }

/** The stage that transforms filters into [16, to, words]; a unit is an output channel. Floats are divided by the 4 that integers keep. */
export const filterStage = (mac: 'f32' | 'i16', to: number, words: number, taps: Taps, target: Place): Stage => ({
  label: 'transform weight',
  units: to,
  cost: words * FILTER_NS,
  emit: (m, at) =>
    m.func({
      params: ['i32', 'i32'],
      body: (scope) => {
        const work = newWork(scope)
        const [o, p, q, k] = range(4).map(() => scope.local('i32'))
        const gather = (t: number): Code<'v128'> =>
          [1, 2, 3].reduce(
            (v, l) => v128.load32_lane(l, p.get, v, shift + l * taps.word + t * taps.tap),
            v128.load32_zero(p.get, shift + t * taps.tap),
          )
        // Taps that go backwards are read from the last one on, so that offsets stay positive.
        const shift = taps.tap < 0 ? -8 * taps.tap : 0
        const one: Code = filters(mac === 'f32' ? floatSums : pairSums, work, gather, (i, value) =>
          v128.store(q.get, mac === 'f32' ? f32x4.mul(value, f32x4.const(0.25)) : value, i * to * words * 4),
        )
        return forLoop(o, scope.params[0].get, scope.params[1].get, 1, [
          p.set(indexed(i32.const(taps.base(at)), o.get, taps.to)),
          q.set(indexed(i32.const(target(at)), o.get, words * 4)),
          forLoop(k, i32.const(0), i32.const(Math.floor(words / 4)), 1, [
            one,
            advance(p, 4 * taps.word),
            advance(q, 16),
          ]),
          words % 4 === 0 ? [] : [advance(p, ((words % 4) - 4) * taps.word), advance(q, ((words % 4) - 4) * 4), one],
        ])
      },
    }),
})

/** Does an integer result of `from` channels fit: 36 times the largest product, summed, below 2^31, and 16 bits hold the transforms? */
export const fitsWinograd = (x: number, w: number, from: number): boolean =>
  4 * x < 2 ** 15 && 9 * w < 2 ** 15 && 36 * x * w * from < 2 ** 31

/** Elements of the transformed filters. */
export const filterWords = (to: number, words: number): number => 16 * to * words
