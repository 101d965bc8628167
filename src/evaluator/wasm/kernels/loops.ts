/** Code that several kernels are written with: loops, addresses of elements, units of work. */
import type { Code } from '../asm/encode.js'
import { control, i32 } from '../asm/instructions.js'
import { forLoop, type FuncSpec, type Local, type Scope, type Units } from '../asm/module.js'
import { LINE_BYTES } from '../machine.js'

/** `while (condition) body`. */
export const whileLoop = (condition: Code<'i32'>, body: Code): Code =>
  control.block(control.loop([control.br_if(1, i32.eqz(condition)), body, control.br(0)]))

/** Address of the 32-bit element `index` after `base`. */
export const wordAt = (base: Code<'i32'>, index: Code<'i32'>): Code<'i32'> =>
  i32.add(base, i32.shl(index, i32.const(2)))

/** Address of the 64-bit element `index` after `base`. */
export const doubleAt = (base: Code<'i32'>, index: Code<'i32'>): Code<'i32'> =>
  i32.add(base, i32.shl(index, i32.const(3)))

/** `local += n`. */
export const bump = (local: Local, n: number | Code<'i32'>): Code =>
  local.set(i32.add(local.get, typeof n === 'number' ? i32.const(n) : n))

/** `factor * index + base`, with what is known left out. */
export const affine = (base: number, index: Code<'i32'>, factor: number): Code<'i32'> =>
  factor === 0 ? i32.const(base) : i32.add(i32.const(base), factor === 1 ? index : i32.mul(index, i32.const(factor)))

/** Bytes rounded up to whole buffers. */
export const rounded = (bytes: number): number => Math.ceil(bytes / LINE_BYTES) * LINE_BYTES

/** The function of a stage: does `unit` for each unit from the first parameter up to the second. */
export const perUnit = (unit: (index: Local, scope: Scope) => Code): FuncSpec<Units> => ({
  params: ['i32', 'i32'],
  body: (scope) => {
    const index = scope.local('i32')
    return forLoop(index, scope.params[0].get, scope.params[1].get, 1, unit(index, scope))
  },
})

/** `n` pieces of work dealt out to at most `units` units: unit `u` does the pieces from `floor(u n / units)` on. */
export const shares = (n: number, units: number) => {
  const count = Math.max(1, Math.min(n, units))
  const each = Math.ceil(n / count)
  const used = Math.max(1, Math.ceil(n / each))
  return {
    count: used,
    each,
    /** `for (piece of the unit) body`. */
    loop: (scope: Scope, unit: Code<'i32'>, piece: Local, body: Code): Code => {
      const end = scope.local('i32')
      return [
        piece.set(i32.mul(unit, i32.const(each))),
        end.set(i32.add(piece.get, i32.const(each))),
        end.set(control.select(i32.const(n), end.get, i32.gt_u(end.get, i32.const(n)))),
        forLoop(piece, piece.get, end.get, 1, body),
      ]
    },
  }
}
