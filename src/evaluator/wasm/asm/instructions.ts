/**
 * WebAssembly instructions as functions from operands to code. Names are the specification's, in two parts:
 * `f32x4.add(a, b)`. Loads and stores take an address and a constant offset in bytes.
 */
import { f32Bytes, f64Bytes, s32, u32, type Bytes, type Code, type ValueType } from './encode.js'

type I32 = Code<'i32'>
type I64 = Code<'i64'>
type F32 = Code<'f32'>
type F64 = Code<'f64'>
type V128 = Code<'v128'>
type Load<T extends ValueType> = (address: I32, offset?: number) => Code<T>
type Store<T extends ValueType> = (address: I32, value: Code<T>, offset?: number) => Code

/** From one type to another. */
const cast =
  <A extends ValueType, T extends ValueType>(...op: readonly number[]) =>
  (a: Code<A>): Code<T> => [a, ...op]
const op1 = <T extends ValueType>(op: number) => cast<T, T>(op)
const op2 =
  <T extends ValueType>(op: number) =>
  (a: Code<T>, b: Code<T>): Code<T> => [a, b, op]
const compare =
  <T extends ValueType>(op: number) =>
  (a: Code<T>, b: Code<T>): I32 => [a, b, op]
/** From here on numbers stand for what a global holds, and a distance from it: no address is so large. */
const BASE = 2 ** 40
const isBased = (n: number): boolean => n >= BASE / 2
const baseOf = (n: number): number => Math.round(n / BASE) - 1
/** A number from a base on. */
const based = (n: number): I32 => [0x23, u32(baseOf(n)), 0x41, s32(n - BASE * (baseOf(n) + 1)), 0x6a]
/** An address, with the offset's base added to it; and what is left of the offset. */
const at = (address: I32, offset: number): I32 => (isBased(offset) ? [address, based(offset), 0x6a] : address)
const left = (offset: number): Bytes => u32(isBased(offset) ? 0 : offset)

const load =
  <T extends ValueType>(op: number, align: number): Load<T> =>
  (address, offset = 0) => [at(address, offset), op, align, left(offset)]
const store =
  <T extends ValueType>(op: number, align: number): Store<T> =>
  (address, value, offset = 0) => [at(address, offset), value, op, align, left(offset)]

const SIMD = 0xfd
const simd1 =
  (op: number) =>
  (a: V128): V128 => [a, SIMD, u32(op)]
const simd2 =
  (op: number) =>
  (a: V128, b: V128): V128 => [a, b, SIMD, u32(op)]
const test =
  (op: number) =>
  (a: V128): I32 => [a, SIMD, u32(op)]
const splat =
  <T extends ValueType>(op: number) =>
  (a: Code<T>): V128 => [a, SIMD, u32(op)]
const shift =
  (op: number) =>
  (a: V128, by: number): V128 => [a, 0x41, s32(by), SIMD, u32(op)]
const extract =
  <T extends ValueType>(op: number) =>
  (lane: number, a: V128): Code<T> => [a, SIMD, u32(op), lane]
const replace =
  <T extends ValueType>(op: number) =>
  (lane: number, a: V128, value: Code<T>): V128 => [a, value, SIMD, u32(op), lane]
const vload =
  (op: number): Load<'v128'> =>
  (address, offset = 0) => [at(address, offset), SIMD, u32(op), 0, left(offset)]
const laneLoad =
  (op: number) =>
  (lane: number, address: I32, value: V128, offset = 0): V128 => [
    at(address, offset),
    value,
    SIMD,
    u32(op),
    0,
    left(offset),
    lane,
  ]
const laneStore =
  (op: number) =>
  (lane: number, address: I32, value: V128, offset = 0): Code => [
    at(address, offset),
    value,
    SIMD,
    u32(op),
    0,
    left(offset),
    lane,
  ]

/** 32-bit integers; comparisons give 0 or 1. Also addresses. */
export const i32 = {
  const: (n: number): I32 => (isBased(n) ? based(n) : [0x41, s32(n)]),
  load: load<'i32'>(0x28, 2),
  store: store<'i32'>(0x36, 2),
  load8_s: load<'i32'>(0x2c, 0),
  load8_u: load<'i32'>(0x2d, 0),
  load16_s: load<'i32'>(0x2e, 1),
  store8: store<'i32'>(0x3a, 0),
  store16: store<'i32'>(0x3b, 1),
  eqz: cast<'i32', 'i32'>(0x45),
  eq: compare<'i32'>(0x46),
  ne: compare<'i32'>(0x47),
  lt_s: compare<'i32'>(0x48),
  lt_u: compare<'i32'>(0x49),
  gt_s: compare<'i32'>(0x4a),
  gt_u: compare<'i32'>(0x4b),
  le_s: compare<'i32'>(0x4c),
  le_u: compare<'i32'>(0x4d),
  ge_s: compare<'i32'>(0x4e),
  ge_u: compare<'i32'>(0x4f),
  add: op2<'i32'>(0x6a),
  sub: op2<'i32'>(0x6b),
  mul: op2<'i32'>(0x6c),
  div_s: op2<'i32'>(0x6d),
  div_u: op2<'i32'>(0x6e),
  rem_s: op2<'i32'>(0x6f),
  rem_u: op2<'i32'>(0x70),
  and: op2<'i32'>(0x71),
  or: op2<'i32'>(0x72),
  xor: op2<'i32'>(0x73),
  shl: op2<'i32'>(0x74),
  shr_s: op2<'i32'>(0x75),
  shr_u: op2<'i32'>(0x76),
  clz: op1<'i32'>(0x67),
  ctz: op1<'i32'>(0x68),
  popcnt: op1<'i32'>(0x69),
  trunc_sat_f32_s: cast<'f32', 'i32'>(0xfc, 0),
  trunc_sat_f64_s: cast<'f64', 'i32'>(0xfc, 2),
  reinterpret_f32: cast<'f32', 'i32'>(0xbc),
  load16_u: load<'i32'>(0x2f, 1),
} as const

/** 64-bit integers, as far as bits of a float64 are built from them. */
export const i64 = {
  extend_i32_s: cast<'i32', 'i64'>(0xac),
  shl_const: (a: I64, by: number): I64 => [a, 0x42, s32(by), 0x86],
  reinterpret_f64: cast<'f64', 'i64'>(0xbd),
  shr_s_const: (a: I64, by: number): I64 => [a, 0x42, s32(by), 0x87],
  wrap: cast<'i64', 'i32'>(0xa7),
  add: op2<'i64'>(0x7c),
  sub: op2<'i64'>(0x7d),
  and: op2<'i64'>(0x83),
  or: op2<'i64'>(0x84),
  shr_u_const: (a: I64, by: number): I64 => [a, 0x42, s32(by), 0x88],
} as const

/** Scalar float32. */
export const f32 = {
  const: (x: number): F32 => [0x43, f32Bytes(x)],
  load: load<'f32'>(0x2a, 2),
  store: store<'f32'>(0x38, 2),
  eq: compare<'f32'>(0x5b),
  ne: compare<'f32'>(0x5c),
  lt: compare<'f32'>(0x5d),
  gt: compare<'f32'>(0x5e),
  le: compare<'f32'>(0x5f),
  ge: compare<'f32'>(0x60),
  abs: op1<'f32'>(0x8b),
  neg: op1<'f32'>(0x8c),
  ceil: op1<'f32'>(0x8d),
  floor: op1<'f32'>(0x8e),
  trunc: op1<'f32'>(0x8f),
  nearest: op1<'f32'>(0x90),
  sqrt: op1<'f32'>(0x91),
  add: op2<'f32'>(0x92),
  sub: op2<'f32'>(0x93),
  mul: op2<'f32'>(0x94),
  div: op2<'f32'>(0x95),
  min: op2<'f32'>(0x96),
  max: op2<'f32'>(0x97),
  demote_f64: cast<'f64', 'f32'>(0xb6),
  convert_i32_s: cast<'i32', 'f32'>(0xb2),
  reinterpret_i32: cast<'i32', 'f32'>(0xbe),
  copysign: op2<'f32'>(0x98),
} as const

/** Scalar float64. */
export const f64 = {
  const: (x: number): F64 => [0x44, f64Bytes(x)],
  load: load<'f64'>(0x2b, 3),
  store: store<'f64'>(0x39, 3),
  eq: compare<'f64'>(0x61),
  ne: compare<'f64'>(0x62),
  lt: compare<'f64'>(0x63),
  gt: compare<'f64'>(0x64),
  le: compare<'f64'>(0x65),
  ge: compare<'f64'>(0x66),
  abs: op1<'f64'>(0x99),
  neg: op1<'f64'>(0x9a),
  ceil: op1<'f64'>(0x9b),
  floor: op1<'f64'>(0x9c),
  trunc: op1<'f64'>(0x9d),
  nearest: op1<'f64'>(0x9e),
  sqrt: op1<'f64'>(0x9f),
  add: op2<'f64'>(0xa0),
  sub: op2<'f64'>(0xa1),
  mul: op2<'f64'>(0xa2),
  div: op2<'f64'>(0xa3),
  min: op2<'f64'>(0xa4),
  max: op2<'f64'>(0xa5),
  promote_f32: cast<'f32', 'f64'>(0xbb),
  convert_i32_s: cast<'i32', 'f64'>(0xb7),
  reinterpret_i64: cast<'i64', 'f64'>(0xbf),
  copysign: op2<'f64'>(0xa6),
} as const

/** 128-bit vectors as bits, and their loads and stores. */
export const v128 = {
  load: vload(0),
  load8x8_s: vload(1),
  load8x8_u: vload(2),
  load16x4_s: vload(3),
  load16x4_u: vload(4),
  load8_splat: vload(7),
  load16_splat: vload(8),
  load32_splat: vload(9),
  load64_splat: vload(10),
  load32_zero: vload(92),
  load64_zero: vload(93),
  store: (address: I32, value: V128, offset = 0): Code => [at(address, offset), value, SIMD, u32(11), 0, left(offset)],
  load8_lane: laneLoad(84),
  load16_lane: laneLoad(85),
  load32_lane: laneLoad(86),
  load64_lane: laneLoad(87),
  store8_lane: laneStore(88),
  store16_lane: laneStore(89),
  store32_lane: laneStore(90),
  store64_lane: laneStore(91),
  const: (bytes: ArrayLike<number>): V128 => [SIMD, u32(12), Uint8Array.from(bytes)],
  shuffle: (a: V128, b: V128, lanes: readonly number[]): V128 => [a, b, SIMD, u32(13), [...lanes]],
  not: simd1(77),
  and: simd2(78),
  andnot: simd2(79),
  or: simd2(80),
  xor: simd2(81),
  any_true: test(83),
  bitselect: (a: V128, b: V128, mask: V128): V128 => [a, b, mask, SIMD, u32(82)],
} as const

/** Four float32. Comparisons give lanes of all ones or zeros. */
export const f32x4 = {
  const: (x: number): V128 => v128.const(new Uint8Array(Float32Array.of(x, x, x, x).buffer)),
  splat: splat<'f32'>(19),
  extract: extract<'f32'>(31),
  replace: replace<'f32'>(32),
  eq: simd2(65),
  ne: simd2(66),
  lt: simd2(67),
  gt: simd2(68),
  le: simd2(69),
  ge: simd2(70),
  ceil: simd1(103),
  floor: simd1(104),
  trunc: simd1(105),
  nearest: simd1(106),
  abs: simd1(224),
  neg: simd1(225),
  sqrt: simd1(227),
  add: simd2(228),
  sub: simd2(229),
  mul: simd2(230),
  div: simd2(231),
  min: simd2(232),
  max: simd2(233),
  pmin: simd2(234),
  pmax: simd2(235),
  demote_f64x2_zero: simd1(94),
  convert_i32x4_s: simd1(250),
} as const

/** Two float64. */
export const f64x2 = {
  const: (x: number): V128 => v128.const(new Uint8Array(Float64Array.of(x, x).buffer)),
  splat: splat<'f64'>(20),
  extract: extract<'f64'>(33),
  replace: replace<'f64'>(34),
  promote_low_f32x4: simd1(95),
  abs: simd1(236),
  neg: simd1(237),
  sqrt: simd1(239),
  add: simd2(240),
  sub: simd2(241),
  mul: simd2(242),
  div: simd2(243),
  min: simd2(244),
  max: simd2(245),
  pmin: simd2(246),
  pmax: simd2(247),
  nearest: simd1(148),
  ceil: simd1(116),
  floor: simd1(117),
  trunc: simd1(122),
  eq: simd2(71),
  ne: simd2(72),
  lt: simd2(73),
  gt: simd2(74),
  le: simd2(75),
  ge: simd2(76),
  convert_low_i32x4_s: simd1(254),
} as const

/** Two 64-bit integers, as far as bits of two float64 are built from them. */
export const i64x2 = {
  shl: shift(203),
  shr_u: shift(205),
} as const

/** Four 32-bit integers. */
export const i32x4 = {
  const: (n: number): V128 => v128.const(new Uint8Array(Int32Array.of(n, n, n, n).buffer)),
  lanes: (n: readonly number[]): V128 => v128.const(new Uint8Array(Int32Array.from(n).buffer)),
  splat: splat<'i32'>(17),
  extract: extract<'i32'>(27),
  replace: replace<'i32'>(28),
  bitmask: test(164),
  all_true: test(163),
  eq: simd2(55),
  ne: simd2(56),
  lt_s: simd2(57),
  lt_u: simd2(58),
  gt_s: simd2(59),
  gt_u: simd2(60),
  le_s: simd2(61),
  ge_s: simd2(63),
  shl: shift(171),
  shr_s: shift(172),
  shr_u: shift(173),
  add: simd2(174),
  sub: simd2(177),
  mul: simd2(181),
  min_s: simd2(182),
  max_s: simd2(184),
  dot_i16x8_s: simd2(186),
  trunc_sat_f32x4_s: simd1(248),
  extend_low_i16x8_s: simd1(167),
  extend_high_i16x8_s: simd1(168),
  extend_low_i16x8_u: simd1(169),
} as const

/** Eight 16-bit integers. */
export const i16x8 = {
  const: (n: number): V128 => v128.const(new Uint8Array(new Int16Array(8).fill(n).buffer)),
  splat: splat<'i32'>(16),
  extract_s: extract<'i32'>(24),
  narrow_i32x4_s: simd2(133),
  extend_low_i8x16_s: simd1(135),
  extend_high_i8x16_s: simd1(136),
  extend_low_i8x16_u: simd1(137),
  extend_high_i8x16_u: simd1(138),
  shl: shift(139),
  shr_s: shift(140),
  add: simd2(142),
  sub: simd2(145),
  sub_sat_u: simd2(147),
  mul: simd2(149),
} as const

/** Sixteen bytes. */
export const i8x16 = {
  shr_u: shift(109),
  max_s: simd2(120),
  max_u: simd2(121),
  narrow_i16x8_s: simd2(101),
  narrow_i16x8_u: simd2(102),
  splat: splat<'i32'>(15),
  bitmask: test(100),
} as const

/** Instructions of the relaxed proposal: fast, but what they give may depend on the machine. */
export const relaxed = {
  i8x16_dot_i7x16_add: (a: V128, b: V128, c: V128): V128 => [a, b, c, SIMD, u32(0x113)],
  /** `a * b + c`, the product rounded or not. */
  f32x4_madd: (a: V128, b: V128, c: V128): V128 => [a, b, c, SIMD, u32(0x105)],
} as const

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
