/** Rows of a table by their indices, and sums of rows at indices. Indices are floats that were checked before; a wrong one only must not leave the table. */
import { sizeOf } from '../../../data/shape.js'
import type { Code } from '../asm/encode.js'
import { control, f32, f32x4, i32, memory, v128 } from '../asm/instructions.js'
import { forLoop, type Local, type Scope } from '../asm/module.js'
import type { Kernel, KernelSpec } from '../kernel.js'
import { COPIED_PER_NS, PICKED_NS, UNITS } from '../machine.js'
import { fillStage } from './copies.js'
import { perUnit, shares, wordAt } from './loops.js'

/** Sets `row` to the offset, in bytes, of the row that index `i` names. */
const rowOf = (
  row: Local,
  [indices, i]: readonly [number, Local],
  [rows, n]: readonly [number, number],
): readonly Code[] => [
  row.set(i32.trunc_sat_f32_s(f32.load(wordAt(i32.const(indices), i.get)))),
  row.set(control.select(row.get, i32.const(0), i32.lt_u(row.get, i32.const(rows)))),
  row.set(i32.mul(row.get, i32.const(4 * n))),
]

const gather = ({ shapes: [table, indices], shape }: KernelSpec): Kernel => {
  const [rows, n] = table
  const count = sizeOf(indices)
  const work = shares(count, UNITS.most)
  return {
    name: `${n} columns of rows`,
    scratch: 0,
    constants: null,
    flops: 0,
    bytes: 8 * sizeOf(shape),
    stages: [
      {
        label: 'rows',
        units: work.count,
        cost: work.each * (PICKED_NS + (4 * n) / COPIED_PER_NS),
        emit: (m, at) =>
          m.func(
            perUnit((unit, scope) => {
              const [i, row] = [scope.local('i32'), scope.local('i32')]
              const to = i32.add(i32.const(at.outs[0]), i32.mul(i.get, i32.const(4 * n)))
              return work.loop(scope, unit.get, i, [
                rowOf(row, [at.args[1], i], [rows, n]),
                memory.copy(to, i32.add(i32.const(at.args[0]), row.get), i32.const(4 * n)),
              ])
            }),
          ),
      },
    ],
  }
}

/** Adds `n` numbers that lie `from` bytes behind `x` to those that lie `to` bytes behind `out`. */
const addRow = (scope: Scope, n: number, [to, out]: readonly [Local, number], [from, x]: readonly [Local, number]) => {
  const [p, q, end] = Array.from({ length: 3 }, () => scope.local('i32'))
  const whole = n - (n % 4)
  const sum = f32x4.add(v128.load(p.get, out), v128.load(q.get, x))
  const one = f32.add(f32.load(p.get, out), f32.load(q.get, x))
  const step = (bytes: number, body: Code): Code => [body, q.set(i32.add(q.get, i32.const(bytes)))]
  return [
    q.set(from.get),
    end.set(i32.add(to.get, i32.const(4 * whole))),
    forLoop(p, to.get, end.get, 16, step(16, v128.store(p.get, sum, out))),
    end.set(i32.add(to.get, i32.const(4 * n))),
    whole === n ? [] : forLoop(p, p.get, end.get, 4, step(4, f32.store(p.get, one, out))),
  ]
}

const scatter = ({ shapes: [, indices], shape: [rows, n] }: KernelSpec): Kernel => {
  const count = sizeOf(indices)
  return {
    name: `${n} columns of rows added`,
    scratch: 0,
    constants: null,
    flops: count * n,
    bytes: 4 * (rows + 2 * count) * n,
    stages: [
      fillStage(rows * n, 0),
      {
        label: 'add',
        // In the order of the indices: one that comes again is added to what is there.
        units: 1,
        cost: count * (PICKED_NS + (12 * n) / COPIED_PER_NS),
        emit: (m, at) =>
          m.func({
            params: ['i32', 'i32'],
            body: (scope) => {
              const [i, row, from] = Array.from({ length: 3 }, () => scope.local('i32'))
              return forLoop(i, i32.const(0), i32.const(count), 1, [
                rowOf(row, [at.args[1], i], [rows, n]),
                from.set(i32.mul(i.get, i32.const(4 * n))),
                addRow(scope, n, [row, at.outs[0]], [from, at.args[0]]),
              ])
            },
          }),
      },
    ],
  }
}

/** Rows that are taken, or added to; null for other ops, and for what addresses cannot reach. */
export const rowKernel = (spec: KernelSpec): Kernel | null => {
  const large = [spec.shape, ...spec.shapes].some((s) => sizeOf(s) >= 2 ** 29)
  if (large || (spec.op !== 'gatherRows' && spec.op !== 'scatterRows')) return null
  return spec.op === 'gatherRows' ? gather(spec) : scatter(spec)
}
