/** What the code of a loop works with: its locals, and where its operands and results lie. */
import type { Code } from '../asm/encode.js'
import { i32, i32x4 } from '../asm/instructions.js'
import type { Local, Scope } from '../asm/module.js'
import { newByteStore, type ByteStore } from './bytes.js'
import { invariantsOf, lanesOf, newConstants, usesOf, type LaneContext, type Scalars } from './lanes.js'
import type { Loop } from './loop.js'
import { MOST_UNROLLED } from '../machine.js'

/** The frame of a loop. Offsets, lengths and places are in bytes. */
export type Frame = {
  readonly scope: Scope
  readonly loop: Loop
  readonly placeOf: (id: number) => number
  readonly scalars: () => Scalars
  /** Has it one axis, of which a unit is a chunk? Else a unit is a row of the innermost. */
  readonly single: boolean
  /** Elements of a unit. */
  readonly inner: number
  /** The running offset, where the unit's elements end, and the unit. */
  readonly at: Local
  readonly stop: Local
  readonly u: Local
  /** By operand: what no element of a unit changes, in all lanes; and how far rows lie from the running offset. */
  readonly values: readonly (Local<'v128'> | null)[]
  readonly distances: readonly (Local | null)[]
  readonly constants: ReturnType<typeof newConstants>
  /** By store: what writes it as bytes. */
  readonly writers: readonly (ByteStore | null)[]
  readonly asBytes: boolean
  /** Vectors of a turn. */
  readonly unroll: number
  /** By sum, and by vector of a turn. */
  readonly accs: readonly (readonly Local<'v128'>[])[]
  /** Expressions that every turn computes, those first that must be read before anything is stored. */
  readonly roots: readonly number[]
  readonly readFirst: readonly number[]
  /** Users of each expression. */
  readonly uses: Int32Array
  /** Where the current row of so many elements begins, of all lengths that are asked for. */
  readonly rows: Map<number, Local>
  /** Expressions that were computed in front of the loop. */
  readonly ready: ReadonlyMap<number, Local<'v128'>>
}

const COUNT = i32x4.lanes([0, 1, 2, 3])

/** How many vectors a turn takes: four of bytes fill one. */
const unrollOf = (loop: Loop, inner: number, asBytes: boolean): number => {
  const most = asBytes && inner >= 16 ? 4 : 2
  return loop.exprs.list.length <= MOST_UNROLLED && inner >= 8 ? most : 1
}

/** The frame of a loop whose operands and results lie at `places`. */
export const newFrame = (
  scope: Scope,
  loop: Loop,
  places: ReadonlyMap<number, number>,
  scalars: () => Scalars,
): Frame => {
  const { space, chunk, operands, exprs } = loop
  const single = space.axes.length === 1
  const inner = single ? Math.min(chunk, space.size) : space.axes[0]
  const [at, stop, u] = [scope.local('i32'), scope.local('i32'), scope.local('i32')]
  const placeOf = (id: number): number => places.get(id) ?? 0
  const fixed = (k: number): boolean => operands[k].kind === 'number' || operands[k].kind === 'splat'
  const values = operands.map((_, k) => (fixed(k) ? scope.local('v128') : null))
  const distances = operands.map((o) => (o.kind === 'row' ? scope.local('i32') : null))
  const constants = newConstants(scope)
  const writers = loop.stores.map(([node]): ByteStore | null => {
    const grid = loop.bytes.get(node)
    return grid === undefined ? null : newByteStore(scope, grid, constants.get)
  })
  const asBytes = writers.some((w) => w !== null)
  const unroll = unrollOf(loop, inner, asBytes)
  const accs = loop.sums.map(() => Array.from({ length: unroll }, () => scope.local('v128')))
  // A result that takes its operand's place must not be written before every member has read it.
  const inPlace = loop.stores.some(([node]) => operands.some((o) => placeOf(o.id) === placeOf(node)))
  const readFirst = inPlace ? exprs.list.flatMap((e, i) => (e.op === 'load' ? [i] : [])) : []
  const roots = [...readFirst, ...loop.stores.map((s) => s[1]), ...loop.sums.map((s) => s.term)]
  const ready = new Map(invariantsOf(exprs.list, roots, fixed).map((e) => [e, scope.local('v128')] as const))
  const rows = new Map<number, Local>()
  return {
    scope,
    loop,
    placeOf,
    scalars,
    single,
    inner,
    at,
    stop,
    u,
    values,
    distances,
    constants,
    writers,
    asBytes,
    unroll,
    accs,
    roots,
    readFirst,
    uses: usesOf(exprs.list, roots),
    rows,
    ready,
  }
}

/** Byte offset at which the current row of `n` elements begins. */
const rowStart = ({ rows, scope }: Frame, n: number): Local => {
  const known = rows.get(n)
  if (known !== undefined) return known
  const made = scope.local('i32')
  rows.set(n, made)
  return made
}

/** What expressions `offset` bytes behind the running offset are written with. */
export const contextOf = (f: Frame, offset: number, load: LaneContext['load']): LaneContext => ({
  ready: f.ready,
  uses: f.uses,
  scope: f.scope,
  list: f.loop.exprs.list,
  load,
  scalars: f.scalars(),
  constant: f.constants.get,
  iota: (n) =>
    i32x4.add(
      i32x4.splat(i32.shr_u(i32.sub(i32.add(f.at.get, i32.const(offset)), rowStart(f, n).get), i32.const(2))),
      COUNT,
    ),
})

/** What no element of a unit changes, computed once in front of its loops. */
export const invariantCode = (f: Frame): Code => {
  const load = (k: number): Code<'v128'> => {
    const value = f.values[k]
    if (value === null) throw new Error('internal: an operand that changes was taken for one that does not')
    return value.get
  }
  if (f.ready.size === 0) return []
  const roots = [...f.ready.keys()]
  const context = { ...contextOf(f, 0, load), ready: new Map(), uses: usesOf(f.loop.exprs.list, roots) }
  const code = lanesOf(context, roots)
  return [...f.ready].map(([e, local]) => local.set(code(e)))
}
