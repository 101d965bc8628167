/** Element-wise functions that need more than arithmetic, one element at a time: exponentials, logarithms, activations. */
import { sizeOf } from '../../../data/shape.js'
import type { Attrs } from '../../../graph/op.js'
import type { Code } from '../asm/encode.js'
import { control, f32, f64, i32 } from '../asm/instructions.js'
import { forLoop, type Func, type Local, type ModuleBuilder } from '../asm/module.js'
import type { Kernel, KernelSpec } from '../kernel.js'
import { perUnit, shares, wordAt } from './loops.js'
import type { MathFunctions, MathName, MathOf } from './math.js'

const c = f64.const
const { add, mul, div } = f64

const rounded = (value: number | boolean | string | null | undefined | readonly unknown[]): Code =>
  c(Math.fround(Number(value)))

/** What is left of an element in double: `y` of `x`, rounded afterwards. Source: src/ops/activations.ts. */
type Formula = (x: Local, math: MathFunctions, attrs: Attrs) => Code

const INV_SQRT_2PI = 0.3989422804014327

const normal = (x: Local, math: MathFunctions): Code => add(c(1), math.double('erf').call(mul(x.get, c(Math.SQRT1_2))))
/** `condition ? above : below`, each evaluated only where it is wanted; the first leaves the function. */
const either = (condition: Code, above: Code, below: Code): Code => [
  control.if(condition, control.return(f32.demote_f64(above))),
  below,
]

const direct =
  (name: MathName): Formula =>
  (x, math) =>
    math.double(name).call(x.get)

const FORMULAS: { readonly [op: string]: Formula } = {
  erf: direct('erf'),
  exp: direct('exp'),
  exp2: direct('exp2'),
  log: direct('log'),
  log2: direct('log2'),
  tanh: direct('tanh'),
  sigmoid: direct('sigmoid'),
  sqrt: (x) => f64.sqrt(x.get),
  softsign: (x) => div(x.get, add(c(1), f64.abs(x.get))),
  leakyRelu: (x, _math, { negativeSlope }) => either(f64.gt(x.get, c(0)), x.get, mul(rounded(negativeSlope), x.get)),
  elu: (x, math, { alpha }) =>
    either(f64.gt(x.get, c(0)), x.get, mul(rounded(alpha), math.double('expm1').call(x.get))),
  gelu: (x, math) => mul(mul(c(0.5), x.get), normal(x, math)),
  geluSlope: (x, math) =>
    add(
      mul(c(0.5), normal(x, math)),
      mul(mul(x.get, c(INV_SQRT_2PI)), math.double('exp').call(mul(mul(c(-0.5), x.get), x.get))),
    ),
  hardswish: (x) =>
    either(
      f64.ge(x.get, c(3)),
      x.get,
      either(f64.le(x.get, c(-3)), f64.sub(x.get, x.get), div(mul(x.get, add(x.get, c(3))), c(6))),
    ),
}

/** The function f32 → f32 of a unary op, with the bits of its reference; null where it isn't one of these. Emitted once per module. */
export const unaryFunction = (m: ModuleBuilder, math: MathFunctions, op: string, attrs: Attrs): Func | null => {
  if (!Object.hasOwn(FORMULAS, op)) return null
  return math.shared(`unary ${op} ${JSON.stringify(attrs)}`, () => {
    const formula = FORMULAS[op]
    return m.func({
      params: ['f32'],
      results: ['f32'],
      body: ({ params: [x], local }) => {
        const wide = local('f64')
        return [wide.set(f64.promote_f32(x.get)), f32.demote_f64(formula(wide, math, attrs))]
      },
    })
  })
}

const CHUNK = 2048

/** Any of these ops over a whole tensor. */
export const unaryKernel = ({ op, attrs, shape }: KernelSpec, mathOf: MathOf): Kernel | null => {
  const n = sizeOf(shape)
  if (!Object.hasOwn(FORMULAS, op) || n === 0) return null
  const units = Math.ceil(n / CHUNK)
  return {
    name: `${op} in double`,
    scratch: 0,
    constants: null,
    flops: 20 * n,
    bytes: 8 * n,
    stages: [
      {
        label: op,
        units,
        cost: CHUNK * 10,
        emit: (m, at) => {
          const f = unaryFunction(m, mathOf(m), op, attrs)
          const chunks = shares(n, units)
          return m.func(
            perUnit((unit, scope) => {
              const i = scope.local('i32')
              return chunks.loop(
                scope,
                unit.get,
                i,
                f === null
                  ? []
                  : f32.store(
                      wordAt(i32.const(at.outs[0]), i.get),
                      f.call(f32.load(wordAt(i32.const(at.args[0]), i.get))),
                    ),
              )
            }),
          )
        },
      },
    ],
  }
}

/** Softmax or its logarithm along one axis, by lines. */
export const softmaxKernel = ({ op, attrs, shapes: [shape] }: KernelSpec, mathOf: MathOf): Kernel | null => {
  const { dim } = attrs
  const size = sizeOf(shape)
  if ((op !== 'softmax' && op !== 'logSoftmax') || typeof dim !== 'number' || size === 0) return null
  const [n, step] = [shape[dim], sizeOf(shape.slice(dim + 1))]
  const lines = shares(size / n, 256)
  return {
    name: `${op} in double`,
    scratch: 0,
    constants: null,
    flops: 40 * size,
    bytes: 8 * size,
    stages: [
      {
        label: op,
        units: lines.count,
        cost: lines.each * n * (op === 'softmax' ? 25 : 15),
        emit: (m, at) => {
          const math = mathOf(m)
          const [exp, log] = [math.double('exp'), math.double('log')]
          return m.func(
            perUnit((unit, scope) => {
              const [line, start, p, end] = Array.from({ length: 4 }, () => scope.local('i32'))
              const [most, total] = [scope.local('f64'), scope.local('f64')]
              const x = f64.promote_f32(f32.load(p.get, at.args[0]))
              const along = (body: Code): Code => forLoop(p, start.get, end.get, 4 * step, body)
              const result = op === 'softmax' ? div(exp.call(f64.sub(x, most.get)), total.get) : f64.sub(x, most.get)
              return lines.loop(scope, unit.get, line, [
                // Offset in bytes of the line's first element, and of the element after its last.
                start.set(
                  i32.shl(
                    i32.add(
                      i32.mul(i32.div_u(line.get, i32.const(step)), i32.const(n * step)),
                      i32.rem_u(line.get, i32.const(step)),
                    ),
                    i32.const(2),
                  ),
                ),
                end.set(i32.add(start.get, i32.const(4 * n * step))),
                most.set(c(-Infinity)),
                along(most.set(f64.max(most.get, x))),
                total.set(c(0)),
                along(total.set(add(total.get, exp.call(f64.sub(x, most.get))))),
                op === 'softmax' ? [] : most.set(add(most.get, log.call(total.get))),
                along(f32.store(p.get, f32.demote_f64(result), at.outs[0])),
              ])
            }),
          )
        },
      },
    ],
  }
}
