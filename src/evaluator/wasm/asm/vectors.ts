/** Instructions on vectors of 128 bits, and their loads and stores. */
import { s32, u32, type Code, type ValueType } from './encode.js'
import { at, left, type Load } from './forms.js'

type I32 = Code<'i32'>
type V128 = Code<'v128'>

const SIMD = 0xfd
// Each makes the code of its number once: loops are made of thousands of them.
const simd1 = (op: number): ((a: V128) => V128) => {
  const code = u32(op)
  return (a) => [a, SIMD, code]
}
const simd2 = (op: number): ((a: V128, b: V128) => V128) => {
  const code = u32(op)
  return (a, b) => [a, b, SIMD, code]
}
const test = (op: number): ((a: V128) => I32) => {
  const code = u32(op)
  return (a) => [a, SIMD, code]
}
const splat = <T extends ValueType>(op: number): ((a: Code<T>) => V128) => {
  const code = u32(op)
  return (a) => [a, SIMD, code]
}
const shift = (op: number): ((a: V128, by: number) => V128) => {
  const code = u32(op)
  return (a, by) => [a, 0x41, s32(by), SIMD, code]
}
const extract = <T extends ValueType>(op: number): ((lane: number, a: V128) => Code<T>) => {
  const code = u32(op)
  return (lane, a) => [a, SIMD, code, lane]
}
const replace = <T extends ValueType>(op: number): ((lane: number, a: V128, value: Code<T>) => V128) => {
  const code = u32(op)
  return (lane, a, value) => [a, value, SIMD, code, lane]
}
const vload = (op: number): Load<'v128'> => {
  const code = u32(op)
  return (address, offset = 0) => [at(address, offset), SIMD, code, 0, left(offset)]
}
const laneLoad = (op: number): ((lane: number, address: I32, value: V128, offset?: number) => V128) => {
  const code = u32(op)
  return (lane, address, value, offset = 0) => [at(address, offset), value, SIMD, code, 0, left(offset), lane]
}
const laneStore = (op: number): ((lane: number, address: I32, value: V128, offset?: number) => Code) => {
  const code = u32(op)
  return (lane, address, value, offset = 0) => [at(address, offset), value, SIMD, code, 0, left(offset), lane]
}

const CONSTANT = u32(12)
/** Loops are made of hundreds of constants: their bytes are no copies. */
const constant = ({ buffer }: Float32Array | Float64Array | Int32Array | Int16Array): V128 => [
  SIMD,
  CONSTANT,
  new Uint8Array(buffer),
]

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
  const: (bytes: ArrayLike<number>): V128 => [SIMD, CONSTANT, Uint8Array.from(bytes)],
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
  const: (x: number): V128 => constant(new Float32Array(4).fill(x)),
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
  const: (x: number): V128 => constant(new Float64Array(2).fill(x)),
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
  eq: simd2(214),
  shl: shift(203),
  shr_u: shift(205),
} as const

/** Four 32-bit integers. */
export const i32x4 = {
  const: (n: number): V128 => constant(new Int32Array(4).fill(n)),
  lanes: (n: readonly number[]): V128 => constant(Int32Array.from(n)),
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
  const: (n: number): V128 => constant(new Int16Array(8).fill(n)),
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
