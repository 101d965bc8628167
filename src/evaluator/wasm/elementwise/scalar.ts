/** Functions of one lane: float32 in, computed in double, float32 out; with the bits of JavaScript. */
import { isMaskOp, type LaneExpr, type LaneFunction, type LaneOp } from '../../../graph/lanes.js'
import type { Code } from '../asm/encode.js'
import { control, f32, f64, i32 } from '../asm/instructions.js'
import type { Body, Local, ModuleBuilder } from '../asm/module.js'
import type { MathFunctions } from '../kernels/math.js'
import type { Scalar } from './exprs.js'
import type { ScalarFunction } from './lanes.js'

const FUNCTIONS: { readonly [N in LaneFunction]: true } = {
  exp: true,
  exp2: true,
  expm1: true,
  log: true,
  log2: true,
  tanh: true,
  sigmoid: true,
  erf: true,
}
const isFunction = (op: LaneOp): op is LaneFunction => Object.hasOwn(FUNCTIONS, op)

const simple = {
  neg: f64.neg,
  abs: f64.abs,
  sqrt: f64.sqrt,
  nearest: f64.nearest,
  floor: f64.floor,
  ceil: f64.ceil,
  trunc: f64.trunc,
} as const
const paired = {
  add: f64.add,
  sub: f64.sub,
  mul: f64.mul,
  div: f64.div,
  min: f64.min,
  max: f64.max,
} as const
const compared = {
  lt: f64.lt,
  le: f64.le,
  gt: f64.gt,
  ge: f64.ge,
  eq: f64.eq,
  ne: f64.ne,
} as const
const logical = { and: i32.and, or: i32.or } as const
const isIn = <T extends object>(table: T, op: string): op is Extract<keyof T, string> => Object.hasOwn(table, op)

const usesOf = (list: readonly LaneExpr[]): readonly number[] => {
  const uses = list.map(() => 0)
  for (const e of list) for (const a of e.args) uses[a]++
  return uses
}

/** Does computing it call a function? */
const callersOf = (list: readonly LaneExpr[]): readonly boolean[] => {
  const calls: boolean[] = []
  for (const e of list) calls.push(isFunction(e.op) || e.args.some((a) => calls[a]))
  return calls
}

/** The code of numbers, which are doubles, and of conditions, which are integers, by their places in the list. */
const codeOf = (list: readonly LaneExpr[], math: MathFunctions, scope: Body<readonly 'f32'[]>) => {
  const calls = callersOf(list)
  const numbers = new Map<number, Local<'f64'>>()
  const conditions = new Map<number, Local>()
  const chosen = (condition: Code<'i32'>, a: number, b: number): Code<'f64'> =>
    // A function is called only where its result is wanted.
    calls[a] || calls[b]
      ? control.either('f64', condition, number(a), number(b))
      : control.select(number(a), number(b), condition)
  const number = (i: number): Code<'f64'> => numbers.get(i)?.get ?? computed(list[i])
  const computed = ({ op, args: [a, b, d], value }: LaneExpr): Code<'f64'> => {
    if (op === 'const') return f64.const(value ?? 0)
    if (op === 'load') return f64.promote_f32(scope.params[value ?? 0].get)
    if (op === 'select') return chosen(condition(a), b, d)
    if (op === 'pmin') return chosen(f64.lt(number(b), number(a)), b, a)
    if (op === 'pmax') return chosen(f64.lt(number(a), number(b)), b, a)
    if (isFunction(op)) return math.double(op).call(number(a))
    if (isIn(simple, op)) return simple[op](number(a))
    if (isIn(paired, op)) return paired[op](number(a), number(b))
    throw new Error(`internal: ${op} gives no number of one lane`)
  }
  const condition = (i: number): Code<'i32'> => conditions.get(i)?.get ?? decided(list[i])
  const decided = ({ op, args: [a, b] }: LaneExpr): Code<'i32'> => {
    if (op === 'not') return i32.eqz(condition(a))
    if (isIn(logical, op)) return logical[op](condition(a), condition(b))
    if (isIn(compared, op)) return compared[op](number(a), number(b))
    throw new Error(`internal: ${op} gives no condition of one lane`)
  }
  /** Computes an expression into a local, which stands for it from then on. */
  const keep = (e: LaneExpr, i: number): Code => {
    if (isMaskOp(e.op)) {
      const [code, local] = [decided(e), scope.local('i32')]
      conditions.set(i, local)
      return local.set(code)
    }
    const [code, local] = [computed(e), scope.local('f64')]
    numbers.set(i, local)
    return local.set(code)
  }
  return { number, keep }
}

const bodyOf = (list: readonly LaneExpr[], math: MathFunctions, scope: Body<readonly 'f32'[]>): Code<'f32'> => {
  const uses = usesOf(list)
  const { number, keep } = codeOf(list, math, scope)
  // What is wanted more than once is computed once, in front; both sides of pmin and pmax are wanted twice.
  const twice = new Set(list.flatMap((e) => (e.op === 'pmin' || e.op === 'pmax' ? e.args : [])))
  const last = list.length - 1
  const first = list.map((e, i): Code => {
    const once = uses[i] < 2 && !twice.has(i)
    return e.op === 'const' || i === last || once ? [] : keep(e, i)
  })
  return [first, f32.demote_f64(number(last))]
}

/** The function of a scalar, emitted once per module. */
export const scalarFunction = (m: ModuleBuilder, math: MathFunctions, { key, args, list }: Scalar): ScalarFunction =>
  math.shared(`lane ${key}`, () =>
    m.func({
      params: Array.from({ length: args }, () => 'f32' as const),
      result: 'f32',
      body: (scope) => bodyOf(list, math, scope),
    }),
  )
