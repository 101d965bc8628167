/** Softmax and its logarithm, in double. */
import { sizeOf } from '../../../data/shape.js'
import type { Code } from '../asm/encode.js'
import { f32, f64, i32 } from '../asm/instructions.js'
import { forLoop } from '../asm/module.js'
import type { Kernel, KernelSpec } from '../kernel.js'
import { bump, perUnit, shares } from './loops.js'
import type { MathOf } from './math.js'

const c = f64.const
const { add, div } = f64

/** Softmax or its logarithm along one axis, by lines. */
export const softmaxKernel = ({ op, attrs, shapes: [shape] }: KernelSpec, mathOf: MathOf): Kernel | null => {
  const { dim } = attrs
  const size = sizeOf(shape)
  if ((op !== 'softmax' && op !== 'logSoftmax') || typeof dim !== 'number' || size === 0) return null
  const [n, step] = [shape[dim], sizeOf(shape.slice(dim + 1))]
  const lines = shares(size / n, 256)
  return {
    name: `${op} in double`,
    // The powers of a line, in double: they are summed, and divided by their sum.
    scratch: op === 'softmax' ? lines.count * 8 * n : 0,
    constants: null,
    flops: 40 * size,
    bytes: 8 * size,
    stages: [
      {
        label: op,
        units: lines.count,
        cost: lines.each * n * 15,
        emit: (m, at) => {
          const math = mathOf(m)
          const [exp, log] = [math.double('exp'), math.double('log')]
          return m.func(
            perUnit((unit, scope) => {
              const [line, start, p, end, q] = Array.from({ length: 5 }, () => scope.local('i32'))
              const [most, total] = [scope.local('f64'), scope.local('f64')]
              const x = f64.promote_f32(f32.load(p.get, at.args[0]))
              const along = (body: Code): Code => forLoop(p, start.get, end.get, 4 * step, body)
              const isSoftmax = op === 'softmax'
              const power = scope.local('f64')
              const powers = q.set(i32.add(i32.const(at.scratch), i32.mul(unit.get, i32.const(8 * n))))
              const kept = isSoftmax ? [f64.store(q.get, power.get), bump(q, 8)] : []
              const result = isSoftmax ? div(f64.load(q.get), total.get) : f64.sub(x, most.get)
              return lines.loop(scope, unit.get, line, [
                // Offset in bytes of the line's first element, and of the element after its last.
                start.set(
                  i32.shl(
                    i32.add(
                      i32.mul(i32.div_u(line.get, i32.const(step)), i32.const(n * step)),
                      i32.rem_u(line.get, i32.const(step)),
                    ),
                    i32.const(2),
                  ),
                ),
                end.set(i32.add(start.get, i32.const(4 * n * step))),
                most.set(c(-Infinity)),
                along(most.set(f64.max(most.get, x))),
                total.set(c(0)),
                isSoftmax ? powers : [],
                along([power.set(exp.call(f64.sub(x, most.get))), total.set(add(total.get, power.get)), kept]),
                isSoftmax ? powers : most.set(add(most.get, log.call(total.get))),
                along([f32.store(p.get, f32.demote_f64(result), at.outs[0]), isSoftmax ? bump(q, 8) : []]),
              ])
            }),
          )
        },
      },
    ],
  }
}
