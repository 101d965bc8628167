/** Functions of one lane: float32 in, computed in double, float32 out; with the bits of JavaScript. */
import { isMaskOp, type LaneExpr, type LaneFunction, type LaneOp } from '../../../graph/lanes.js'
import type { Code } from '../asm/encode.js'
import { control, f32, f64, i32 } from '../asm/instructions.js'
import type { Func, Local, ModuleBuilder, Scope } from '../asm/module.js'
import type { MathFunctions } from '../kernels/math.js'
import type { Scalar } from './exprs.js'

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
  not: i32.eqz,
} as const
const paired = {
  add: f64.add,
  sub: f64.sub,
  mul: f64.mul,
  div: f64.div,
  min: f64.min,
  max: f64.max,
  lt: f64.lt,
  le: f64.le,
  gt: f64.gt,
  ge: f64.ge,
  eq: f64.eq,
  ne: f64.ne,
  and: i32.and,
  or: i32.or,
} as const
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

const bodyOf = (list: readonly LaneExpr[], math: MathFunctions, scope: Scope): Code => {
  const [uses, calls] = [usesOf(list), callersOf(list)]
  const kept = new Map<number, Local>()
  const of = (i: number): Code => kept.get(i)?.get ?? compute(list[i])
  const chosen = (condition: Code, a: number, b: number): Code =>
    // A function is called only where its result is wanted.
    calls[a] || calls[b] ? control.either('f64', condition, of(a), of(b)) : control.select(of(a), of(b), condition)
  const compute = ({ op, args: [a, b, d], value }: LaneExpr): Code => {
    if (op === 'const') return f64.const(value ?? 0)
    if (op === 'load') return f64.promote_f32(scope.params[value ?? 0].get)
    if (op === 'select') return chosen(of(a), b, d)
    if (op === 'pmin') return chosen(f64.lt(of(b), of(a)), b, a)
    if (op === 'pmax') return chosen(f64.lt(of(a), of(b)), b, a)
    if (isFunction(op)) return math.double(op).call(of(a))
    if (isIn(simple, op)) return simple[op](of(a))
    if (isIn(paired, op)) return paired[op](of(a), of(b))
    return control.unreachable()
  }
  // What is wanted more than once is computed once, in front; both sides of pmin and pmax are wanted twice.
  const twice = new Set(list.flatMap((e) => (e.op === 'pmin' || e.op === 'pmax' ? e.args : [])))
  const first = list.flatMap((e, i): Code[] => {
    if (e.op === 'const' || i === list.length - 1 || (uses[i] < 2 && !twice.has(i))) return []
    const code = compute(e)
    const local = scope.local(isMaskOp(e.op) ? 'i32' : 'f64')
    kept.set(i, local)
    return [local.set(code)]
  })
  return [first, f32.demote_f64(of(list.length - 1))]
}

/** The function of a scalar, emitted once per module. */
export const scalarFunction = (m: ModuleBuilder, math: MathFunctions, { key, args, list }: Scalar): Func =>
  math.shared(`lane ${key}`, () =>
    m.func({
      params: Array.from({ length: args }, () => 'f32' as const),
      results: ['f32'],
      body: (scope) => bodyOf(list, math, scope),
    }),
  )
