/** linear on pairs of 16-bit integers: both operands become rows of words, of which the smaller one is packed. */
import { sizeOf } from '../../../../data/shape.js'
import { i32 } from '../../asm/instructions.js'
import { forLoop } from '../../asm/module.js'
import type { IntegerLicence, Kernel, KernelSpec, Stage } from '../../kernel.js'
import { indexed, range } from './code.js'
import { kernelOf } from './correlate.js'
import { onIntegers } from './fallback.js'
import { bound, neighbourPairs, newQuantizer, newScales, weightStage, type Scales } from './integers.js'
import { argument, newLayout, type Place } from './layout.js'
import { linearStages } from './matrix.js'

/** Rows of x as words. */
const inputStage = (s: Scales, most: number, rows: number, terms: number, words: number, target: Place): Stage => ({
  label: 'input to i16',
  units: rows,
  cost: terms / 4,
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

/** x [rows, terms] times the transpose of w [columns, terms]; the float kernel takes over where the integers don't fit. */
export const integerLinearKernel = ({ shapes: [x, w] }: KernelSpec, licence: IntegerLicence, float: Kernel): Kernel => {
  const layout = newLayout()
  const rows = sizeOf(x.slice(0, -1))
  const [columns, terms] = w
  const words = Math.ceil(terms / 2)
  const scales = newScales(layout, licence, columns)
  const input = layout.scratch(rows * words * 4)
  const weight = layout.scratch(columns * words * 4)
  const stages = [
    inputStage(scales, bound(licence.x), rows, terms, words, input),
    weightStage(scales, bound(licence.w), columns, terms, words, weight, neighbourPairs(terms)),
    ...linearStages(
      layout,
      { rows, columns, terms: words },
      { mac: 'i16', x: input, w: weight, scales: scales.products },
    ),
  ]
  return onIntegers(kernelOf('linear i16', layout, stages, float.flops, float.bytes), 1, float)
}
