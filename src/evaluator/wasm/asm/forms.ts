/** What instructions share: loads and stores with their offsets, and numbers that stand for what a global holds. */
import { s32, u32, type Bytes, type Code, type ValueType } from './encode.js'

type I32 = Code<'i32'>
/** Reads at an address, a constant offset from it. */
export type Load<T extends ValueType> = (address: I32, offset?: number) => Code<T>
/** Writes there. */
export type Store<T extends ValueType> = (address: I32, value: Code<T>, offset?: number) => Code

/** From here on numbers stand for what a global holds, and a distance from it: no address is so large. */
export const BASE = 2 ** 40
/** Does the number stand for what a global holds? */
export const isBased = (n: number): boolean => n >= BASE / 2
const baseOf = (n: number): number => Math.round(n / BASE) - 1
/** A number from a base on. */
export const based = (n: number): I32 => [0x23, u32(baseOf(n)), 0x41, s32(n - BASE * (baseOf(n) + 1)), 0x6a]
/** An address, with the offset's base added to it. */
export const at = (address: I32, offset: number): I32 => (isBased(offset) ? [address, based(offset), 0x6a] : address)
/** What is left of an offset whose base is added to the address. */
export const left = (offset: number): Bytes => u32(isBased(offset) ? 0 : offset)
