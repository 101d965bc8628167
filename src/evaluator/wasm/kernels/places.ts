/** Places in rows: where the chosen element of each stands, and one element of each picked, or added to. */
import { sizeOf } from '../../../data/shape.js'
import type { Code } from '../asm/encode.js'
import { control, f32, i32, memory } from '../asm/instructions.js'
import { forLoop, type ModuleBuilder } from '../asm/module.js'
import type { Kernel, KernelSpec } from '../kernel.js'
import { affine, perUnit, wordAt } from './loops.js'
import { firstEqual } from './selectionFilter.js'
import { firstEqualOfShort, isShort } from './shortRows.js'
import { ADDED_TO_PER_NS, PICKED_NS, SEEN_PER_NS } from '../machine.js'

/** Finds a value among the `n` elements at an address. */
const findIn = (m: ModuleBuilder, n: number, abs: boolean) => {
  if (isShort(n)) {
    const short = firstEqualOfShort(m, n, abs)
    return (x: Code<'i32'>, value: Code<'f32'>): Code<'i32'> => short.call(x, value)
  }
  const long = firstEqual(m, abs)
  return (x: Code<'i32'>, value: Code<'f32'>): Code<'i32'> => long.call(x, i32.const(n), value)
}

/** Finds the place of the chosen element of each row. */
export const firstIndex = (spec: KernelSpec): Kernel => {
  const [x, rows] = spec.shapes
  const count = sizeOf(rows)
  const n = sizeOf(x) / count
  return {
    name: 'firstIndex',
    scratch: 0,
    constants: null,
    flops: 0,
    bytes: 2 * sizeOf(x),
    stages: [
      {
        label: 'scan',
        units: count,
        cost: n / SEEN_PER_NS,
        emit: (m, at) => {
          const find = findIn(m, n, spec.attrs.abs === true)
          return m.func(
            perUnit((row) =>
              i32.store(
                wordAt(i32.const(at.outs[0]), row.get),
                find(affine(at.args[0], row.get, 4 * n), f32.load(wordAt(i32.const(at.args[1]), row.get))),
              ),
            ),
          )
        },
      },
    ],
  }
}

/** Picks, or adds to, one element of each row. */
export const atPlaces = (spec: KernelSpec): Kernel => {
  const adds = spec.op === 'addAt'
  const inner = typeof spec.attrs.inner === 'number' ? spec.attrs.inner : 1
  const count = sizeOf(spec.shapes[adds ? 2 : 1])
  const size = sizeOf(spec.shapes[0])
  const n = size / count
  return {
    name: spec.op,
    scratch: 0,
    constants: null,
    flops: 0,
    bytes: 0,
    inPlace: adds,
    stages: [
      {
        label: spec.op,
        units: 1,
        cost: PICKED_NS * count + (adds ? size / ADDED_TO_PER_NS : 0),
        emit: (m, at) =>
          m.func({
            params: ['i32', 'i32'],
            body: (scope) => {
              const [row, place] = [scope.local('i32'), scope.local('i32')]
              const word = i32.shl(row.get, i32.const(2))
              const start = (along: Code<'i32'>): Code<'i32'> => i32.add(i32.mul(along, i32.const(n)), place.get)
              const index =
                inner === 1
                  ? start(row.get)
                  : i32.add(
                      i32.mul(start(i32.div_u(row.get, i32.const(inner))), i32.const(inner)),
                      i32.rem_u(row.get, i32.const(inner)),
                    )
              const element = i32.shl(index, i32.const(2))
              const found = adds
                ? f32.store(element, f32.add(f32.load(element, at.outs[0]), f32.load(word, at.args[1])), at.outs[0])
                : f32.store(word, f32.load(element, at.args[0]), at.outs[0])
              return [
                adds && at.outs[0] !== at.args[0]
                  ? memory.copy(i32.const(at.outs[0]), i32.const(at.args[0]), i32.const(4 * size))
                  : [],
                forLoop(row, i32.const(0), i32.const(count), 1, [
                  place.set(i32.load(word, at.args[adds ? 2 : 1])),
                  control.if(
                    i32.lt_u(place.get, i32.const(n)),
                    found,
                    adds ? [] : f32.store(word, f32.const(0), at.outs[0]),
                  ),
                ]),
              ]
            },
          }),
      },
    ],
  }
}
