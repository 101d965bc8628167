/** The code of a loop over a group: units of elements, vectors of four in turns, what is left of them one by one. */
import type { Code } from '../asm/encode.js'
import { control, f32, f32x4, i32, i32x4, v128 } from '../asm/instructions.js'
import type { Func, Local, ModuleBuilder, Units } from '../asm/module.js'
import { fromBytes, isSigned, watchScale } from './bytes.js'
import { lanesOf, type Scalars } from './lanes.js'
import type { Loop } from './loop.js'
import { contextOf, invariantCode, newFrame, type Frame } from './loopFrame.js'
import { storePartials, type Partials } from './partials.js'
import { unitOffset } from './unitOffset.js'

const FIRST_LANE = i32x4.lanes([-1, 0, 0, 0])

/** One vector of a turn, or (`lane`) one element: how far behind the running offset, and which of the turn it is. */
type Part = { readonly offset: number; readonly lane: boolean; readonly copy: number }

/** Loads operand `k` of a part. */
const loadOf = (f: Frame, k: number, { offset, lane }: Part): Code<'v128'> => {
  const { id } = f.loop.operands[k]
  const [value, distance, grid] = [f.values[k], f.distances[k], f.loop.bytes.get(id)]
  if (value !== null) return value.get
  if (grid !== undefined) return fromBytes(isSigned(grid), lane, byteAt(f), f.placeOf(id) + offset / 4)
  const read = lane ? v128.load32_splat : v128.load
  return distance === null ? read(f.at.get, f.placeOf(id) + offset) : read(i32.add(f.at.get, distance.get), offset)
}

/** The running offset of what is stored as bytes. */
const byteAt = (f: Frame): Code<'i32'> => i32.shr_u(f.at.get, i32.const(2))

/** Computes a part, stores and sums. `together`: bytes of all parts are stored behind the turn. */
const partCode = (f: Frame, part: Part, together = false): Code => {
  const { offset, lane, copy } = part
  const code = lanesOf(
    contextOf(f, offset, (k) => loadOf(f, k, part)),
    f.roots,
  )
  const first = f.readFirst.map((e) => code(e))
  const stores = f.loop.stores.map(([node, e], n): Code => {
    const value = code(e)
    const writer = f.writers[n]
    if (writer !== null)
      return [
        writer.take(value, copy),
        together ? [] : writer.storeOne(copy, byteAt(f), f.placeOf(node) + offset / 4, lane),
      ]
    return lane
      ? v128.store32_lane(0, f.at.get, value, f.placeOf(node) + offset)
      : v128.store(f.at.get, value, f.placeOf(node) + offset)
  })
  const sums = f.loop.sums.map((s, k): Code => {
    const acc = f.accs[k][copy]
    const value = code(s.term)
    return acc.set(f32x4.add(acc.get, lane ? v128.and(value, FIRST_LANE) : value))
  })
  return [first.map((value) => control.drop(value)), stores, sums]
}

/** `body`, which moves on by `step`, as long as `left` says so. */
const repeated = (f: Frame, isOver: Code<'i32'>, body: Code, step: number): Code =>
  control.block(
    control.loop([control.br_if(1, isOver), body, f.at.set(i32.add(f.at.get, i32.const(step))), control.br(0)]),
  )

/** Whole turns of vectors. */
const turnsCode = (f: Frame): Code => {
  const { at, stop, unroll, inner, loop } = f
  if (inner < 4) return []
  // Memory gives more to two streams than to one: the two vectors of a turn come from the two halves of a full chunk.
  const halves = f.single && !f.asBytes && unroll === 2 && loop.space.size >= loop.chunk && loop.chunk % 8 === 0
  const [step, apart] = halves ? [16, loop.chunk * 2] : [16 * unroll, 16]
  const together = (): Code => loop.stores.map(([node], n) => f.writers[n]?.storeAll(byteAt(f), f.placeOf(node)) ?? [])
  const turns = repeated(
    f,
    i32.gt_u(i32.add(at.get, i32.const(step)), stop.get),
    [
      Array.from({ length: unroll }, (_, c) => partCode(f, { offset: apart * c, lane: false, copy: c }, unroll === 4)),
      unroll === 4 ? together() : [],
    ],
    step,
  )
  if (!halves) return turns
  return control.if(i32.eq(i32.sub(stop.get, at.get), i32.const(loop.chunk * 4)), [
    stop.set(i32.sub(stop.get, i32.const(apart))),
    turns,
    stop.set(i32.add(stop.get, i32.const(apart))),
    at.set(stop.get),
  ])
}

/** What whole turns leave: single vectors, then single elements. */
const restCode = (f: Frame): Code => {
  const { at, stop, unroll, inner, loop } = f
  const whole = (f.single ? loop.space.size % inner === 0 : true) && inner % (4 * unroll) === 0
  if (whole) return []
  const vectors =
    unroll === 1
      ? []
      : repeated(
          f,
          i32.gt_u(i32.add(at.get, i32.const(16)), stop.get),
          partCode(f, { offset: 0, lane: false, copy: 0 }),
          16,
        )
  const elements = repeated(f, i32.ge_u(at.get, stop.get), partCode(f, { offset: 0, lane: true, copy: 0 }), 4)
  return [vectors, elements]
}

/** Sets where the unit's elements begin and end. */
const extentCode = ({ at, stop, u, inner, single, loop }: Frame): Code => {
  const { size } = loop.space
  return [
    at.set(i32.mul(u.get, i32.const(inner * 4))),
    stop.set(i32.add(at.get, i32.const(inner * 4))),
    !single || size % inner === 0
      ? []
      : control.if(i32.gt_u(stop.get, i32.const(size * 4)), stop.set(i32.const(size * 4))),
  ]
}

/** Sets what an operand is in this unit, where it lies in rows or is one number for a row. */
const operandCode = (f: Frame, k: number): Code => {
  const o = f.loop.operands[k]
  const offset = i32.mul(unitOffset(f.u.get, f.loop.space, o.strides), i32.const(4))
  if (o.kind === 'splat') return f.values[k]?.set(v128.load32_splat(offset, f.placeOf(o.id))) ?? []
  // The row's own address, less where the loop's running offset begins.
  return f.distances[k]?.set(i32.sub(i32.add(offset, i32.const(f.placeOf(o.id))), f.at.get)) ?? []
}

/** All units from one to another. Of a single element nothing repeats: such loops are what scales and counters are computed by. */
const unitsCode = (
  f: Frame,
  [from, to]: readonly [Local, Local],
  unit: { readonly begin: Code; readonly elements: Code },
): Code => {
  const { at, u, loop } = f
  const accs = f.accs.map((own) => own.map((a) => a.set(f32x4.const(0))))
  const operands = loop.operands.map((_, k) => operandCode(f, k))
  return isOne(f)
    ? control.if(i32.lt_u(from.get, to.get), [operands, unit.begin, accs, unit.elements])
    : [
        u.set(from.get),
        control.block(
          control.loop([
            control.br_if(1, i32.ge_u(u.get, to.get)),
            extentCode(f),
            operands,
            unit.begin,
            [...f.rows].map(([n, start]) => start.set(i32.mul(i32.div_u(at.get, i32.const(n * 4)), i32.const(n * 4)))),
            accs,
            unit.elements,
            u.set(i32.add(u.get, i32.const(1))),
            control.br(0),
          ]),
        ),
      ]
}

/** Has the loop one element? */
const isOne = ({ single, loop }: Frame): boolean => single && loop.space.size === 1

/** The loop as a function of units. */
export const emitLoop = (
  m: ModuleBuilder,
  loop: Loop,
  places: ReadonlyMap<number, number>,
  partials: Partials,
  scalars: (m: ModuleBuilder) => Scalars,
): Func<Units> =>
  m.func({
    params: ['i32', 'i32'],
    body: (scope) => {
      const f = newFrame(scope, loop, places, () => scalars(m))
      const { values, constants, writers } = f
      const elements = isOne(f) ? partCode(f, { offset: 0, lane: true, copy: 0 }) : [turnsCode(f), restCode(f)]
      const close = storePartials(f, partials)
      const begin = invariantCode(f)
      const scales = new Set(loop.stores.flatMap(([node]) => loop.bytes.get(node)?.scale ?? []))
      return [
        constants.fill(),
        writers.map((w) => w?.begin ?? []),
        [...scales].map((id) => (places.has(id) ? watchScale(f32.load(i32.const(f.placeOf(id)))) : [])),
        loop.operands.map((o, k) =>
          o.kind === 'number' ? (values[k]?.set(v128.load32_splat(i32.const(f.placeOf(o.id)))) ?? []) : [],
        ),
        unitsCode(f, scope.params, { begin, elements: [elements, close] }),
        writers.map((w) => w?.end ?? []),
      ]
    },
  })
