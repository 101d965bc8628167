/**
 * The elementary functions of src/data/math.ts as WebAssembly, operation for operation, so that they give the same bits.
 * They are called with float32 numbers or sums of few of them: branches for doubles beyond that range are left out.
 */
import type { LaneFunction } from '../../../graph/lanes.js'
import type { Code } from '../asm/encode.js'
import { control, f32, f64, i32, i64 } from '../asm/instructions.js'
import {
  funcAt,
  type Body,
  type Func,
  type Local,
  type ModuleBuilder,
  type Scope,
  type ValueType,
} from '../asm/module.js'

/** Functions from double to double. */
export type MathName = LaneFunction

/** The functions of one module, each emitted when it is first asked for. */
export type MathFunctions = {
  /** f64 → f64. */
  readonly double: (name: MathName) => DoubleFunction
  /** f32 → f32: the double's result, rounded. */
  readonly single: (name: MathName) => SingleFunction
  /** Any function of the caller's, emitted once for its key. */
  readonly shared: <P extends readonly ValueType[], R extends ValueType | 'none'>(
    key: string,
    emit: () => Func<P, R>,
  ) => Func<P, R>
}

/** From float32 to float32. */
export type SingleFunction = Func<readonly ['f32'], 'f32'>
type F64 = Code<'f64'>
type Double = Local<'f64'>
type DoubleFunction = Func<readonly ['f64'], 'f64'>

const LN2_HI = 0.6931471803691238
const LN2_LO = 1.9082149292705877e-10
const LN2_F32 = 0.6931471228599548
const LN2_REST = 5.7699990475432854e-8
const LOG2E_F32 = 1.4426950216293335
const LOG2E_REST = 1.9259629911266175e-8
const NEGLIGIBLE = 5.551115123125783e-17

const c = f64.const
const { add, sub, mul, div } = f64

/** `c0 + z (c1 + z (c2 + …))`. */
const series = (z: F64, coefficients: readonly number[]): F64 => {
  const last = coefficients[coefficients.length - 1]
  return coefficients.slice(0, -1).reduceRight<F64>((rest, x) => add(c(x), mul(z, rest)), c(last))
}

/** `c0 - z (c1 - z (… - z rest))`. */
const alternating = (z: F64, coefficients: readonly number[], rest: F64): F64 =>
  coefficients.reduceRight<F64>((inner, x) => sub(c(x), mul(z, inner)), rest)

/** 2^k; k an integer in -1022 … 1023. */
const powerOfTwo = (k: Code<'i32'>): F64 =>
  f64.reinterpret_i64(i64.shl_const(i64.extend_i32_s(i32.add(k, i32.const(1023))), 52))

const whole = (x: F64): Code<'i32'> => i32.trunc_sat_f64_s(x)

type Formula<P extends readonly 'f64'[] = readonly ['f64']> = (scope: Body<P>, math: MathFunctions) => F64

const define = <const P extends readonly 'f64'[]>(
  m: ModuleBuilder,
  params: P,
  math: MathFunctions,
  body: Formula<P>,
): Func<P, 'f64'> => m.func({ params, result: 'f64', body: (scope) => body(scope, math) })

const leaveIf = (condition: Code<'i32'>, value: F64): Code => control.if(condition, control.return(value))

const doubles = (scope: Scope, n: number): readonly Double[] => Array.from({ length: n }, () => scope.local('f64'))

/** c of `exp(r) = 1 + r + r c / (2 - c)`. */
const correction = (r: Double, z: Double): F64 => [
  z.set(mul(r.get, r.get)),
  sub(r.get, mul(z.get, series(z.get, [1 / 6, -1 / 360, 1 / 15120, -1 / 604800, 1 / 23950080, -691 / 653837184000]))),
]

type Reduced = readonly ['f64', 'f64', 'f64']

/** `(hi, lo, k) → 2^k exp(hi - lo)`. */
const expReduced: Formula<Reduced> = (scope) => {
  const [hi, lo, k] = scope.params
  const [r, z, t, y] = doubles(scope, 4)
  return [
    r.set(sub(hi.get, lo.get)),
    t.set(correction(r, z)),
    y.set(sub(c(1), sub(sub(lo.get, div(mul(r.get, t.get), sub(c(2), t.get))), hi.get))),
    leaveIf(f64.gt(k.get, c(1023)), mul(mul(y.get, c(2 ** 1023)), c(2))),
    leaveIf(f64.lt(k.get, c(-1021)), mul(mul(y.get, powerOfTwo(whole(add(k.get, c(54))))), c(5.551115123125783e-17))),
    mul(y.get, powerOfTwo(whole(k.get))),
  ]
}

const reduced = (m: ModuleBuilder, math: MathFunctions): Func<Reduced, 'f64'> =>
  math.shared('exp reduced', () => define(m, ['f64', 'f64', 'f64'], math, expReduced))

const exp =
  (m: ModuleBuilder): Formula =>
  (scope, math) => {
    const [x] = scope.params
    const [k] = doubles(scope, 1)
    return [
      leaveIf(f64.ne(x.get, x.get), x.get),
      leaveIf(f64.gt(x.get, c(709.782712893384)), c(Infinity)),
      leaveIf(f64.lt(x.get, c(-745.1332191019412)), c(0)),
      k.set(f64.floor(add(mul(x.get, c(Math.LOG2E)), c(0.5)))),
      reduced(m, math).call(sub(x.get, mul(k.get, c(LN2_HI))), mul(k.get, c(LN2_LO)), k.get),
    ]
  }

const expm1: Formula = (scope, math) => {
  const [x] = scope.params
  const [k, hi, lo, r, rest, t, z] = doubles(scope, 7)
  return [
    leaveIf(i32.or(f64.ne(x.get, x.get), f64.lt(f64.abs(x.get), c(NEGLIGIBLE))), x.get),
    leaveIf(f64.gt(x.get, c(40)), math.double('exp').call(x.get)),
    leaveIf(f64.lt(x.get, c(-40)), c(-1)),
    k.set(f64.floor(add(mul(x.get, c(Math.LOG2E)), c(0.5)))),
    hi.set(sub(x.get, mul(k.get, c(LN2_HI)))),
    lo.set(mul(k.get, c(LN2_LO))),
    r.set(sub(hi.get, lo.get)),
    rest.set(sub(sub(hi.get, r.get), lo.get)),
    t.set(correction(r, z)),
    mul(
      powerOfTwo(whole(k.get)),
      add(
        add(sub(c(1), powerOfTwo(i32.sub(i32.const(0), whole(k.get)))), r.get),
        add(div(mul(r.get, t.get), sub(c(2), t.get)), add(rest.get, mul(rest.get, r.get))),
      ),
    ),
  ]
}

const exp2 =
  (m: ModuleBuilder): Formula =>
  (scope, math) => {
    const [x] = scope.params
    const [k, r, first] = doubles(scope, 3)
    return [
      leaveIf(f64.ne(x.get, x.get), x.get),
      leaveIf(f64.ge(x.get, c(1024)), c(Infinity)),
      leaveIf(f64.le(x.get, c(-1075)), c(0)),
      k.set(f64.floor(add(add(x.get, c(0)), c(0.5)))),
      r.set(sub(x.get, k.get)),
      first.set(f64.promote_f32(f32.demote_f64(r.get))),
      reduced(m, math).call(
        mul(first.get, c(LN2_F32)),
        f64.neg(add(mul(first.get, c(LN2_REST)), mul(add(sub(r.get, first.get), c(0)), c(Math.LN2)))),
        k.get,
      ),
    ]
  }

/** `s (f^2/2 + R)` of `ln(1 + f)`. */
const logTail = (f: Double, s: Double, z: Double, w: Double): F64 => [
  s.set(div(f.get, add(c(2), f.get))),
  z.set(mul(s.get, s.get)),
  w.set(mul(z.get, z.get)),
  mul(
    s.get,
    add(
      mul(mul(c(0.5), f.get), f.get),
      add(
        mul(z.get, series(w.get, [2 / 3, 2 / 7, 2 / 11, 2 / 15, 2 / 19])),
        mul(w.get, series(w.get, [2 / 5, 2 / 9, 2 / 13, 2 / 17, 2 / 21])),
      ),
    ),
  ),
]

/** Leaves the integer k for which `x 2^-k` is in [sqrt 1/2, sqrt 2] in `k`, and that power less 1 in `f`. */
const splitPower = (x: Double, n: Local, k: Double, f: Double): Code => [
  n.set(i32.sub(i64.wrap(i64.shr_u_const(i64.reinterpret_f64(mul(x.get, c(Math.SQRT1_2))), 52)), i32.const(1022))),
  k.set(f64.convert_i32_s(n.get)),
  f.set(sub(mul(x.get, powerOfTwo(i32.sub(i32.const(0), n.get))), c(1))),
]

const outside = (x: Double): Code =>
  control.if(i32.eqz(i32.and(f64.gt(x.get, c(0)), f64.lt(x.get, c(Infinity)))), [
    leaveIf(f64.eq(x.get, c(0)), c(-Infinity)),
    leaveIf(f64.gt(x.get, c(0)), x.get),
    control.return(c(NaN)),
  ])

const log: Formula = (scope) => {
  const [x] = scope.params
  const [k, f, s, z, w] = doubles(scope, 5)
  const n = scope.local('i32')
  return [
    outside(x),
    splitPower(x, n, k, f),
    sub(
      mul(k.get, c(LN2_HI)),
      sub(sub(mul(mul(c(0.5), f.get), f.get), add(logTail(f, s, z, w), mul(k.get, c(LN2_LO)))), f.get),
    ),
  ]
}

const log2: Formula = (scope) => {
  const [x] = scope.params
  const [k, f, s, z, w, first, product, sum, rest] = doubles(scope, 9)
  const n = scope.local('i32')
  const halfSquare = mul(mul(c(0.5), f.get), f.get)
  return [
    outside(x),
    splitPower(x, n, k, f),
    first.set(f64.promote_f32(f32.demote_f64(sub(f.get, halfSquare)))),
    product.set(mul(first.get, c(LOG2E_F32))),
    sum.set(add(k.get, product.get)),
    rest.set(add(sub(sub(f.get, first.get), halfSquare), logTail(f, s, z, w))),
    add(
      sum.get,
      add(add(mul(first.get, c(LOG2E_REST)), mul(rest.get, c(Math.LOG2E))), add(sub(k.get, sum.get), product.get)),
    ),
  ]
}

const tanh: Formula = (scope, math) => {
  const [x] = scope.params
  const [size, e, value] = doubles(scope, 3)
  const small = f64.lt(size.get, c(1))
  return [
    size.set(f64.abs(x.get)),
    leaveIf(i32.or(f64.ne(x.get, x.get), f64.lt(size.get, c(NEGLIGIBLE))), x.get),
    leaveIf(f64.gt(size.get, c(22)), control.select(c(-1), c(1), f64.lt(x.get, c(0)))),
    e.set(math.double('expm1').call(mul(control.select(c(-2), c(2), small), size.get))),
    control.if(
      small,
      value.set(div(f64.neg(e.get), add(e.get, c(2)))),
      value.set(sub(c(1), div(c(2), add(e.get, c(2))))),
    ),
    control.select(f64.neg(value.get), value.get, f64.lt(x.get, c(0))),
  ]
}

const sigmoid: Formula = (scope, math) => {
  const [x] = scope.params
  const [e] = doubles(scope, 1)
  const power = math.double('exp')
  return [
    leaveIf(f64.ge(x.get, c(0)), div(c(1), add(c(1), power.call(f64.neg(x.get))))),
    e.set(power.call(x.get)),
    div(e.get, add(c(1), e.get)),
  ]
}

/** `exp(x^2) erfc(x)` for 1 <= x <= 6. */
const scaledErfc = (x: Double, t: Double): F64 => [
  t.set(div(sub(x.get, c(3)), add(x.get, c(3)))),
  series(
    t.get,
    [
      0.17900115118138996, -0.3262335600430372, 0.24560380171233487, -0.15011593650077898, 0.07166583719747308,
      -0.024392499318915004, 0.004269136356961225, 0.0007077464666941425, -0.0005970624964924544, 4.525434558991009e-5,
      6.406279226046039e-5, -1.2845780030775907e-5, -8.00978093907608e-6, 2.0135111426447427e-6, 1.2755818949624478e-6,
      3.381355142042904e-9,
    ],
  ),
]

const ERF_LAST = 1 / 40537905408000
const ERF_HIGH = [
  1 / 9360,
  1 / 75600,
  1 / 685440,
  1 / 6894720,
  1 / 76204800,
  1 / 918086400,
  1 / 11975040000,
  1 / 168129561600,
  1 / 2528170444800,
]
const ERF_LOW = [1 / 3, 1 / 10, 1 / 42, 1 / 216, 1 / 1320]

const erfNearZero = (x: Double, z: Double, sum: Double): F64 => [
  z.set(mul(x.get, x.get)),
  sum.set(alternating(z.get, ERF_HIGH, sub(c(ERF_LAST), div(z.get, c(690452066304000))))),
  sum.set(mul(z.get, alternating(z.get, ERF_LOW, sum.get))),
  add(x.get, mul(x.get, sub(c(0.12837916709551256), mul(c(1.1283791670955126), sum.get)))),
]

const erf: Formula = (scope, math) => {
  const [x] = scope.params
  const [size, z, sum, value, t] = doubles(scope, 5)
  return [
    size.set(f64.abs(x.get)),
    leaveIf(i32.or(f64.ne(x.get, x.get), f64.eq(x.get, c(0))), x.get),
    leaveIf(f64.lt(size.get, c(1)), erfNearZero(x, z, sum)),
    value.set(c(1)),
    control.if(
      f64.lt(size.get, c(6)),
      value.set(sub(c(1), mul(math.double('exp').call(mul(f64.neg(size.get), size.get)), scaledErfc(size, t)))),
    ),
    control.select(f64.neg(value.get), value.get, f64.lt(x.get, c(0))),
  ]
}

const bodies = (m: ModuleBuilder): { readonly [N in MathName]: Formula } => ({
  exp: exp(m),
  exp2: exp2(m),
  expm1,
  log,
  log2,
  tanh,
  sigmoid,
  erf,
})

/** The functions of a module. Ask once per module (`newMath`), or they are emitted twice. */
export const mathFunctions = (m: ModuleBuilder): MathFunctions => {
  const known = new Map<string, number>()
  const shared = <P extends readonly ValueType[], R extends ValueType | 'none'>(
    key: string,
    emit: () => Func<P, R>,
  ): Func<P, R> => {
    const index = known.get(key) ?? emit().index
    known.set(key, index)
    return funcAt(index)
  }
  const math: MathFunctions = {
    shared,
    double: (name) => shared(`double ${name}`, () => define(m, ['f64'], math, bodies(m)[name])),
    single: (name) =>
      shared(`single ${name}`, () => {
        const inner = math.double(name)
        return m.func({
          params: ['f32'],
          result: 'f32',
          body: ({ params: [x] }) => f32.demote_f64(inner.call(f64.promote_f32(x.get))),
        })
      }),
  }
  return math
}

/** The functions of whichever module a kernel is emitted into. */
export type MathOf = (m: ModuleBuilder) => MathFunctions

/** Remembers the functions of each module; a plan makes one and gives it to its kernels. */
export const newMath = (): MathOf => {
  const modules = new WeakMap<ModuleBuilder, MathFunctions>()
  return (m) => {
    const math = modules.get(m) ?? mathFunctions(m)
    modules.set(m, math)
    return math
  }
}
