/** Padding and resizing from bytes to bytes: elements of x, or zeros, by table. */
import { sizeOf } from '../../../data/shape.js'
import { control, i32 } from '../asm/instructions.js'
import { forLoop } from '../asm/module.js'
import type { Kernel, KernelSpec } from '../kernel.js'
import { affine, bump, perUnit, shares } from './loops.js'
import { picksOf } from './lookups.js'
import { pack } from './tables.js'
import { MOVED_NS, UNITS } from '../machine.js'

/** The kernel, or null: each element of the result is none of x, and no zero either. */
export const byteLookupKernel = (spec: KernelSpec): Kernel | null => {
  const picks = picksOf(spec)
  if (picks === null) return null
  const { planes, inner, table } = picks
  const { op, shapes, shape } = spec
  const { bytes } = pack(table)
  const hasZeros = table.includes(-1)
  const work = shares(planes, UNITS.most)
  return {
    name: `${op} bytes by table`,
    scratch: 0,
    constants: bytes,
    flops: 0,
    bytes: sizeOf(shape) + sizeOf(shapes[0]),
    stages: [
      {
        label: op,
        units: work.count,
        cost: work.each * table.length * MOVED_NS,
        emit: (m, at) =>
          m.func(
            perUnit((unit, scope) => {
              const [plane, x, out, p, from] = Array.from({ length: 5 }, () => scope.local('i32'))
              const end = at.constants + 4 * table.length
              const read = i32.load8_u(i32.add(x.get, from.get))
              return work.loop(scope, unit.get, plane, [
                x.set(affine(at.args[0], plane.get, inner)),
                out.set(affine(at.outs[0], plane.get, table.length)),
                forLoop(p, i32.const(at.constants), i32.const(end), 4, [
                  from.set(i32.load(p.get)),
                  hasZeros
                    ? control.if(
                        i32.lt_s(from.get, i32.const(0)),
                        i32.store8(out.get, i32.const(0)),
                        i32.store8(out.get, read),
                      )
                    : i32.store8(out.get, read),
                  bump(out, 1),
                ]),
              ])
            }),
          ),
      },
    ],
  }
}
