/** Planes each of whose elements is one of x, or a zero, by table: bytes or floats. */
import { sizeOf } from '../../../data/shape.js'
import { control, f32, i32 } from '../asm/instructions.js'
import { forLoop } from '../asm/module.js'
import type { Kernel, KernelSpec } from '../kernel.js'
import type { ElementSize } from './copies.js'
import { affine, bump, perUnit, shares } from './loops.js'
import { pack } from './tables.js'
import { MOVED_NS, UNITS } from '../machine.js'

/** Where each element of the result's planes stands in those of x, or -1 for a zero. */
export type Picks = { readonly planes: number; readonly inner: number; readonly table: Int32Array }

/** The kernel of elements of so many bytes. */
export const pickKernel = (spec: KernelSpec, { planes, inner, table }: Picks, size: ElementSize): Kernel => {
  const { op, shapes, shape } = spec
  const { bytes } = pack(table.map((t) => (t < 0 ? t : t * size)))
  const hasZeros = table.includes(-1)
  const work = shares(planes, UNITS.most)
  return {
    name: `${op}${size === 1 ? ' bytes' : ''} by table`,
    scratch: 0,
    constants: bytes,
    flops: 0,
    bytes: size * (sizeOf(shape) + sizeOf(shapes[0])),
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
              const place = i32.add(x.get, from.get)
              const move = size === 1 ? i32.store8(out.get, i32.load8_u(place)) : f32.store(out.get, f32.load(place))
              const zero = size === 1 ? i32.store8(out.get, i32.const(0)) : i32.store(out.get, i32.const(0))
              return work.loop(scope, unit.get, plane, [
                x.set(affine(at.args[0], plane.get, size * inner)),
                out.set(affine(at.outs[0], plane.get, size * table.length)),
                forLoop(p, i32.const(at.constants), i32.const(end), 4, [
                  from.set(i32.load(p.get)),
                  hasZeros ? control.if(i32.lt_s(from.get, i32.const(0)), zero, move) : move,
                  bump(out, size),
                ]),
              ])
            }),
          ),
      },
    ],
  }
}
