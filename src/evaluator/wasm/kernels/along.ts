/**
 * The largest of rows that lie along an axis which is not the last, and its place in them: tensors [outer, n, inner], read from front to back.
 * Four layers of `inner` elements go by side by side; the results of a stretch of columns stay in the nearest cache.
 */
import { sizeOf } from '../../../data/shape.js'
import type { Code } from '../asm/encode.js'
import { control, f32x4, i32, i32x4, v128 } from '../asm/instructions.js'
import { forLoop, type Local, type Scope } from '../asm/module.js'
import type { Kernel, KernelSpec, Places, Stage } from '../kernel.js'
import { affine, bump, perUnit, shares, whileLoop } from './loops.js'
import { AXIS_ROW_NS, STRETCH_ELEMENTS, SUMMED_NS, UNITS } from '../machine.js'

const LAYERS = 4

type Rows = { readonly outer: number; readonly n: number; readonly inner: number }

/** Four columns, or one of them in all lanes, in some layers: as they are read, what is left of earlier layers (null: these are the first), the number of the first layer. */
type Columns = {
  readonly layers: readonly Code<'v128'>[]
  readonly before: Code<'v128'> | null
  readonly layer: Code<'i32'>
  /** The same columns of operand 1, a number for each. */
  readonly second: Code<'v128'>
}

/** What is made of columns: code in front of all, and the result of some layers. */
type Fold = { readonly prepare: Code; readonly of: (c: Columns) => Code<'v128'> }

/** Pointers of a stretch: into a layer, into the results, the end of these; and the number of the layer. `apart`: from the results to operand 1. */
type Pointers = {
  readonly p: Local
  readonly q: Local
  readonly end: Local
  readonly layer: Local
  readonly inner: number
  readonly apart: number
}

/** Goes over the columns of a stretch once, in `layers` layers; a last vector of less than four goes lane by lane. */
const pass = ({ p, q, end, layer, inner, apart }: Pointers, fold: Fold, layers: number, first: boolean): Code => {
  const made = (read: (address: Code<'i32'>, offset?: number) => Code<'v128'>): Code<'v128'> =>
    fold.of({
      layers: Array.from({ length: layers }, (_, k) => read(p.get, 4 * k * inner)),
      before: first ? null : read(q.get),
      layer: layer.get,
      second: read(i32.add(q.get, i32.const(apart))),
    })
  const move = (bytes: number): Code => [bump(p, bytes), bump(q, bytes)]
  return [
    whileLoop(i32.le_u(i32.add(q.get, i32.const(16)), end.get), [v128.store(q.get, made(v128.load)), move(16)]),
    inner % 4 === 0
      ? []
      : whileLoop(i32.lt_u(q.get, end.get), [v128.store32_lane(0, q.get, made(v128.load32_splat)), move(4)]),
  ]
}

/** A stage that folds the layers of all rows, forwards or backwards. */
const layersStage = ({ outer, n, inner }: Rows, backwards: boolean, foldIn: (scope: Scope) => Fold): Stage => {
  const stretches = Math.ceil(inner / STRETCH_ELEMENTS)
  const work = shares(outer * stretches, UNITS.most)
  // The odd layers first: what follows are whole fours.
  const odd = n % LAYERS === 0 ? LAYERS : n % LAYERS
  const emitUnit =
    (at: Places) =>
    (unit: Local, scope: Scope): Code => {
      const [index, fours, outermost, column, x, start] = Array.from({ length: 6 }, () => scope.local('i32'))
      const pointers = {
        p: scope.local('i32'),
        q: scope.local('i32'),
        end: scope.local('i32'),
        layer: scope.local('i32'),
        inner,
        apart: (at.args[1] ?? 0) - at.outs[0],
      }
      const { p, q, end, layer } = pointers
      const fold = foldIn(scope)
      const over = (from: Code<'i32'>, layers: number, first: boolean): Code => [
        layer.set(from),
        p.set(i32.add(x.get, i32.mul(layer.get, i32.const(4 * inner)))),
        q.set(start.get),
        pass(pointers, fold, layers, first),
      ]
      const next = backwards ? i32.sub(i32.const(n - odd - LAYERS), fours.get) : i32.add(i32.const(odd), fours.get)
      return [
        fold.prepare,
        work.loop(scope, unit.get, index, [
          outermost.set(i32.div_u(index.get, i32.const(stretches))),
          column.set(i32.mul(i32.rem_u(index.get, i32.const(stretches)), i32.const(4 * STRETCH_ELEMENTS))),
          x.set(i32.add(affine(at.args[0], outermost.get, 4 * n * inner), column.get)),
          end.set(affine(at.outs[0], outermost.get, 4 * inner)),
          start.set(i32.add(end.get, column.get)),
          end.set(i32.add(end.get, i32.const(4 * inner))),
          q.set(i32.add(start.get, i32.const(4 * STRETCH_ELEMENTS))),
          end.set(control.select(q.get, end.get, i32.lt_u(q.get, end.get))),
          over(i32.const(backwards ? n - odd : 0), odd, true),
          forLoop(fours, i32.const(0), i32.const(n - odd), LAYERS, over(next, LAYERS, false)),
        ]),
      ]
    }
  return {
    label: 'layers',
    units: work.count,
    cost: ((outer * n * inner) / work.count) * SUMMED_NS + AXIS_ROW_NS * work.each,
    emit: (m, at) => m.func(perUnit(emitUnit(at))),
  }
}

/** The larger of each two, lane by lane: NaN wins, and of equal numbers the first. Magnitudes compare as integers, NaN above them all. */
const largest =
  (abs: boolean) =>
  (scope: Scope): Fold => {
    const [a, b, mask] = [scope.local('v128'), scope.local('v128'), scope.local('v128')]
    const larger = (first: Code<'v128'>, second: Code<'v128'>): Code<'v128'> => [
      a.set(first),
      b.set(second),
      v128.bitselect(b.get, f32x4.pmax(a.get, b.get), f32x4.ne(b.get, b.get)),
    ]
    return {
      prepare: mask.set(i32x4.const(0x7fffffff)),
      of: ({ layers, before }) => {
        const own = abs ? layers.map((x) => v128.and(x, mask.get)) : layers
        const all = before === null ? own : [before, ...own]
        return all.slice(1).reduce((m, x) => (abs ? i32x4.max_s(m, x) : larger(m, x)), all[0])
      },
    }
  }

/** The number of the first layer whose element (or magnitude) is the chosen one, or -1; NaN is NaN. Later layers are looked at first. */
const firstEqual =
  (abs: boolean) =>
  (scope: Scope): Fold => {
    const [chosen, isNaN, x, found] = Array.from({ length: 4 }, () => scope.local('v128'))
    const same = v128.or(f32x4.eq(x.get, chosen.get), v128.and(f32x4.ne(x.get, x.get), isNaN.get))
    return {
      prepare: [],
      of: ({ layers, before, layer, second }) => [
        chosen.set(second),
        isNaN.set(f32x4.ne(chosen.get, chosen.get)),
        found.set(before ?? i32x4.const(-1)),
        layers
          .map((own, k): Code => [
            x.set(abs ? f32x4.abs(own) : own),
            found.set(v128.bitselect(i32x4.splat(i32.add(layer, i32.const(k))), found.get, same)),
          ])
          .toReversed(),
        found.get,
      ],
    }
  }

/** `maxAlong` and the `firstIndex` of rows with elements behind their axis; null for others. */
export const alongKernel = ({ op, attrs, shapes: [x], shape }: KernelSpec): Kernel | null => {
  const inner = typeof attrs.inner === 'number' ? attrs.inner : 1
  const [size, rows] = [sizeOf(x), sizeOf(shape)]
  if (op !== 'maxAlong' && (op !== 'firstIndex' || inner === 1)) return null
  if (rows === 0 || size >= 2 ** 29) return null
  const abs = attrs.abs === true
  const finds = op === 'firstIndex'
  return {
    name: `${op}${abs ? ' of |x|' : ''}, ${inner} apart`,
    scratch: 0,
    constants: null,
    stages: [layersStage({ outer: rows / inner, n: size / rows, inner }, finds, (finds ? firstEqual : largest)(abs))],
    flops: 0,
    bytes: 4 * (size + rows),
  }
}
