/** The largest of all elements or of each row, of x or of its magnitudes, at the speed of memory. */
import { sizeOf } from '../../../data/shape.js'
import type { Code } from '../asm/encode.js'
import { control, f32, f32x4, i32, i32x4, v128 } from '../asm/instructions.js'
import { forLoop, type Func, type Local, type ModuleBuilder, type Units } from '../asm/module.js'
import type { Kernel, KernelSpec, Places, Stage } from '../kernel.js'
import { affine, bump, perUnit, rounded, shares, whileLoop, wordAt } from './loops.js'
import { element, firstEqual } from './selectionFilter.js'
import { isShort, largestOfShort } from './shortRows.js'
import { JOINED_NS, LARGEST_CHUNK, LARGEST_NS, ROW_CHUNKS, ROW_NS, UNITS, cutsRows } from '../machine.js'

const OFFSETS = [0, 16, 32, 48] as const
const LANES = [0, 1, 2, 3] as const

/** `(from, to) → largest` of the elements between two addresses; NaN if any is. Which zero it gives is open. */
const largestBetween = (m: ModuleBuilder, abs: boolean): Func<Units, 'f32'> =>
  m.func({
    params: ['i32', 'i32'],
    result: 'f32',
    body: (scope) => {
      const [p, to] = scope.params
      const best = OFFSETS.map(() => scope.local('v128'))
      const [nan, x, mask, r] = [scope.local('v128'), scope.local('v128'), scope.local('v128'), scope.local('f32')]
      // As integers, magnitudes compare as they do as floats, and NaN above them all.
      const [q, half] = [scope.local('i32'), scope.local('i32')]
      const block = (from: Local): Code =>
        abs
          ? OFFSETS.map((o, i) => best[i].set(i32x4.max_s(best[i].get, v128.and(v128.load(from.get, o), mask.get))))
          : OFFSETS.map((o, i) => [
              x.set(v128.load(from.get, o)),
              best[i].set(f32x4.pmax(best[i].get, x.get)),
              nan.set(v128.or(nan.get, f32x4.ne(x.get, x.get))),
            ])
      const join = (v: Code<'f32'>): Code => r.set(f32.max(r.get, v))
      return [
        mask.set(i32x4.const(0x7fffffff)),
        best.map((b) => b.set(abs ? i32x4.const(0) : f32x4.const(-Infinity))),
        r.set(f32.const(abs ? 0 : -Infinity)),
        // Two halves side by side: from memory two streams come faster than one.
        half.set(i32.add(p.get, i32.and(i32.shr_u(i32.sub(to.get, p.get), i32.const(1)), i32.const(-64)))),
        q.set(half.get),
        whileLoop(i32.lt_u(p.get, half.get), [block(p), block(q), bump(p, 64), bump(q, 64)]),
        p.set(q.get),
        whileLoop(i32.le_u(i32.add(p.get, i32.const(64)), to.get), [block(p), bump(p, 64)]),
        whileLoop(i32.lt_u(p.get, to.get), [join(element(abs, p.get)), bump(p, 4)]),
        [1, 2, 3].map((i) =>
          best[0].set(abs ? i32x4.max_s(best[0].get, best[i].get) : f32x4.pmax(best[0].get, best[i].get)),
        ),
        LANES.map((i) => join(f32x4.extract(i, best[0].get))),
        abs ? [] : control.if(v128.any_true(nan.get), r.set(f32.const(NaN))),
        r.get,
      ]
    },
  })

/** The largest of the `n` elements at an address. */
const largestOfRow = (m: ModuleBuilder, n: number, abs: boolean): ((x: Code<'i32'>) => Code<'f32'>) => {
  if (isShort(n)) {
    const short = largestOfShort(m, n, abs)
    return (x) => short.call(x)
  }
  const long = largestBetween(m, abs)
  return (x) => long.call(x, i32.add(x, i32.const(4 * n)))
}

/** What is wanted of a row. */
export type ExtremeSpec = {
  readonly rows: number
  readonly n: number
  readonly abs: boolean
  /** Of two zeros: the first, as the reference's maxima have it, or always +0. */
  readonly zero: 'first' | 'positive'
}

/** `(x, row, largest)`: writes a row's result, and the index of the first element equal to it where that is wanted. */
const writeRow = (
  m: ModuleBuilder,
  { n, abs, zero }: ExtremeSpec,
  at: Places,
): Func<readonly ['i32', 'i32', 'f32']> => {
  const first = firstEqual(m, abs)
  return m.func({
    params: ['i32', 'i32', 'f32'],
    body: ({ params: [x, row, v] }) => {
      const index = first.call(x.get, i32.const(n), v.get)
      const fixed =
        zero === 'positive'
          ? v.set(f32.add(v.get, f32.const(0)))
          : control.if(f32.eq(v.get, f32.const(0)), v.set(f32.load(wordAt(x.get, index))))
      return [
        abs ? [] : fixed,
        f32.store(wordAt(i32.const(at.outs[0]), row.get), v.get),
        at.outs.length > 1 ? i32.store(wordAt(i32.const(at.outs[1]), row.get), index) : [],
      ]
    },
  })
}

const rowStage = (spec: ExtremeSpec): Stage => {
  const work = shares(spec.rows, UNITS.most)
  return {
    label: 'rows',
    units: work.count,
    cost: work.each * (ROW_NS + LARGEST_NS * spec.n),
    emit: (m, at) => {
      const { n, abs } = spec
      const largest = largestOfRow(m, n, abs)
      // A magnitude is what is stored as it is.
      const write = abs && at.outs.length === 1 ? null : writeRow(m, spec, at)
      return m.func(
        perUnit((unit, scope) => {
          const [row, x] = [scope.local('i32'), scope.local('i32')]
          return work.loop(scope, unit.get, row, [
            x.set(affine(at.args[0], row.get, 4 * n)),
            write?.call(x.get, row.get, largest(x.get)) ??
              f32.store(wordAt(i32.const(at.outs[0]), row.get), largest(x.get)),
          ])
        }),
      )
    },
  }
}

/** Rows cut into chunks whose maxima lie in scratch until the last stage. */
const chunkStages = (spec: ExtremeSpec, chunk: number, chunks: number): readonly Stage[] => {
  const { rows, n, abs } = spec
  const rowAt = (at: Places, row: Code<'i32'>): Code<'i32'> => affine(at.args[0], row, 4 * n)
  const partials = (at: Places, unit: Local): Code<'i32'> => wordAt(i32.const(at.scratch), unit.get)
  return [
    {
      label: 'chunks',
      units: rows * chunks,
      cost: chunk * LARGEST_NS,
      emit: (m, at) => {
        const largest = largestBetween(m, abs)
        return m.func(
          perUnit((unit, scope) => {
            const [x, from, to] = Array.from({ length: 3 }, () => scope.local('i32'))
            return [
              x.set(rowAt(at, i32.div_u(unit.get, i32.const(chunks)))),
              from.set(i32.mul(i32.rem_u(unit.get, i32.const(chunks)), i32.const(chunk))),
              to.set(i32.add(from.get, i32.const(chunk))),
              to.set(control.select(i32.const(n), to.get, i32.gt_u(to.get, i32.const(n)))),
              f32.store(partials(at, unit), largest.call(wordAt(x.get, from.get), wordAt(x.get, to.get))),
            ]
          }),
        )
      },
    },
    {
      label: 'join',
      units: rows,
      cost: JOINED_NS * chunks,
      emit: (m, at) => {
        const write = writeRow(m, spec, at)
        return m.func(
          perUnit((row, scope) => {
            const [p, end, r] = [scope.local('i32'), scope.local('i32'), scope.local('f32')]
            return [
              r.set(f32.const(abs ? 0 : -Infinity)),
              p.set(affine(at.scratch, row.get, 4 * chunks)),
              end.set(i32.add(p.get, i32.const(4 * chunks))),
              forLoop(p, p.get, end.get, 4, r.set(f32.max(r.get, f32.load(p.get)))),
              write.call(rowAt(at, row.get), row.get, r.get),
            ]
          }),
        )
      },
    },
  ]
}

/** The kernel that finds the largest of each of `rows` rows of `n` elements. A second output, where placed, gets its index (i32). */
export const extremeOfRows = (spec: ExtremeSpec, name: string): Kernel | null => {
  const { rows, n, abs } = spec
  if (rows === 0 || n === 0 || rows * n >= 2 ** 29) return null
  const chunk = Math.max(LARGEST_CHUNK, Math.ceil(n / ROW_CHUNKS / 16) * 16)
  const chunks = Math.ceil(n / chunk)
  const split = cutsRows(rows, n)
  return {
    name: `${name}${abs ? ' of |x|' : ''}`,
    constants: null,
    flops: 0,
    bytes: 4 * rows * n,
    scratch: split ? rounded(4 * rows * chunks) : 0,
    stages: split ? chunkStages(spec, chunk, chunks) : [rowStage(spec)],
  }
}

/** `maxAll` and `maxLast`, of x or, with `abs`, of its magnitudes; a second output, where placed, gets the index in its row. */
export const extremeKernel = (spec: KernelSpec, { abs }: { readonly abs: boolean }): Kernel | null => {
  const [shape] = spec.shapes
  const size = sizeOf(shape)
  if (spec.op === 'maxAll') return extremeOfRows({ rows: 1, n: size, abs, zero: 'first' }, 'maxAll')
  if (spec.op === 'maxLast')
    return extremeOfRows({ rows: sizeOf(spec.shape), n: shape[shape.length - 1], abs, zero: 'first' }, 'maxLast')
  return null
}
