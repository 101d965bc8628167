/** linear on pairs of 16-bit integers: both operands become rows of words, of which the smaller one is packed. */
import { sizeOf } from '../../../../data/shape.js'
import type { Code } from '../../asm/encode.js'
import { i16x8, i32, memory, v128 } from '../../asm/instructions.js'
import { forLoop, type Local, type Scope } from '../../asm/module.js'
import type { IntegerLicence, Kernel, KernelSpec, Places, Stage } from '../../kernel.js'
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

/** Code around all rows of a unit, and for each: `p` stands at its numbers and `t` at its words; both may move. */
type RowCode = { readonly before: Code; readonly row: Code; readonly after: Code }

/** A stage that makes words of rows, whose numbers are of `size` bytes; `perNs`: how many a nanosecond. */
const rowsStage = (
  label: string,
  { rows, terms, words, target }: InputWords,
  { size, perNs }: { readonly size: 1 | 4; readonly perNs: number },
  codeOf: (scope: Scope, at: Places, p: Local, t: Local) => RowCode,
): Stage => ({
  label,
  units: rows,
  cost: terms / perNs,
  emit: (m, at) =>
    m.func({
      params: ['i32', 'i32'],
      body: (scope) => {
        const [r, p, t] = range(3).map(() => scope.local('i32'))
        const { before, row, after } = codeOf(scope, at, p, t)
        return [
          before,
          forLoop(r, scope.params[0].get, scope.params[1].get, 1, [
            p.set(indexed(i32.const(argument(0)(at)), r.get, terms * size)),
            t.set(indexed(i32.const(target(at)), r.get, words * 4)),
            row,
          ]),
          after,
        ]
      },
    }),
})

/** Rows of bytes as words. What stands behind the last number meets a weight of 0. */
const byteStage = (signed: boolean, input: InputWords): Stage =>
  rowsStage('input to i16', input, { size: 1, perNs: NARROWED_PER_NS }, (scope, _at, p, t) => {
    const { words } = input
    const i = scope.local('i32')
    const extend = signed ? i16x8.extend_low_i8x16_s : i16x8.extend_low_i8x16_u
    const row = [
      forLoop(i, i32.const(0), i32.const(Math.floor(words / 4)), 1, [
        v128.store(t.get, extend(v128.load64_zero(p.get))),
        advance(p, 8),
        advance(t, 16),
      ]),
      range(words % 4).map((k) => v128.store32_lane(0, t.get, extend(v128.load16_splat(p.get, 2 * k)), 4 * k)),
    ]
    return { before: [], row, after: [] }
  })

/** Rows of bytes, each from a whole word on. What stands behind the last number meets a weight of 0. */
const rowStage = (input: InputWords): Stage =>
  rowsStage('input to i8', input, { size: 1, perNs: NARROWED_PER_NS }, (_scope, _at, p, t) => ({
    before: [],
    row: memory.copy(t.get, p.get, i32.const(input.words * 4)),
    after: [],
  }))

/** Rows of x as words. */
const inputStage = (s: Scales, most: number, input: InputWords): Stage =>
  rowsStage('input to i16', input, { size: 4, perNs: QUANTIZED_PER_NS }, (scope, at, p, t) => {
    const q = newQuantizer(scope, most, i32.const(s.flag(at)), s.declared)
    return { before: q.begin(i32.const(s.x(at))), row: neighbourPairs(input.terms)(scope, q, p, t), after: q.end }
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
