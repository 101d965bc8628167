/** linear on pairs of 16-bit integers: both operands become rows of words, of which the smaller one is packed. */
import { sizeOf } from '../../../../data/shape.js'
import { i16x8, i32, memory, v128 } from '../../asm/instructions.js'
import { forLoop } from '../../asm/module.js'
import type { IntegerLicence, Kernel, KernelSpec, Stage } from '../../kernel.js'
import { advance, indexed, range } from './code.js'
import { kernelOf } from './correlate.js'
import { onIntegers } from './fallback.js'
import { bound, neighbourPairs, newQuantizer, newScales, weightStage, type Scales } from './integers.js'
import { argument, newLayout, type Place } from './layout.js'
import { linearStages } from './matrix.js'
import { integerMac, integerName, perWord } from './operands.js'
import { neighbourQuads } from './quads.js'
import { NARROWED_PER_NS, QUANTIZED_PER_NS } from '../../machine.js'

/** Rows of x and the words that they become: how many there are, how long each is, where they go. */
type InputWords = { readonly rows: number; readonly terms: number; readonly words: number; readonly target: Place }

/** Rows of bytes as words. */
const byteStage = (signed: boolean, { rows, terms, words, target }: InputWords): Stage => ({
  label: 'input to i16',
  units: rows,
  cost: terms / NARROWED_PER_NS,
  emit: (m, at) =>
    m.func({
      params: ['i32', 'i32'],
      body: (scope) => {
        const [r, p, t, i] = range(4).map(() => scope.local('i32'))
        const extend = signed ? i16x8.extend_low_i8x16_s : i16x8.extend_low_i8x16_u
        // What stands behind the last number meets a weight of 0.
        return forLoop(r, scope.params[0].get, scope.params[1].get, 1, [
          p.set(indexed(i32.const(argument(0)(at)), r.get, terms)),
          t.set(indexed(i32.const(target(at)), r.get, words * 4)),
          forLoop(i, i32.const(0), i32.const(Math.floor(words / 4)), 1, [
            v128.store(t.get, extend(v128.load64_zero(p.get))),
            advance(p, 8),
            advance(t, 16),
          ]),
          range(words % 4).map((k) => v128.store32_lane(0, t.get, extend(v128.load16_splat(p.get, 2 * k)), 4 * k)),
        ])
      },
    }),
})

/** Rows of bytes, each from a whole word on. */
const rowStage = ({ rows, terms, words, target }: InputWords): Stage => ({
  label: 'input to i8',
  units: rows,
  cost: terms / NARROWED_PER_NS,
  emit: (m, at) =>
    m.func({
      params: ['i32', 'i32'],
      body: (scope) => {
        const [r, from, to] = range(3).map(() => scope.local('i32'))
        // What stands behind the last number meets a weight of 0.
        return forLoop(r, scope.params[0].get, scope.params[1].get, 1, [
          from.set(indexed(i32.const(argument(0)(at)), r.get, terms)),
          to.set(indexed(i32.const(target(at)), r.get, words * 4)),
          memory.copy(to.get, from.get, i32.const(words * 4)),
        ])
      },
    }),
})

/** Rows of x as words. */
const inputStage = (s: Scales, most: number, { rows, terms, words, target }: InputWords): Stage => ({
  label: 'input to i16',
  units: rows,
  cost: terms / QUANTIZED_PER_NS,
  emit: (m, at) =>
    m.func({
      params: ['i32', 'i32'],
      body: (scope) => {
        const [r, p, t] = range(3).map(() => scope.local('i32'))
        const q = newQuantizer(scope, most, i32.const(s.flag(at)), s.declared)
        return [
          q.begin(i32.const(s.x(at))),
          forLoop(r, scope.params[0].get, scope.params[1].get, 1, [
            p.set(indexed(i32.const(argument(0)(at)), r.get, terms * 4)),
            t.set(indexed(i32.const(target(at)), r.get, words * 4)),
            neighbourPairs(terms)(scope, q, p, t),
          ]),
          q.end,
        ]
      },
    }),
})

/** x [rows, terms] times the transpose of w [columns, terms]; where the integers don't fit, the float kernel takes over, or, of bytes, the guard is raised. */
export const integerLinearKernel = (
  { shapes: [x, w], bytes }: KernelSpec,
  licence: IntegerLicence,
  float: Kernel,
): Kernel => {
  const layout = newLayout()
  const rows = sizeOf(x.slice(0, -1))
  const [columns, terms] = w
  const per = perWord(bytes ?? null)
  const words = Math.ceil(terms / per)
  // Rows of whole words are words as they lie.
  const asTheyLie = per === 4 && terms % 4 === 0
  const scales = newScales(layout, licence, columns, bytes !== undefined)
  const input = asTheyLie ? argument(0) : layout.scratch(rows * words * 4)
  const weight = layout.scratch(columns * words * 4)
  const asWords = { rows, terms, words, target: input }
  const ofBytes = (signed: boolean): Stage => (per === 4 ? rowStage(asWords) : byteStage(signed, asWords))
  const inputWords = bytes === undefined ? inputStage(scales, bound(licence.x), asWords) : ofBytes(bytes.signed)
  const stages = [
    ...(asTheyLie ? [] : [inputWords]),
    weightStage(
      scales,
      { most: bound(licence.w), channels: columns, numbers: terms, words, target: weight, per },
      per === 4 ? neighbourQuads(terms) : neighbourPairs(terms),
    ),
    ...linearStages(
      layout,
      { rows, columns, terms: words },
      { mac: integerMac(bytes ?? null), x: input, w: weight, scales: scales.products },
    ),
  ]
  return onIntegers(
    kernelOf(`linear ${integerName(bytes ?? null)}`, layout, stages, float.flops, float.bytes),
    1,
    bytes === undefined ? float : null,
  )
}
