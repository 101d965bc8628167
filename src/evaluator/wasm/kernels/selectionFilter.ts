/** The pass over a row that keeps what lies beyond the bounds, and the searches for elements equal to a value. */
import type { Code, ValueType } from '../asm/encode.js'
import { control, f32, f32x4, i16x8, i32, i32x4, i8x16, v128 } from '../asm/instructions.js'
import { type Func, type Local, type ModuleBuilder, type Scope } from '../asm/module.js'
import { bump, whileLoop, wordAt } from './loops.js'
import { STRIPS, type SelectionPlan } from './selectionPlan.js'

/** The bounds in all lanes, and the bits of a magnitude. */
type Bounds = { readonly lo: Local<'v128'>; readonly hi: Local<'v128'>; readonly magnitude: Local<'v128'> }

/** The pass over a chunk: row, first element, end of the row, bounds, counts, candidates. */
export type FilterChunk = Func<readonly ['i32', 'i32', 'i32', 'f32', 'f32', 'i32', 'i32']>
/** A search among the `n` floats at an address for a value. */
export type Search = Func<readonly ['i32', 'i32', 'f32'], 'i32'>

/** Bytes of one candidate: its value and its index in the row. */
export const CANDIDATE = 8

/** `|x|` where magnitudes are wanted. */
const vector = (abs: boolean, p: Code<'i32'>, offset: number): Code<'v128'> =>
  abs ? f32x4.abs(v128.load(p, offset)) : v128.load(p, offset)
/** The same of one element. */
export const element = (abs: boolean, p: Code<'i32'>, offset = 0): Code<'f32'> =>
  abs ? f32.abs(f32.load(p, offset)) : f32.load(p, offset)

/** Steps over `p … end-1` in blocks of `bytes`, then element by element. */
const sweep = (p: Local, end: Local, bytes: number, block: Code, single: Code): Code => [
  whileLoop(i32.le_u(i32.add(p.get, i32.const(bytes)), end.get), [block, bump(p, bytes)]),
  whileLoop(i32.lt_u(p.get, end.get), [single, bump(p, 4)]),
]

const joined = <T extends ValueType>(parts: readonly Code<T>[], join: (a: Code<T>, b: Code<T>) => Code<T>): Code<T> =>
  parts.slice(1).reduce((a, b) => join(a, b), parts[0])

/** Bytes of a strip that are looked at together. */
const BLOCK = 64
const OFFSETS = [0, 16, 32, 48] as const

/** Does any of the strips' blocks hold a candidate? May say yes where none does. */
const anyInBlocks = (
  { side, abs }: SelectionPlan,
  pointers: readonly Local[],
  { lo, hi, magnitude }: Bounds,
): Code<'i32'> => {
  const places = pointers.flatMap((p) => OFFSETS.map((o) => ({ p: p.get, o })))
  const xs = places.map(({ p, o }) => vector(abs, p, o))
  const bits = places.map(({ p, o }) => v128.and(v128.load(p, o), magnitude.get))
  // As integers, magnitudes compare as they do as floats, and NaN above them all.
  if (side === 'above' && abs) return v128.any_true(i32x4.gt_s(joined(bits, i32x4.max_s), lo.get))
  if (side === 'above')
    return i32.ne(
      i32x4.bitmask(
        joined(
          xs.map((x) => f32x4.le(x, lo.get)),
          v128.and,
        ),
      ),
      i32.const(15),
    )
  if (side === 'below')
    return v128.any_true(
      joined(
        xs.map((x) => f32x4.lt(x, hi.get)),
        v128.or,
      ),
    )
  return i32.const(1)
}

/** Which of the 16 elements from `p` on are candidates, one bit each. */
const hitsOf = ({ side, abs }: SelectionPlan, p: Local, { lo, hi }: Bounds): Code<'i32'> => {
  const xs = OFFSETS.map((o) => vector(abs, p.get, o))
  const test = (x: Code<'v128'>): Code<'v128'> => (side === 'above' ? f32x4.le(x, lo.get) : f32x4.lt(x, hi.get))
  const [a, b, c, d] = xs.map((x) => (side === 'between' ? v128.and(f32x4.gt(x, lo.get), test(x)) : test(x)))
  const bits = i8x16.bitmask(i8x16.narrow_i16x8_s(i16x8.narrow_i32x4_s(a, b), i16x8.narrow_i32x4_s(c, d)))
  return side === 'above' ? i32.xor(bits, i32.const(0xffff)) : bits
}

/** One element's turn at being a candidate. */
const hit = ({ side, abs }: SelectionPlan, p: Local, { lo, hi }: Bounds): Code<'i32'> => {
  const x = element(abs, p.get)
  const above = side === 'above' ? i32.eqz(f32.le(x, f32x4.extract(0, lo.get))) : f32.gt(x, f32x4.extract(0, lo.get))
  const below = f32.lt(x, f32x4.extract(0, hi.get))
  if (side === 'above') return above
  return side === 'below' ? below : i32.and(above, below)
}

type Counting = {
  readonly zero: Code
  readonly block: (p: Local) => Code
  readonly single: (p: Local) => Code
  readonly store: (counts: Code<'i32'>) => Code
}

/** Between two bounds: counts of what lies below the first and of what equals it. */
const counting = ({ side, abs }: SelectionPlan, scope: Scope, { lo }: Bounds): Counting => {
  if (side !== 'between') return { zero: [], block: () => [], single: () => [], store: () => [] }
  const counters = [f32x4.lt, f32x4.eq].map((test) => ({ test, lanes: scope.local('v128') }))
  const low = f32x4.extract(0, lo.get)
  const sum = (v: Local<'v128'>): Code<'i32'> =>
    joined(
      [0, 1, 2, 3].map((i) => i32x4.extract(i, v.get)),
      i32.add,
    )
  const one = (v: Local<'v128'>, c: Code<'i32'>): Code => v.set(i32x4.add(v.get, i32x4.replace(0, i32x4.const(0), c)))
  return {
    zero: counters.map(({ lanes }) => lanes.set(i32x4.const(0))),
    block: (p) =>
      OFFSETS.map((o) =>
        counters.map(({ test, lanes }) => lanes.set(i32x4.sub(lanes.get, test(vector(abs, p.get, o), lo.get)))),
      ),
    single: (p) => [
      one(counters[0].lanes, f32.lt(element(abs, p.get), low)),
      one(counters[1].lanes, f32.eq(element(abs, p.get), low)),
    ],
    store: (counts) => counters.map(({ lanes }, i) => i32.store(counts, sum(lanes), 4 + 4 * i)),
  }
}

/** Where one strip is read and where its candidates go. */
type Strip = { readonly p: Local; readonly end: Local; readonly out: Local; readonly limit: Local }

const stripsOf = (scope: Scope): readonly Strip[] =>
  Array.from({ length: STRIPS }, () => ({
    p: scope.local('i32'),
    end: scope.local('i32'),
    out: scope.local('i32'),
    limit: scope.local('i32'),
  }))

/** A chunk: its first element, the row's end, and where its counts and candidates go. */
type Chunk = { readonly from: Local; readonly rowEnd: Local; readonly counts: Local; readonly start: Local }

/** Sets up the strips of a chunk. */
const placeStrips = (plan: SelectionPlan, strips: readonly Strip[], { from, rowEnd, counts, start }: Chunk): Code =>
  strips.map(({ p, end, out, limit }, s) => {
    const at = (strip: number): Code<'i32'> => i32.add(from.get, i32.const(4 * plan.strip * strip))
    const clipped = (local: Local): Code =>
      local.set(control.select(rowEnd.get, local.get, i32.gt_u(local.get, rowEnd.get)))
    return [
      p.set(at(s)),
      clipped(p),
      end.set(at(s + 1)),
      clipped(end),
      out.set(i32.add(start.get, i32.const(plan.room * CANDIDATE * s))),
      limit.set(i32.add(out.get, i32.const(plan.room * CANDIDATE))),
      [4, 8, 12].map((o) => i32.store(counts.get, i32.const(0), 16 * s + o)),
    ]
  })

/** Writes what is found: the element at `address` becomes the strip's next candidate; where there is no room, leaves the function. */
const keeping = (
  plan: SelectionPlan,
  scope: Scope,
  row: Local,
  counts: Local,
): ((strip: Strip, address: Code<'i32'>) => Code) => {
  const at = scope.local('i32')
  return ({ out, limit }, address) => [
    control.if(i32.ge_u(out.get, limit.get), [i32.store(counts.get, i32.const(1), 12), control.return()]),
    at.set(address),
    f32.store(out.get, element(plan.abs, at.get)),
    i32.store(out.get, i32.shr_u(i32.sub(at.get, row.get), i32.const(2)), 4),
    bump(out, CANDIDATE),
  ]
}

/**
 * `(row, from, rowEnd, lo, hi, counts, candidates)`: writes the candidates among the elements of the chunk at `from`, strip
 * by strip, in order, and at `counts` for each strip how many there are, how many lie below lo, how many equal it
 * (these two of all strips at the first), and 1 where there were too many.
 */
export const filterChunk = (m: ModuleBuilder, plan: SelectionPlan): FilterChunk =>
  m.func({
    params: ['i32', 'i32', 'i32', 'f32', 'f32', 'i32', 'i32'],
    body: (scope) => {
      const [row, from, rowEnd, low, high, counts, start] = scope.params
      const bounds: Bounds = { lo: scope.local('v128'), hi: scope.local('v128'), magnitude: scope.local('v128') }
      const bits = scope.local('i32')
      const strips = stripsOf(scope)
      const pointers = strips.map(({ p }) => p)
      const tally = counting(plan, scope, bounds)
      const keep = keeping(plan, scope, row, counts)
      const keepHits = (strip: Strip): Code => [
        bits.set(hitsOf(plan, strip.p, bounds)),
        whileLoop(bits.get, [
          keep(strip, wordAt(strip.p.get, i32.ctz(bits.get))),
          bits.set(i32.and(bits.get, i32.sub(bits.get, i32.const(1)))),
        ]),
      ]
      const last = strips[STRIPS - 1]
      return [
        // Above NaN there is nothing, but of NaN there may be plenty: all of it is taken.
        plan.side === 'above' ? control.if(f32.ne(low.get, low.get), low.set(f32.const(Infinity))) : [],
        bounds.magnitude.set(i32x4.const(0x7fffffff)),
        bounds.lo.set(f32x4.splat(low.get)),
        bounds.hi.set(f32x4.splat(high.get)),
        tally.zero,
        placeStrips(plan, strips, { from: from, rowEnd: rowEnd, counts: counts, start: start }),
        // The last strip is the shortest; what the others have more is done one by one.
        whileLoop(i32.le_u(i32.add(last.p.get, i32.const(BLOCK)), last.end.get), [
          pointers.map(tally.block),
          control.if(anyInBlocks(plan, pointers, bounds), strips.map(keepHits)),
          pointers.map((p) => bump(p, BLOCK)),
        ]),
        strips.map((strip) =>
          sweep(
            strip.p,
            strip.end,
            BLOCK,
            [tally.block(strip.p), keepHits(strip)],
            [tally.single(strip.p), control.if(hit(plan, strip.p, bounds), keep(strip, strip.p.get))],
          ),
        ),
        strips.map(({ out }, s) =>
          i32.store(
            counts.get,
            i32.div_u(i32.sub(out.get, i32.add(start.get, i32.const(plan.room * CANDIDATE * s))), i32.const(CANDIDATE)),
            16 * s,
          ),
        ),
        tally.store(counts.get),
      ]
    },
  })

/** `(x, n, v) → count`: how many elements equal v. */
export const countEqual = (m: ModuleBuilder, abs: boolean): Search =>
  m.func({
    params: ['i32', 'i32', 'f32'],
    result: 'i32',
    body: (scope) => {
      const [p, n, v] = scope.params
      const [end, total] = [scope.local('i32'), scope.local('i32')]
      const [lanes, value] = [scope.local('v128'), scope.local('v128')]
      return [
        end.set(wordAt(p.get, n.get)),
        value.set(f32x4.splat(v.get)),
        sweep(
          p,
          end,
          64,
          [0, 16, 32, 48].map((o) => lanes.set(i32x4.sub(lanes.get, f32x4.eq(vector(abs, p.get, o), value.get)))),
          bump(total, f32.eq(element(abs, p.get), v.get)),
        ),
        joined([total.get, ...[0, 1, 2, 3].map((i) => i32x4.extract(i, lanes.get))], i32.add),
      ]
    },
  })

/** Is this element v, or both NaN? */
export const isSame = (x: Local<'f32'>, v: Local<'f32'>): Code<'i32'> =>
  i32.or(f32.eq(x.get, v.get), i32.and(f32.ne(x.get, x.get), f32.ne(v.get, v.get)))

/** `(x, n, v) → index` of the first element that equals v, or is NaN as v is; n where there is none. */
export const firstEqual = (m: ModuleBuilder, abs: boolean): Search =>
  m.func({
    params: ['i32', 'i32', 'f32'],
    result: 'i32',
    body: (scope) => {
      const [start, n, v] = scope.params
      const [p, end] = [scope.local('i32'), scope.local('i32')]
      const [value, isNaN, x] = [scope.local('v128'), scope.local('v128'), scope.local('f32')]
      const found = (o: number): Code<'v128'> =>
        v128.or(
          f32x4.eq(vector(abs, p.get, o), value.get),
          v128.andnot(isNaN.get, f32x4.eq(v128.load(p.get, o), v128.load(p.get, o))),
        )
      return [
        p.set(start.get),
        end.set(wordAt(start.get, n.get)),
        value.set(f32x4.splat(v.get)),
        isNaN.set(f32x4.ne(value.get, value.get)),
        whileLoop(i32.le_u(i32.add(p.get, i32.const(64)), end.get), [
          control.br_if(1, v128.any_true(joined([0, 16, 32, 48].map(found), v128.or))),
          bump(p, 64),
        ]),
        whileLoop(i32.lt_u(p.get, end.get), [x.set(element(abs, p.get)), control.br_if(1, isSame(x, v)), bump(p, 4)]),
        i32.shr_u(i32.sub(p.get, start.get), i32.const(2)),
      ]
    },
  })
