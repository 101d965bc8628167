/**
 * Integers of a grid as bytes in a loop: read, they are multiplied by their scale; written, they are taken before that, or
 * found again from the number. Where one is none of its grid (a NaN came, or the scale is no positive normal number), the
 * guard is raised: the plan's numbers are then made by one that stores no bytes.
 */
import { STEPS, type ByteGrid } from '../../plan/bytes.js'
import type { Code } from '../asm/encode.js'
import { control, f32, f32x4, i16x8, i32, i32x4, i8x16, v128 } from '../asm/instructions.js'
import type { Local, Scope } from '../asm/module.js'
import { GUARD } from '../barrier.js'
import type { Expr } from './exprs.js'

/** 1.5 · 2^23: adding it rounds a small number to an integer (ties to even), which then stands in the low bits: the rest are its own. */
const MAGIC = 12582912

/** Are the bytes of a grid signed? */
export const isSigned = ({ lo }: Pick<ByteGrid, 'lo'>): boolean => lo < 0

const raised = i32.store(i32.const(GUARD), i32.const(1))

/** Raises the guard where a scale is none that bytes can be multiplied by. */
export const watchScale = (scale: Code<'f32'>): Code =>
  control.if(i32.eqz(i32.and(f32.ge(scale, f32.const(STEPS.least)), f32.lt(scale, f32.const(STEPS.end)))), raised)

/** Four bytes as float32 integers; of one byte (`lane`) all four are it. */
export const fromBytes = (signed: boolean, lane: boolean, address: Code<'i32'>, offset: number): Code<'v128'> => {
  const bytes = (lane ? v128.load8_splat : v128.load32_zero)(address, offset)
  return f32x4.convert_i32x4_s(
    signed
      ? i32x4.extend_low_i16x8_s(i16x8.extend_low_i8x16_s(bytes))
      : i32x4.extend_low_i16x8_s(i16x8.extend_low_i8x16_u(bytes)),
  )
}

/** Writes one value of a loop as bytes. */
export type ByteStore = {
  /** Takes four numbers of steps, of vector `copy` of a turn. */
  readonly take: (steps: Code<'v128'>, copy: number) => Code
  /** Stores the four of a vector, or (`lane`) the first of them. */
  readonly storeOne: (copy: number, address: Code<'i32'>, offset: number, lane: boolean) => Code
  /** Stores the sixteen of four vectors. */
  readonly storeAll: (address: Code<'i32'>, offset: number) => Code
  /** Before the loop, and behind it. */
  readonly begin: Code
  readonly end: Code
}

/** Starts to write values of a grid. `constant` gives constants from in front of the loop. */
export const newByteStore = (scope: Scope, grid: ByteGrid, constant: (value: number) => Code<'v128'>): ByteStore => {
  const seen = scope.local('v128')
  const words: readonly Local<'v128'>[] = Array.from({ length: 4 }, () => scope.local('v128'))
  // Integers from 0 on, all of whose bits are below this; NaN and what is off the grid have others.
  const end = 2 ** (32 - Math.clz32(grid.hi - Math.min(0, grid.lo)))
  const fromZero = (word: Code<'v128'>): Code<'v128'> =>
    isSigned(grid) ? i32x4.sub(word, i32x4.splat(i32.const(grid.lo))) : word
  const narrow = isSigned(grid) ? i8x16.narrow_i16x8_s : i8x16.narrow_i16x8_u
  const halves = (a: number, b: number): Code<'v128'> => i16x8.narrow_i32x4_s(words[a].get, words[b].get)
  return {
    begin: seen.set(i32x4.const(0)),
    take: (steps, copy) => [
      words[copy].set(i32x4.sub(f32x4.add(steps, constant(MAGIC)), constant(MAGIC))),
      seen.set(v128.or(seen.get, fromZero(words[copy].get))),
    ],
    storeOne: (copy, address, offset, lane) => {
      const half = halves(copy, copy)
      return (lane ? v128.store8_lane : v128.store32_lane)(0, address, narrow(half, half), offset)
    },
    storeAll: (address, offset) => v128.store(address, narrow(halves(0, 1), halves(2, 3)), offset),
    end: control.if(v128.any_true(v128.and(seen.get, i32x4.const(-end))), raised),
  }
}

/** Operations that take -0 for 0, or give 0 of either sign for it. */
const BLIND: ReadonlySet<Expr['op']> = new Set<Expr['op']>([
  ...(['neg', 'abs', 'sqrt', 'nearest', 'floor', 'ceil', 'trunc', 'add', 'sub', 'mul'] as const),
  ...(['min', 'max', 'pmin', 'pmax', 'lt', 'le', 'gt', 'ge', 'eq', 'ne', 'and', 'or', 'not'] as const),
])
const MASKS: ReadonlySet<Expr['op']> = new Set<Expr['op']>(['lt', 'le', 'gt', 'ge', 'eq', 'ne', 'not', 'ieq'])

/** Are results the same but for the sign of zeros, whatever the sign of zeros in these loads is? */
export const isBlindToZeros = (list: readonly Expr[], isByte: (operand: number) => boolean): boolean => {
  const touched = list.map(() => false)
  return list.every((e, i) => {
    if (e.op === 'load') {
      touched[i] = isByte(e.load ?? 0)
      return true
    }
    const from = e.args.map((a) => touched[a])
    touched[i] = from.includes(true)
    if (!touched[i]) return true
    if (e.op === 'div') return !from[1]
    if (e.op === 'select') return true
    // Bits of numbers are no numbers.
    if (e.op === 'and' || e.op === 'or') return e.args.every((a) => MASKS.has(list[a].op) || isMask(list, a))
    return BLIND.has(e.op)
  })
}

const isMask = (list: readonly Expr[], i: number): boolean => {
  const { op, args } = list[i]
  return MASKS.has(op) || ((op === 'and' || op === 'or') && args.every((a) => isMask(list, a)))
}
