/** Instructions on single numbers, and their loads and stores. */
import { f32Bytes, f64Bytes, s32, type Code, type ValueType } from './encode.js'
import { at, based, isBased, left, type Load, type Store } from './forms.js'

type I32 = Code<'i32'>
type I64 = Code<'i64'>
type F32 = Code<'f32'>
type F64 = Code<'f64'>

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

const load =
  <T extends ValueType>(op: number, align: number): Load<T> =>
  (address, offset = 0) => [at(address, offset), op, align, left(offset)]
const store =
  <T extends ValueType>(op: number, align: number): Store<T> =>
  (address, value, offset = 0) => [at(address, offset), value, op, align, left(offset)]

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
