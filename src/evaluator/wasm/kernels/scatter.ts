/** The gradient of the k-th value, dense: zeros, and in each row one cotangent. */
import { sizeOf } from '../../../data/shape.js'
import { control, f32, i32 } from '../asm/instructions.js'
import { perUnit, shares, wordAt } from './loops.js'
import type { Kernel, KernelSpec } from '../kernel.js'
import { fillStage } from './copies.js'
import { firstEqual } from './selectionFilter.js'
import { AXIS_ROW_NS, SPREAD_NS, UNITS } from '../machine.js'

/** `scatterToFirst`: g of each row at the row's first element that equals the chosen one, 0 elsewhere. */
export const scatterToFirstKernel = ({ op, shapes, shape }: KernelSpec): Kernel | null => {
  const size = sizeOf(shape)
  const rows = op === 'scatterToFirst' ? sizeOf(shapes[2]) : 0
  if (op !== 'scatterToFirst' || size === 0 || rows === 0 || size >= 2 ** 29) return null
  const n = size / rows
  const work = shares(rows, UNITS.most)
  return {
    name: 'scatterToFirst',
    scratch: 0,
    constants: null,
    flops: 0,
    bytes: 8 * size,
    stages: [
      fillStage(size, 0),
      {
        label: 'find',
        units: work.count,
        cost: work.each * (AXIS_ROW_NS + SPREAD_NS * n),
        emit: (m, { args: [g, x, chosen], outs: [out] }) => {
          const first = firstEqual(m, false)
          return m.func(
            perUnit((unit, scope) => {
              const [row, start, index] = Array.from({ length: 3 }, () => scope.local('i32'))
              return work.loop(scope, unit.get, row, [
                start.set(i32.mul(row.get, i32.const(n))),
                index.set(
                  first.call(
                    wordAt(i32.const(x), start.get),
                    i32.const(n),
                    f32.load(wordAt(i32.const(chosen), row.get)),
                  ),
                ),
                control.if(
                  i32.lt_u(index.get, i32.const(n)),
                  f32.store(
                    wordAt(i32.const(out), i32.add(start.get, index.get)),
                    f32.load(wordAt(i32.const(g), row.get)),
                  ),
                ),
              ])
            }),
          )
        },
      },
    ],
  }
}
