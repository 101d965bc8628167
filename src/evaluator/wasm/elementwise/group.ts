/**
 * A group of element-wise nodes as a kernel: one loop that loads each operand once, computes every member and stores
 * what others want; sums over the loop end in one partial per unit, and a last stage adds these in order.
 */
import { sizeOf, type Shape } from '../../../data/shape.js'
import { constantOf, constOp } from '../../../graph/structural.js'
import type { FlatNode, Ref } from '../../plan/flatten.js'
import { NO_BYTES, type ByteGrids } from '../../plan/bytes.js'
import type { GroupStep } from '../../plan/fuse.js'
import type { Code } from '../asm/encode.js'
import { control, f32, f32x4, f64, i32, i32x4, v128 } from '../asm/instructions.js'
import type { Func, Local, ModuleBuilder, Units } from '../asm/module.js'
import type { Kernel, Places, Stage } from '../kernel.js'
import type { Lane } from '../../../graph/lanes.js'
import { fromBytes, isBlindToZeros, isSigned, newByteStore, watchScale, type ByteStore } from './bytes.js'
import { exprKey, newExprs, type Exprs } from './exprs.js'
import { invariantsOf, lanesOf, newConstants, type Scalars } from './lanes.js'
import { costOfTurn, divisorOf, overOf, write } from './lowering.js'
import { addCuts, runsOf, spaceOf, stridesIn, type Run, type Space } from './space.js'
import { LOOP_ELEMENTS, LOOP_START_NS, MOST_UNROLLED, MOVED_NS } from '../machine.js'

/** Adds where the patterns of a node's operands and result change over its loop. */
const addCutsOf = (node: FlatNode, cuts: Set<number>): void => {
  const { reduces } = node.op
  const to = reduces === undefined ? node.shape : node.args[0].shape
  for (const a of node.args) if (a.shape !== to) addCuts(runsOf(a.shape, to), cuts)
  if (reduces !== undefined) addCuts(runsOf(overOf(node, reduces), to), cuts)
}

/** The common axes of a loop over these members, or null where they have none in common. */
export const commonSpace = (members: readonly FlatNode[], size: number): Space | null => {
  const cuts = new Set<number>()
  for (const node of members) addCutsOf(node, cuts)
  return spaceOf(size, cuts)
}

/** Where the patterns of a node's operands change, in elements from the innermost. */
export const cutsOf = (node: FlatNode): readonly number[] => {
  const cuts = new Set<number>()
  addCutsOf(node, cuts)
  return [...cuts].filter((c) => c > 1)
}

/** Does the innermost axis of the operand disappear in this reduction? Only then it can end a loop. */
export const endsLoop = (node: FlatNode): boolean => {
  const { reduces } = node.op
  if (reduces === undefined) return false
  const runs = runsOf(overOf(node, reduces), node.args[0].shape)
  return sizeOf(node.shape) === 1 || (runs.length > 0 && !runs[0].kept)
}

type Operand = {
  readonly id: number
  readonly strides: readonly number[]
  readonly kind: 'whole' | 'number' | 'splat' | 'row'
}
type Sum = {
  readonly node: FlatNode
  readonly term: number
  readonly divisor: number
  readonly strides: readonly number[]
}
/** A loop: its axes, what it computes of which operands, what it stores (what `bytes` names in steps of its grid) and what it sums. */
export type Loop = {
  readonly space: Space
  readonly chunk: number
  readonly exprs: Exprs
  readonly operands: readonly Operand[]
  readonly stores: readonly (readonly [node: number, expr: number])[]
  readonly sums: readonly Sum[]
  readonly bytes: ByteGrids
}

const kindOf = (strides: readonly number[], runs: readonly Run[]): Operand['kind'] => {
  if (runs.length === 1 && runs[0].kept) return 'whole'
  if (strides.every((s) => s === 0)) return 'number'
  return strides[0] === 0 ? 'splat' : 'row'
}

/** How many steps of a scale a number is: the factor that the scale was multiplied by, or a quotient. */
const stepsIn = (exprs: Exprs, x: Lane, scale: Lane): number => {
  const { op, args } = exprs.list[exprs.lower(x)]
  if (op === 'mul' && args[1] === exprs.lower(scale)) return args[0]
  const { lanes } = exprs
  return exprs.lower(lanes.mul(x, lanes.fround(lanes.div(lanes.one, scale))))
}

/** The loop of a group; `chunk`: elements of one unit. */
export const loopOf = (
  step: GroupStep,
  nodes: readonly FlatNode[],
  chunk: number,
  bytes: ByteGrids = NO_BYTES,
): Loop => {
  const members = step.members.map((i) => nodes[i])
  const space = commonSpace(members, step.size) ?? { size: step.size, axes: [step.size] }
  const exprs = newExprs()
  const operands: Operand[] = []
  const loads = new Map<string, number>()
  const results = new Map<number, Lane>()
  const load = (id: number, runs: readonly Run[]): Lane => {
    const strides = stridesIn(runs, space)
    const key = `${id}:${strides.join()}`
    const known = loads.get(key)
    if (known !== undefined) return exprs.load(known)
    loads.set(key, operands.length)
    return exprs.load(operands.push({ id, strides, kind: kindOf(strides, runs) }) - 1)
  }
  const numberOf = (a: Ref, to: Shape): Lane => {
    const from = nodes[a.id]
    return from.op === constOp ? exprs.lanes.constant(constantOf(from.attrs)) : load(a.id, runsOf(a.shape, to))
  }
  const scaleOf = (id: number, to: Shape): Lane => numberOf({ id, shape: [] }, to)
  const argsOf = (node: FlatNode): readonly Lane[] => {
    const to = node.op.reduces === undefined ? node.shape : node.args[0].shape
    return node.args.map((a) => {
      const made = results.get(a.id)
      if (made !== undefined) return made
      const grid = bytes.get(a.id)
      const x = numberOf(a, to)
      return grid === undefined ? x : exprs.lanes.fround(exprs.lanes.mul(x, scaleOf(grid.scale, to)))
    })
  }
  const sums: Sum[] = []
  for (const node of members) {
    const written = write(node, exprs, argsOf(node))
    const { reduces } = node.op
    if (reduces === undefined) results.set(node.id, written)
    else
      sums.push({
        node,
        term: exprs.lower(written),
        divisor: divisorOf(node, reduces),
        strides: stridesIn(runsOf(overOf(node, reduces), node.args[0].shape), space),
      })
  }
  const stores = step.stores.map((i) => {
    const value = results.get(i) ?? exprs.lanes.zero
    const grid = bytes.get(i)
    return [
      i,
      grid === undefined ? exprs.lower(value) : stepsIn(exprs, value, scaleOf(grid.scale, nodes[i].shape)),
    ] as const
  })
  return { space, chunk, exprs, operands, sums, stores, bytes }
}

/** Does a loop that stores bytes alone give the same ones where it reads these as bytes? */
export const readsBytes = (step: GroupStep, nodes: readonly FlatNode[], bytes: ByteGrids): boolean => {
  const { exprs, operands } = loopOf(step, nodes, LOOP_ELEMENTS, bytes)
  const isByte = (k: number): boolean => bytes.has(operands[k].id)
  return operands.every((o, k) => !isByte(k) || o.kind === 'whole') && isBlindToZeros(exprs.list, isByte)
}

/** Offset in elements of unit `u` along the outer axes (all but the innermost). */
const unitOffset = (u: Code<'i32'>, space: Space, strides: readonly number[]): Code<'i32'> => {
  let [offset, below]: [Code<'i32'> | null, number] = [null, 1]
  for (let d = 1; d < space.axes.length; d++) {
    if (strides[d] !== 0 && space.axes[d] > 1) {
      const shifted = below === 1 ? u : i32.div_u(u, i32.const(below))
      const index = d === space.axes.length - 1 ? shifted : i32.rem_u(shifted, i32.const(space.axes[d]))
      const term = strides[d] === 1 ? index : i32.mul(index, i32.const(strides[d]))
      offset = offset === null ? term : i32.add(offset, term)
    }
    below *= space.axes[d]
  }
  return offset ?? i32.const(0)
}

/** Distances between the partial sums of a group, in bytes: one float64 (or float32) per unit and sum. */
const PARTIAL = 8

const addPair = (sum: Local<'f64'>, v: Local<'v128'>): Code =>
  sum.set(
    f64.add(
      sum.get,
      f64.add(
        f64.add(f64.promote_f32(f32x4.extract(0, v.get)), f64.promote_f32(f32x4.extract(1, v.get))),
        f64.add(f64.promote_f32(f32x4.extract(2, v.get)), f64.promote_f32(f32x4.extract(3, v.get))),
      ),
    ),
  )

const FIRST_LANE = i32x4.lanes([-1, 0, 0, 0])
const COUNT = i32x4.lanes([0, 1, 2, 3])

const emitLoop =
  (
    loop: Loop,
    places: ReadonlyMap<number, number>,
    partials: number,
    units: number,
    scalars: (m: ModuleBuilder) => Scalars,
  ) =>
  (m: ModuleBuilder): Func<Units> =>
    m.func({
      params: ['i32', 'i32'],
      body: (scope) => {
        const [from, to] = scope.params
        const { space, chunk, operands } = loop
        const single = space.axes.length === 1
        const inner = single ? Math.min(chunk, space.size) : space.axes[0]
        const [at, stop, u] = [scope.local('i32'), scope.local('i32'), scope.local('i32')]
        const placeOf = (id: number): number => places.get(id) ?? 0
        const fixed = (k: number): boolean => operands[k].kind === 'number' || operands[k].kind === 'splat'
        /** What no element of a unit changes, in all lanes; and how far rows lie from the running offset. */
        const values = operands.map((_, k) => (fixed(k) ? scope.local('v128') : null))
        const distances = operands.map((o) => (o.kind === 'row' ? scope.local('i32') : null))
        const constants = newConstants(scope)
        const writers = loop.stores.map(([node]): ByteStore | null => {
          const grid = loop.bytes.get(node)
          return grid === undefined ? null : newByteStore(scope, grid, constants.get)
        })
        const asBytes = writers.some((w) => w !== null)
        // Four vectors of bytes fill one.
        const most = asBytes && inner >= 16 ? 4 : 2
        const unroll = loop.exprs.list.length <= MOST_UNROLLED && inner >= 8 ? most : 1
        const byteAt = i32.shr_u(at.get, i32.const(2))
        const accs = loop.sums.map(() => Array.from({ length: unroll }, () => scope.local('v128')))
        const inPlace = loop.stores.some(([node]) => operands.some((o) => placeOf(o.id) === placeOf(node)))
        const loads = inPlace ? loop.exprs.list.flatMap((e, i) => (e.op === 'load' ? [i] : [])) : []
        const roots = [...loads, ...loop.stores.map((s) => s[1]), ...loop.sums.map((s) => s.term)]
        const rows = new Map<number, Local>()
        /** Byte offset at which the current row of `n` elements begins. */
        const rowStart = (n: number): Local => {
          const known = rows.get(n)
          if (known !== undefined) return known
          const made = scope.local('i32')
          rows.set(n, made)
          return made
        }
        const iota = (n: number, offset: number): Code<'v128'> =>
          i32x4.add(
            i32x4.splat(i32.shr_u(i32.sub(i32.add(at.get, i32.const(offset)), rowStart(n).get), i32.const(2))),
            COUNT,
          )
        const ready = new Map(invariantsOf(loop.exprs.list, roots, fixed).map((e) => [e, scope.local('v128')] as const))
        const valueOf = (k: number): Code<'v128'> => {
          const value = values[k]
          if (value === null) throw new Error('internal: an operand that changes was taken for one that does not')
          return value.get
        }
        /** What no element of a unit changes, computed once in front of its loops. */
        const prepare = (): Code => {
          const code = lanesOf(
            {
              scope,
              list: loop.exprs.list,
              load: valueOf,
              scalars: scalars(m),
              constant: constants.get,
              iota: (n) => iota(n, 0),
            },
            [...ready.keys()],
          )
          return [...ready].map(([e, local]) => local.set(code(e)))
        }
        const turn = (offset: number, lane: boolean, copy: number, together = false): Code => {
          const load = (k: number): Code<'v128'> => {
            const [value, distance, grid] = [values[k], distances[k], loop.bytes.get(operands[k].id)]
            if (value !== null) return value.get
            if (grid !== undefined) return fromBytes(isSigned(grid), lane, byteAt, placeOf(operands[k].id) + offset / 4)
            const read = lane ? v128.load32_splat : v128.load
            return distance === null
              ? read(at.get, placeOf(operands[k].id) + offset)
              : read(i32.add(at.get, distance.get), offset)
          }
          const code = lanesOf(
            {
              scope,
              list: loop.exprs.list,
              load,
              scalars: scalars(m),
              constant: constants.get,
              iota: (n) => iota(n, offset),
              ready,
            },
            roots,
          )
          // A result that takes its operand's place must not be written before every member has read it.
          const first = inPlace ? loads.map((e) => code(e)) : []
          const stores = loop.stores.map(([node, e], n): Code => {
            const value = code(e)
            const writer = writers[n]
            if (writer !== null)
              return [
                writer.take(value, copy),
                together ? [] : writer.storeOne(copy, byteAt, placeOf(node) + offset / 4, lane),
              ]
            return lane
              ? v128.store32_lane(0, at.get, value, placeOf(node) + offset)
              : v128.store(at.get, value, placeOf(node) + offset)
          })
          const sums = loop.sums.map((s, k): Code => {
            const acc = accs[k][copy]
            const value = code(s.term)
            return acc.set(f32x4.add(acc.get, lane ? v128.and(value, FIRST_LANE) : value))
          })
          return [first.map((value) => control.drop(value)), stores, sums]
        }
        // Memory gives more to two streams than to one: the two vectors of a turn come from the two halves of a full chunk.
        const halves = single && !asBytes && unroll === 2 && space.size >= chunk && chunk % 8 === 0
        const storeTogether = (): Code =>
          loop.stores.map(([node], n) => writers[n]?.storeAll(byteAt, placeOf(node)) ?? [])
        const [step, apart] = halves ? [16, chunk * 2] : [16 * unroll, 16]
        const turns = (end: Code<'i32'>): Code =>
          control.block(
            control.loop([
              control.br_if(1, i32.gt_u(i32.add(at.get, i32.const(step)), end)),
              Array.from({ length: unroll }, (_, c) => turn(apart * c, false, c, unroll === 4)),
              unroll === 4 ? storeTogether() : [],
              at.set(i32.add(at.get, i32.const(step))),
              control.br(0),
            ]),
          )
        const vectors: Code = !halves
          ? turns(stop.get)
          : control.if(i32.eq(i32.sub(stop.get, at.get), i32.const(chunk * 4)), [
              stop.set(i32.sub(stop.get, i32.const(apart))),
              turns(stop.get),
              stop.set(i32.add(stop.get, i32.const(apart))),
              at.set(stop.get),
            ])
        const whole = (single ? space.size % inner === 0 : true) && inner % (4 * unroll) === 0
        const single4: Code =
          unroll === 1 || whole
            ? []
            : control.block(
                control.loop([
                  control.br_if(1, i32.gt_u(i32.add(at.get, i32.const(16)), stop.get)),
                  turn(0, false, 0),
                  at.set(i32.add(at.get, i32.const(16))),
                  control.br(0),
                ]),
              )
        const rest: Code = whole
          ? []
          : [
              single4,
              control.block(
                control.loop([
                  control.br_if(1, i32.ge_u(at.get, stop.get)),
                  turn(0, true, 0),
                  at.set(i32.add(at.get, i32.const(4))),
                  control.br(0),
                ]),
              ),
            ]
        const sum = scope.local('f64')
        const close = loop.sums.map((_, k): Code => {
          const address = i32.add(i32.mul(u.get, i32.const(PARTIAL)), i32.const(partials + k * units * PARTIAL))
          return [sum.set(f64.const(0)), accs[k].map((a) => addPair(sum, a)), f64.store(address, sum.get)]
        })
        const begin = (k: number): Code => {
          const o = operands[k]
          const offset = i32.mul(unitOffset(u.get, space, o.strides), i32.const(4))
          if (o.kind === 'splat') return values[k]?.set(v128.load32_splat(offset, placeOf(o.id))) ?? []
          // The row's own address, less where the loop's running offset begins.
          return distances[k]?.set(i32.sub(i32.add(offset, i32.const(placeOf(o.id))), at.get)) ?? []
        }
        const length = single
          ? [
              stop.set(i32.add(at.get, i32.const(inner * 4))),
              space.size % inner === 0
                ? []
                : control.if(i32.gt_u(stop.get, i32.const(space.size * 4)), stop.set(i32.const(space.size * 4))),
            ]
          : stop.set(i32.add(at.get, i32.const(inner * 4)))
        const prepared = prepare()
        const scales = new Set(loop.stores.flatMap(([node]) => loop.bytes.get(node)?.scale ?? []))
        return [
          constants.fill(),
          writers.map((w) => w?.begin ?? []),
          [...scales].map((id) => (places.has(id) ? watchScale(f32.load(i32.const(placeOf(id)))) : [])),
          operands.map((o, k) =>
            o.kind === 'number' ? (values[k]?.set(v128.load32_splat(i32.const(placeOf(o.id)))) ?? []) : [],
          ),
          u.set(from.get),
          control.block(
            control.loop([
              control.br_if(1, i32.ge_u(u.get, to.get)),
              at.set(i32.mul(u.get, i32.const(inner * 4))),
              length,
              operands.map((_, k) => begin(k)),
              prepared,
              [...rows].map(([n, start]) => start.set(i32.mul(i32.div_u(at.get, i32.const(n * 4)), i32.const(n * 4)))),
              accs.map((own) => own.map((a) => a.set(f32x4.const(0)))),
              vectors,
              rest,
              close,
              u.set(i32.add(u.get, i32.const(1))),
              control.br(0),
            ]),
          ),
          writers.map((w) => w?.end ?? []),
        ]
      },
    })

/** Adds the partial sums in the order of their units. */
const emitSums =
  (loop: Loop, places: ReadonlyMap<number, number>, partials: number, units: number) =>
  (m: ModuleBuilder): Func<Units> =>
    m.func({
      params: ['i32', 'i32'],
      body: (scope) => {
        const [u, place] = [scope.local('i32'), scope.local('i32')]
        return loop.sums.map((s, k): Code => {
          const out = places.get(s.node.id) ?? 0
          const count = sizeOf(s.node.shape)
          const from = partials + k * units * PARTIAL
          const partial = i32.mul(u.get, i32.const(PARTIAL))
          if (count === 1) {
            const sum = scope.local('f64')
            return [
              sum.set(f64.const(0)),
              u.set(i32.const(0)),
              control.loop([
                sum.set(f64.add(sum.get, f64.load(partial, from))),
                u.set(i32.add(u.get, i32.const(1))),
                control.br_if(0, i32.lt_u(u.get, i32.const(units))),
              ]),
              f32.store(
                i32.const(out),
                f32.demote_f64(s.divisor === 1 ? sum.get : f64.div(sum.get, f64.const(s.divisor))),
              ),
            ]
          }
          // Several results: float64 sums behind the partials, then rounded.
          const sums = partials + loop.sums.length * units * PARTIAL
          const index = i32.mul(unitOffset(u.get, loop.space, s.strides), i32.const(8))
          const eight = i32.mul(u.get, i32.const(8))
          return [
            u.set(i32.const(0)),
            control.loop([
              f64.store(eight, f64.const(0), sums),
              u.set(i32.add(u.get, i32.const(1))),
              control.br_if(0, i32.lt_u(u.get, i32.const(count))),
            ]),
            u.set(i32.const(0)),
            control.loop([
              place.set(index),
              f64.store(place.get, f64.add(f64.load(place.get, sums), f64.load(partial, from)), sums),
              u.set(i32.add(u.get, i32.const(1))),
              control.br_if(0, i32.lt_u(u.get, i32.const(units))),
            ]),
            u.set(i32.const(0)),
            control.loop([
              f32.store(
                i32.mul(u.get, i32.const(4)),
                f32.demote_f64(
                  s.divisor === 1 ? f64.load(eight, sums) : f64.div(f64.load(eight, sums), f64.const(s.divisor)),
                ),
                out,
              ),
              u.set(i32.add(u.get, i32.const(1))),
              control.br_if(0, i32.lt_u(u.get, i32.const(count))),
            ]),
          ]
        })
      },
    })

/** Rough time of so many vectors of a loop, in nanoseconds. */
export const costOf = (loop: Loop, vectors: number): number => costOfTurn(loop.exprs.list) * vectors + LOOP_START_NS

/** Operands that the kernel of a group reads and results that it writes, in the order of `Places.args` and `Places.outs`. */
export type GroupKernel = {
  readonly kernel: Kernel
  readonly args: readonly number[]
  readonly outs: readonly number[]
}

/** What a loop does, whatever nodes it reads and makes: equal loops have equal keys. */
const keyOf = ({ space, chunk, exprs, operands, stores, sums, bytes }: Loop, args: readonly number[]): string => {
  const grid = (id: number): string => {
    const g = bytes.get(id)
    return g === undefined ? '' : `${g.lo}…${g.hi}*${args.indexOf(g.scale)}`
  }
  return [
    space.axes.join('×'),
    chunk,
    exprs.list.map(exprKey).join(';'),
    operands.map((o) => `${args.indexOf(o.id)} ${o.kind} ${o.strides.join()} ${grid(o.id)}`).join(';'),
    stores.map(([id, e]) => `${e} ${grid(id)}`).join(';'),
    sums.map((s) => `${s.term} ${s.divisor} ${s.strides.join()} ${s.node.shape.join('×')}`).join(';'),
  ].join('|')
}

/** `chunk` elements are a unit where the loop has a single axis; `bytes` are values stored so; `known` are kernels of groups before, which equal ones share. */
export type GroupOptions = {
  readonly chunk?: number
  readonly bytes?: ByteGrids
  readonly known?: Map<string, Kernel>
}

/** The kernel of a group. `scalars` gives the functions of one lane of a module. */
export const groupKernel = (
  step: GroupStep,
  nodes: readonly FlatNode[],
  scalars: (m: ModuleBuilder) => Scalars,
  { chunk = LOOP_ELEMENTS, bytes = NO_BYTES, known = new Map() }: GroupOptions = {},
): GroupKernel => {
  const loop = loopOf(step, nodes, chunk, bytes)
  const { space } = loop
  const units = space.axes.length === 1 ? Math.ceil(space.size / chunk) : space.size / space.axes[0]
  const args = [...new Set(loop.operands.map((o) => o.id))]
  const outs = [...loop.stores.map((s) => s[0]), ...loop.sums.map((s) => s.node.id)]
  const placesOf = (at: Places): ReadonlyMap<number, number> =>
    new Map([...args.map((id, k) => [id, at.args[k]] as const), ...outs.map((id, k) => [id, at.outs[k]] as const)])
  const cost = costOf(loop, space.size / units / 4)
  const key = `${step.members.length} ${keyOf(loop, args)}`
  const found = known.get(key)
  if (found !== undefined) return { kernel: found, args, outs }
  const most = Math.max(0, ...loop.sums.map((s) => sizeOf(s.node.shape)))
  const stages: Stage[] = [
    { label: 'loop', units, cost, emit: (m, at) => emitLoop(loop, placesOf(at), at.scratch, units, scalars)(m) },
  ]
  if (loop.sums.length > 0)
    stages.push({
      label: 'sums',
      units: 1,
      cost: units * loop.sums.length * MOVED_NS,
      emit: (m, at) => emitSums(loop, placesOf(at), at.scratch, units)(m),
    })
  const whole = [...loop.operands.filter((o) => o.kind === 'whole').map((o) => o.id), ...loop.stores.map((s) => s[0])]
  const kernel: Kernel = {
    name: `loop[${space.axes.toReversed().join('×')}] of ${step.members.length}`,
    scratch: loop.sums.length === 0 ? 0 : (loop.sums.length * units + most) * PARTIAL,
    constants: null,
    stages,
    flops: loop.exprs.list.filter((e) => e.op !== 'const' && e.op !== 'load').length * space.size,
    bytes: space.size * whole.reduce((n, id) => n + (bytes.has(id) ? 1 : 4), 0),
  }
  known.set(key, kernel)
  return { kernel, args, outs }
}
