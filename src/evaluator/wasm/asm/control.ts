/** Instructions that order what happens: blocks and branches, globals, blocks of memory, and words that threads share. */
import { s32, u32, type Code, type ValueType } from './encode.js'
import { BASE } from './forms.js'

type I32 = Code<'i32'>

const atomic =
  (op: number) =>
  (address: I32, value: I32): I32 => [address, value, 0xfe, op, 2, 0]
/** Atomic accesses to 32-bit words; addresses are multiples of 4. */
export const atomics = {
  load: (address: I32): I32 => [address, 0xfe, 0x10, 2, 0],
  store: (address: I32, value: I32): Code => [address, value, 0xfe, 0x17, 2, 0],
  add: atomic(0x1e),
  /** Waits while the word is `expected`, at most `nanoseconds` (a constant); gives 0, 1 or 2. */
  wait: (address: I32, expected: I32, nanoseconds: number): I32 => [
    address,
    expected,
    0x42,
    s32(nanoseconds),
    0xfe,
    0x01,
    2,
    0,
  ],
  notify: atomic(0x00),
} as const

const EMPTY = 0x40
const RESULT = { f64: 0x7c } as const
/** Structure: blocks give no value; labels count outwards from 0. */
export const control = {
  block: (body: Code): Code => [0x02, EMPTY, body, 0x0b],
  loop: (body: Code): Code => [0x03, EMPTY, body, 0x0b],
  if: (condition: I32, then: Code, otherwise?: Code): Code => [
    condition,
    0x04,
    EMPTY,
    then,
    otherwise === undefined ? [] : [0x05, otherwise],
    0x0b,
  ],
  /** `condition != 0 ? a : b`, of which only one is evaluated. */
  either: <T extends 'f64'>(type: T, condition: I32, a: Code<T>, b: Code<T>): Code<T> => [
    condition,
    0x04,
    RESULT[type],
    a,
    0x05,
    b,
    0x0b,
  ],
  br: (label: number): Code => [0x0c, u32(label)],
  br_if: (label: number, condition: I32): Code => [condition, 0x0d, u32(label)],
  return: (value: Code<ValueType> | Code = []): Code => [value, 0x0f],
  drop: (value: Code<ValueType>): Code => [value, 0x1a],
  /** `condition != 0 ? a : b`, both evaluated. */
  select: <T extends ValueType>(a: Code<T>, b: Code<T>, condition: I32): Code<T> => [a, b, condition, 0x1b],
  unreachable: (): Code => 0x00,
} as const

/** 32-bit globals that hold addresses. Code that is given `base(k)` as an address adds what global k holds when it runs. */
export const globals = {
  base: (k: number): number => BASE * (k + 1),
  set: (k: number, value: I32): Code => [value, 0x24, u32(k)],
} as const

/** Copies or fills memory. */
export const memory = {
  copy: (to: I32, from: I32, bytes: I32): Code => [to, from, bytes, 0xfc, 0x0a, 0, 0],
  fill: (to: I32, value: I32, bytes: I32): Code => [to, value, bytes, 0xfc, 0x0b, 0],
} as const
