/** Softmax and its logarithm, in double, four numbers at a time: of one line, or of lines side by side. */
import { sizeOf } from '../../../data/shape.js'
import type { Code } from '../asm/encode.js'
import { control, f32, f32x4, f64, f64x2, i32, v128 } from '../asm/instructions.js'
import { forLoop, type Local, type Scope } from '../asm/module.js'
import type { Kernel, KernelSpec, Places } from '../kernel.js'
import { SHARE_NS } from '../machine.js'
import { doubles, fromSingles, newWriter, toSingles, type Doubles } from './doubles.js'
import { bump, perUnit, shares } from './loops.js'
import { formulas } from './formulas.js'

const { add, div, sub } = doubles

/** Lines of `n` elements, `step` apart: the elements of that many lines stand side by side. */
type Lines = { readonly isSoftmax: boolean; readonly n: number; readonly step: number; readonly at: Places }

/** Four doubles in memory. */
const QUAD = 32

const loadPowers = (q: Local): Doubles => [v128.load(q.get), v128.load(q.get, 16)]
const storePowers = (q: Local, [low, high]: Doubles): Code => [v128.store(q.get, low), v128.store(q.get, high, 16)]

/** Code for lines of one function; `offset`: of their first element in its buffer, in bytes. `powers`: where theirs may be kept. */
type LineCode = (offset: Code<'i32'>, powers: Code<'i32'>) => Code

const lineParts = (scope: Scope) => {
  const writer = newWriter(scope)
  const [p, q, end, start] = Array.from({ length: 4 }, () => scope.local('i32'))
  const [x, most] = [scope.local('v128'), scope.local('v128')]
  /** `e^(x - m)`. What is below 2^-1000 may be 0: sums of powers are 1 or more, and quotients become float32 numbers. */
  const power = (m: Doubles): Doubles => {
    const shifted = writer.keep(sub(fromSingles(x.get), m))
    return writer.keep(formulas.exp(writer, shifted, 'single'))
  }
  return { writer, p, q, end, start, x, most, power }
}

/** `width` lines side by side (four, or one), element by element. */
const sideBySide = (scope: Scope, { isSoftmax, n, step, at }: Lines, width: 1 | 4) => {
  const { writer, p, q, end, start, x, most, power } = lineParts(scope)
  const total = [scope.local('v128'), scope.local('v128')]
  const load = (width === 4 ? v128.load : v128.load32_splat)(p.get, at.args[0])
  const store = (value: Code<'v128'>): Code =>
    width === 4 ? v128.store(p.get, value, at.outs[0]) : v128.store32_lane(0, p.get, value, at.outs[0])
  const along = (body: Code): Code => forLoop(p, start.get, end.get, 4 * step, body)
  const largest = writer.keep(fromSingles(most.get))
  const prepared = writer.statements()
  const powers = power(largest)
  const summed = [
    writer.statements(),
    total.map((t, i) => t.set(f64x2.add(t.get, powers[i]))),
    isSoftmax ? [storePowers(q, powers), bump(q, QUAD)] : [],
  ]
  const totals: Doubles = total.map((t) => t.get)
  const shift = isSoftmax ? totals : writer.keep(add(largest, formulas.log(writer, totals, 'double')))
  const shifted = writer.statements()
  const result = isSoftmax ? div(loadPowers(q), shift) : sub(fromSingles(x.get), shift)
  const code: LineCode = (offset, kept) => [
    start.set(offset),
    end.set(i32.add(start.get, i32.const(4 * n * step))),
    most.set(f32x4.const(-Infinity)),
    along(most.set(f32x4.max(most.get, load))),
    prepared,
    total.map((t) => t.set(f64x2.const(0))),
    q.set(kept),
    along([x.set(load), summed]),
    shifted,
    q.set(kept),
    along([isSoftmax ? [] : x.set(load), store(toSingles(result)), isSoftmax ? bump(q, QUAD) : []]),
  ]
  return { code, fill: writer.fill }
}

/** One line whose elements follow each other. */
const oneLine = (scope: Scope, { isSoftmax, n, at }: Lines) => {
  const { writer, p, q, end, start, x, most, power } = lineParts(scope)
  const total = scope.local('f64')
  const whole = n - (n % 4)
  const load = v128.load(p.get, at.args[0])
  /** All fours, then what is left, which is fewer. */
  const along = (body: (count: number) => Code): Code => [
    end.set(i32.add(start.get, i32.const(4 * whole))),
    forLoop(p, start.get, end.get, 16, body(4)),
    whole < n ? body(n - whole) : [],
  ]
  const lanes = (v: Local<'v128'>, count: number): readonly Code<'f32'>[] =>
    Array.from({ length: count }, (_, i) => f32x4.extract(i, v.get))
  const largest = (count: number): Code => {
    if (count === 4) return most.set(f32x4.max(most.get, load))
    const each = Array.from({ length: count }, (_, i) => v128.load32_splat(p.get, at.args[0] + 4 * i))
    return each.map((one) => most.set(f32x4.max(most.get, one)))
  }
  const m = writer.keep([f64x2.splat(f64.promote_f32(lanes(most, 4).reduce((a, b) => f32.max(a, b))))])
  const prepared = writer.statements()
  const summed = (count: number): Code => {
    const powers = power(m)
    const four = powers.flatMap((v) => [f64x2.extract(0, v), f64x2.extract(1, v)])
    return [
      x.set(load),
      writer.statements(),
      four.slice(0, count).map((v) => total.set(f64.add(total.get, v))),
      isSoftmax ? [storePowers(q, powers), bump(q, QUAD)] : [],
    ]
  }
  const totals: Doubles = [f64x2.splat(total.get)]
  const shift = writer.keep(isSoftmax ? totals : add(m, formulas.log(writer, writer.keep(totals), 'double')))
  const shifted = writer.statements()
  const finished = (count: number): Code => {
    const value = toSingles(isSoftmax ? div(loadPowers(q), shift) : sub(fromSingles(x.get), shift))
    return [
      isSoftmax ? [] : x.set(load),
      count === 4
        ? v128.store(p.get, value, at.outs[0])
        : [
            x.set(value),
            Array.from({ length: count }, (_, i) => v128.store32_lane(i, p.get, x.get, at.outs[0] + 4 * i)),
          ],
      isSoftmax ? bump(q, QUAD) : [],
    ]
  }
  const code: LineCode = (offset, kept) => [
    start.set(offset),
    most.set(f32x4.const(-Infinity)),
    along(largest),
    prepared,
    total.set(f64.const(0)),
    q.set(kept),
    along(summed),
    shifted,
    q.set(kept),
    along(finished),
  ]
  return { code, fill: writer.fill }
}

/** Code for a piece of work: a line, or up to four side by side. */
const newPiece = (scope: Scope, lines: Lines) => {
  const { n, step } = lines
  if (step === 1) {
    const { code, fill } = oneLine(scope, lines)
    return { fill, code: (piece: Local, kept: Code<'i32'>) => code(i32.mul(piece.get, i32.const(4 * n)), kept) }
  }
  const groups = Math.ceil(step / 4)
  const rest = step % 4
  const four = sideBySide(scope, lines, 4)
  const one = sideBySide(scope, lines, 1)
  const [group, offset, last] = [scope.local('i32'), scope.local('i32'), scope.local('i32')]
  const begin = (piece: Local): Code => [
    group.set(i32.rem_u(piece.get, i32.const(groups))),
    offset.set(
      i32.add(
        i32.mul(i32.div_u(piece.get, i32.const(groups)), i32.const(4 * n * step)),
        i32.shl(group.get, i32.const(4)),
      ),
    ),
    last.set(i32.add(offset.get, i32.const(4 * rest))),
  ]
  return {
    fill: () => [step < 4 ? [] : four.fill(), rest === 0 ? [] : one.fill()],
    code: (piece: Local, kept: Code<'i32'>): Code => {
      const whole = four.code(offset.get, kept)
      const single = forLoop(offset, offset.get, last.get, 4, one.code(offset.get, kept))
      if (rest === 0) return [begin(piece), whole]
      return [begin(piece), control.if(i32.eq(group.get, i32.const(groups - 1)), single, step < 4 ? [] : whole)]
    },
  }
}

/** Softmax or its logarithm along one axis. */
export const softmaxKernel = ({ op, attrs, shapes: [shape] }: KernelSpec): Kernel | null => {
  const { dim } = attrs
  const size = sizeOf(shape)
  if ((op !== 'softmax' && op !== 'logSoftmax') || typeof dim !== 'number' || size === 0) return null
  const [n, step] = [shape[dim], sizeOf(shape.slice(dim + 1))]
  const pieces = shares(step === 1 ? size / n : (size / n / step) * Math.ceil(step / 4), 256)
  const isSoftmax = op === 'softmax'
  // The powers of a piece, in double: they are summed, and divided by their sum.
  const powers = QUAD * (step === 1 ? Math.ceil(n / 4) : n)
  return {
    name: `${op} in double`,
    scratch: isSoftmax ? pieces.count * powers : 0,
    constants: null,
    flops: 40 * size,
    bytes: 8 * size,
    stages: [
      {
        label: op,
        units: pieces.count,
        cost: (size / pieces.count) * SHARE_NS,
        emit: (m, at) =>
          m.func(
            perUnit((unit, scope) => {
              const piece = scope.local('i32')
              const { code, fill } = newPiece(scope, { isSoftmax, n, step, at })
              const kept = i32.add(i32.const(at.scratch), i32.mul(unit.get, i32.const(powers)))
              const all = pieces.loop(scope, unit.get, piece, code(piece, kept))
              return [fill(), all]
            }),
          ),
      },
    ],
  }
}
