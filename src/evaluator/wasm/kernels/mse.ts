/**
 * The search for the threshold with the least squared error, to the bit of its reference (src/ops/mseThreshold.ts): the 20
 * candidates of a row in the lanes of five vectors, each lane adding its squares in the reference's own order, by halves.
 */
import { sizeOf } from '../../../data/shape.js'
import type { Attrs } from '../../../graph/op.js'
import type { Code } from '../asm/encode.js'
import { control, f32, f32x4, i32, v128 } from '../asm/instructions.js'
import { forLoop, type Func, type ModuleBuilder, type Scope } from '../asm/module.js'
import type { Kernel, KernelSpec, Places, Stage } from '../kernel.js'
import { affine, perUnit, wordAt } from './loops.js'
import type { MathOf } from './math.js'
import { MSE_NS, SEEN_PER_NS } from '../machine.js'

const CANDIDATES = 20
const VECTORS = CANDIDATES / 4
/** A row's scratch in bytes: candidates, scales, errors. */
const ROW = 256
const [SCALES, ERRORS] = [4 * CANDIDATES, 8 * CANDIDATES]
/** Most numbers that are added one after the other. */
const LEAF = 8

/** Where between a twentieth of the maximum (the first candidate itself) and the maximum the candidates lie: torch's linspace. */
const places = (): Float32Array => {
  const steps = CANDIDATES - 1
  const step = Math.fround((1 - 1 / steps) / (steps - 1))
  const at = (i: number): number =>
    i < steps / 2
      ? Math.fround(Math.fround(1 / steps) + Math.fround(step * i))
      : Math.fround(1 - Math.fround(step * (steps - 1 - i)))
  return Float32Array.from({ length: CANDIDATES }, (_, i) => (i === 0 ? 0 : at(i - 1)))
}

const isSingle = (x: unknown): x is number => typeof x === 'number' && Math.fround(x) === x

type Rounding = (x: Code<'v128'>) => Code<'v128'>
type Errors = Func<readonly ['i32', 'i32', 'v128'], 'v128'>

/** To even, but ties of negative numbers go up. */
const dpu = (x: Code<'v128'>): Code<'v128'> => {
  const tie = f32x4.eq(f32x4.sub(x, f32x4.floor(x)), f32x4.const(0.5))
  return v128.bitselect(f32x4.ceil(x), f32x4.nearest(x), v128.and(tie, f32x4.lt(x, f32x4.const(0))))
}

/** The rounding of a vector, or null for one that is not known here. */
const roundingOf = (name: unknown): Rounding | null => {
  switch (name) {
    case 'ROUND':
      return f32x4.nearest
    case 'FLOOR':
      return f32x4.floor
    case 'CEIL':
      return f32x4.ceil
    case 'ROUND_TO_ZERO':
      return f32x4.trunc
    case 'DPU':
      return dpu
    default:
      return null
  }
}

/** `(p, n, scales) → sums of squared errors` of n numbers at p, a lane for each scale. */
const errorFunction = (m: ModuleBuilder, n: number, a: Attrs, round: Rounding): Errors => {
  const shape = { params: ['i32', 'i32', 'v128'], result: 'v128' } as const
  const [lo, hi] = [f32x4.const(Number(a.lo)), f32x4.const(Number(a.hi))]
  const leaf = m.func({
    ...shape,
    body: ({ params: [p, count, scales], local }) => {
      const [end, x, d, sum] = [local('i32'), local('v128'), local('v128'), local('v128')]
      const steps = f32x4.pmax(f32x4.pmin(round(f32x4.div(x.get, scales.get)), hi), lo)
      return [
        end.set(wordAt(p.get, count.get)),
        forLoop(p, p.get, end.get, 4, [
          x.set(v128.load32_splat(p.get)),
          d.set(f32x4.sub(f32x4.mul(steps, scales.get), x.get)),
          sum.set(f32x4.add(sum.get, f32x4.mul(d.get, d.get))),
        ]),
        sum.get,
      ]
    },
  })
  const halves = (inner: Errors): Errors =>
    m.func({
      ...shape,
      body: ({ params: [p, count, scales], local }) => {
        const half = local('i32')
        return [
          control.if(i32.le_u(count.get, i32.const(LEAF)), control.return(leaf.call(p.get, count.get, scales.get))),
          half.set(i32.shr_u(count.get, i32.const(1))),
          f32x4.add(
            inner.call(p.get, half.get, scales.get),
            inner.call(wordAt(p.get, half.get), i32.sub(count.get, half.get), scales.get),
          ),
        ]
      },
    })
  let whole = leaf
  for (let size = n; size > LEAF; size = Math.ceil(size / 2)) whole = halves(whole)
  return whole
}

/** `candidate → scale`, as the reference has it. */
const scaleFunction = (m: ModuleBuilder, mathOf: MathOf, a: Attrs): Func<readonly ['f32'], 'f32'> =>
  m.func({
    params: ['f32'],
    result: 'f32',
    body: ({ params: [t] }) => {
      const least = Math.fround(Number(a.minVal))
      const bound: Code =
        least === 0
          ? []
          : control.if(
              f32.eq(t.get, t.get),
              t.set(f32.copysign(f32.max(f32.abs(t.get), f32.const(least)), f32.add(t.get, f32.const(0)))),
            )
      const call = (name: 'log2' | 'exp2', x: Code<'f32'>): Code<'f32'> => mathOf(m).single(name).call(x)
      const log = (round: (x: Code<'f32'>) => Code<'f32'>): Code<'f32'> => call('exp2', round(call('log2', t.get)))
      const restrictions: { readonly [name: string]: () => Code<'f32'> } = {
        FP: () => f32.abs(t.get),
        LOG_FP: () => log((l) => l),
        CEIL: () => log(f32.ceil),
        FLOOR: () => log(f32.floor),
        ROUND: () => log(f32.nearest),
      }
      const restrict = restrictions[String(a.restriction)]
      return [
        restrict === undefined ? [] : [bound, t.set(restrict()), bound],
        f32.div(t.get, f32.const(Number(a.threshold))),
      ]
    },
  })

/** The largest magnitude of `n` numbers at `from`; NaN if one is. */
const largest = (scope: Scope, from: Code<'i32'>, n: number): Code<'f32'> => {
  const [p, end, most] = [scope.local('i32'), scope.local('i32'), scope.local('v128')]
  const whole = 4 * Math.floor(n / 4)
  const lanes = [0, 1, 2, 3].map((l) => f32x4.extract(l, most.get))
  return [
    p.set(from),
    end.set(i32.add(p.get, i32.const(4 * whole))),
    most.set(f32x4.const(0)),
    forLoop(p, p.get, end.get, 16, most.set(f32x4.max(most.get, f32x4.abs(v128.load(p.get))))),
    Array.from({ length: n - whole }, (_, i) =>
      most.set(f32x4.max(most.get, f32x4.abs(v128.load32_splat(p.get, 4 * i)))),
    ),
    lanes.reduce((a, b) => f32.max(a, b)),
  ]
}

const candidateStage = (rows: number, n: number, a: Attrs, mathOf: MathOf): Stage => ({
  label: 'candidates',
  units: rows,
  cost: n / SEEN_PER_NS + CANDIDATES * MSE_NS.candidate,
  emit: (m, at) => {
    const scale = scaleFunction(m, mathOf, a)
    return m.func(
      perUnit((row, scope) => {
        const [base, i] = [scope.local('i32'), scope.local('i32')]
        const [low, span, t] = [scope.local('f32'), scope.local('f32'), scope.local('f32')]
        const put: Code = [
          f32.store(i32.add(base.get, i.get), t.get),
          f32.store(i32.add(base.get, i.get), scale.call(t.get), SCALES),
        ]
        return [
          base.set(affine(at.scratch, row.get, ROW)),
          span.set(largest(scope, affine(at.args[0], row.get, 4 * n), n)),
          low.set(f32.div(span.get, f32.const(20))),
          span.set(f32.sub(span.get, low.get)),
          i.set(i32.const(0)),
          t.set(low.get),
          put,
          forLoop(i, i32.const(4), i32.const(4 * CANDIDATES), 4, [
            t.set(f32.add(low.get, f32.mul(span.get, f32.load(i32.add(i32.const(at.constants), i.get))))),
            put,
          ]),
        ]
      }),
    )
  },
})

const errorStage = (rows: number, n: number, a: Attrs, round: Rounding): Stage => ({
  label: 'errors',
  units: rows * VECTORS,
  cost: MSE_NS.error * n,
  emit: (m, at) => {
    const errors = errorFunction(m, n, a, round)
    return m.func(
      perUnit((unit, scope) => {
        const [row, place] = [scope.local('i32'), scope.local('i32')]
        return [
          row.set(i32.div_u(unit.get, i32.const(VECTORS))),
          place.set(
            i32.add(affine(at.scratch, row.get, ROW), i32.mul(i32.rem_u(unit.get, i32.const(VECTORS)), i32.const(16))),
          ),
          v128.store(
            place.get,
            errors.call(affine(at.args[0], row.get, 4 * n), i32.const(n), v128.load(place.get, SCALES)),
            ERRORS,
          ),
        ]
      }),
    )
  },
})

/** The first candidate with the least error; an error that is NaN is less than none. */
const choice = (at: Places, scope: Scope, row: Code<'i32'>): Code => {
  const [base, p] = [scope.local('i32'), scope.local('i32')]
  const [best, least, error] = [scope.local('f32'), scope.local('f32'), scope.local('f32')]
  return [
    base.set(affine(at.scratch, row, ROW)),
    best.set(f32.load(base.get)),
    least.set(f32.load(base.get, ERRORS)),
    forLoop(p, i32.add(base.get, i32.const(4)), i32.add(base.get, i32.const(4 * CANDIDATES)), 4, [
      error.set(f32.load(p.get, ERRORS)),
      control.if(f32.lt(error.get, least.get), [best.set(f32.load(p.get)), least.set(error.get)]),
    ]),
    f32.store(wordAt(i32.const(at.outs[0]), row), best.get),
  ]
}

/** The search over rows of a tensor; null where float32 does not hold the bounds of the integers. */
export const mseKernel = ({ op, attrs, shapes: [x], shape }: KernelSpec, mathOf: MathOf): Kernel | null => {
  const round = roundingOf(attrs.rounding)
  if (op !== 'mseThreshold' || round === null || ![attrs.lo, attrs.hi, attrs.threshold].every(isSingle)) return null
  const rows = sizeOf(shape)
  const n = sizeOf(x) / rows
  return {
    name: `mseThreshold of ${n}`,
    scratch: rows * ROW,
    constants: new Uint8Array(places().buffer),
    flops: 8 * CANDIDATES * sizeOf(x),
    bytes: 4 * sizeOf(x),
    stages: [
      candidateStage(rows, n, attrs, mathOf),
      errorStage(rows, n, attrs, round),
      {
        label: 'choice',
        units: rows,
        cost: MSE_NS.choice * CANDIDATES,
        emit: (m, at) => m.func(perUnit((row, scope) => choice(at, scope, row.get))),
      },
    ],
  }
}
