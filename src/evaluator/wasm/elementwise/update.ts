/**
 * Updates of many leaves as one kernel: a function sweeps over one leaf, whose addresses are its parameters, and a
 * second calls it leaf after leaf. The module holds one loop for them all, and no element between two leaves is touched.
 */
import type { FlatNode } from '../../plan/flatten.js'
import type { JoinedStep, LoopSignature } from '../../plan/join.js'
import type { GroupStep } from '../../plan/fuse.js'
import type { Code } from '../asm/encode.js'
import { control, i32, i32x4, v128 } from '../asm/instructions.js'
import type { Func, Local, ModuleBuilder, Scope, Units } from '../asm/module.js'
import type { Places } from '../kernel.js'
import { costOf, type GroupKernel } from './group.js'
import { loopOf, type Loop } from './loop.js'
import { exprKey } from './exprs.js'
import { lanesOf, newConstants, type Scalars } from './lanes.js'
import { LOOP_ELEMENTS, LOOP_START_NS, MOST_UNROLLED } from '../machine.js'

/** The signature of a loop over one axis whose operands are whole or one number; null for others. */
export const signatureOf =
  (nodes: readonly FlatNode[]) =>
  (step: GroupStep): LoopSignature | null => {
    const { space, exprs, operands, stores, sums } = loopOf(step, nodes, LOOP_ELEMENTS)
    const simple =
      space.axes.length === 1 &&
      sums.length === 0 &&
      operands.every((o) => o.kind === 'whole' || o.kind === 'number') &&
      exprs.list.every((e) => e.op !== 'iota')
    if (!simple) return null
    const text = exprs.list.map(exprKey)
    return {
      body: [...text, stores.map(([, e]) => e).join()].join(';'),
      kinds: operands.map((o) => o.kind[0]).join(''),
      operands: operands.map((o) => o.id),
    }
  }

/** Where one leaf lies: addresses of its operands and of what it stores, in the order of the loop. */
type LeafPlaces = { readonly operands: readonly number[]; readonly stores: readonly number[]; readonly size: number }

/** What the sweep is called with: `pointers` are addresses that move along, by operand or store; `numbers` stay. */
type Call = {
  readonly pointers: readonly ((leaf: LeafPlaces) => number)[]
  readonly numbers: readonly ((leaf: LeafPlaces) => number)[]
  readonly operand: readonly number[]
  readonly store: readonly number[]
}

/** A store that takes the same operand's place in every leaf shares its pointer. */
const callOf = (loop: Loop, leaves: readonly LeafPlaces[]): Call => {
  const pointers: ((leaf: LeafPlaces) => number)[] = []
  const numbers: ((leaf: LeafPlaces) => number)[] = []
  const operand = loop.operands.map(
    (o, k) => (o.kind === 'whole' ? pointers : numbers).push((leaf) => leaf.operands[k]) - 1,
  )
  const store = loop.stores.map((_, j) => {
    const replaced = loop.operands.findIndex(
      (o, k) => o.kind === 'whole' && leaves.every((leaf) => leaf.operands[k] === leaf.stores[j]),
    )
    return replaced >= 0 ? operand[replaced] : pointers.push((leaf) => leaf.stores[j]) - 1
  })
  return { pointers, numbers, operand, store }
}

/** What the code of a sweep is written with: pointers that move along, and numbers that are held. */
type Sweep = {
  readonly scope: Scope
  readonly loop: Loop
  readonly call: Call
  readonly scalars: () => Scalars
  readonly pointers: readonly Local[]
  readonly held: readonly Local<'v128'>[]
  readonly constants: ReturnType<typeof newConstants>
}

/** Four elements, or (`lane`) one, `offset` bytes behind the pointers. */
const partCode = (
  { scope, loop, call, scalars, pointers, held, constants }: Sweep,
  offset: number,
  lane: boolean,
): Code => {
  const loads = loop.exprs.list.flatMap((e, i) =>
    e.op === 'load' && loop.operands[e.load ?? 0].kind === 'whole' ? [i] : [],
  )
  const load = (k: number): Code<'v128'> => {
    if (loop.operands[k].kind !== 'whole') return held[call.operand[k]].get
    return (lane ? v128.load32_splat : v128.load)(pointers[call.operand[k]].get, offset)
  }
  const code = lanesOf(
    {
      scope,
      list: loop.exprs.list,
      load,
      scalars: scalars(),
      constant: constants.get,
      iota: () => i32x4.lanes([0, 1, 2, 3]),
    },
    [...loads, ...loop.stores.map(([, e]) => e)],
  )
  // Everything is read before anything is stored: results take their operands' places.
  const read = loads.map((e) => control.drop(code(e)))
  return [
    read,
    loop.stores.map(([, e], j): Code => {
      const value = code(e)
      const to = pointers[call.store[j]].get
      return lane ? v128.store32_lane(0, to, value, offset) : v128.store(to, value, offset)
    }),
  ]
}

const moved = (pointers: readonly Local[], by: number): Code =>
  pointers.map((p) => p.set(i32.add(p.get, i32.const(by))))

/** `body`, `step` bytes at a time, as far as `stop`. */
const repeated = (pointers: readonly Local[], stop: Local, step: number, body: Code): Code =>
  control.block(
    control.loop([
      control.br_if(1, i32.gt_u(i32.add(pointers[0].get, i32.const(step)), stop.get)),
      body,
      moved(pointers, step),
      control.br(0),
    ]),
  )

/** Whole chunks. Memory gives more to two streams than to one: the two vectors of a turn come from the two halves of a chunk. */
const chunksCode = (s: Sweep, stop: Local, bytes: Local): Code => {
  const half = LOOP_ELEMENTS * 2
  return control.block(
    control.loop([
      control.br_if(1, i32.lt_u(bytes.get, i32.const(2 * half))),
      stop.set(i32.add(s.pointers[0].get, i32.const(half))),
      repeated(s.pointers, stop, 16, [partCode(s, 0, false), partCode(s, half, false)]),
      moved(s.pointers, half),
      bytes.set(i32.sub(bytes.get, i32.const(2 * half))),
      control.br(0),
    ]),
  )
}

/** `(pointers…, numbers…, bytes)`: one leaf. Bits don't depend on how many elements a turn takes. */
const emitSweep = (
  m: ModuleBuilder,
  loop: Loop,
  call: Call,
  sizes: readonly number[],
  scalars: (m: ModuleBuilder) => Scalars,
): Func<readonly 'i32'[]> =>
  m.func({
    params: [...call.pointers, ...call.numbers, null].map(() => 'i32' as const),
    body: (scope) => {
      const pointers = scope.params.slice(0, call.pointers.length)
      const bytes = scope.params[scope.params.length - 1]
      const stop = scope.local('i32')
      const held = call.numbers.map(() => scope.local('v128'))
      const s = { scope, loop, call, scalars: () => scalars(m), pointers, held, constants: newConstants(scope) }
      const [largest, unroll] = [Math.max(...sizes), loop.exprs.list.length <= MOST_UNROLLED ? 2 : 1]
      const chunks = unroll < 2 || largest < LOOP_ELEMENTS ? [] : chunksCode(s, stop, bytes)
      const pairs =
        unroll < 2 || largest < 8 ? [] : repeated(pointers, stop, 32, [partCode(s, 0, false), partCode(s, 16, false)])
      const vectors = largest < 4 ? [] : repeated(pointers, stop, 16, partCode(s, 0, false))
      const lanes = sizes.every((n) => n % 4 === 0) ? [] : repeated(pointers, stop, 4, partCode(s, 0, true))
      return [
        s.constants.fill(),
        held.map((h, k) => h.set(v128.load32_splat(scope.params[call.pointers.length + k].get))),
        chunks,
        stop.set(i32.add(pointers[0].get, bytes.get)),
        pairs,
        vectors,
        lanes,
      ]
    },
  })

/** The kernel of a joined update. */
export const updateKernel = (
  step: JoinedStep,
  nodes: readonly FlatNode[],
  scalars: (m: ModuleBuilder) => Scalars,
): GroupKernel => {
  const loops = step.leaves.map((leaf) => loopOf(leaf, nodes, LOOP_ELEMENTS))
  // One element has no kinds: the pattern is that of a larger leaf.
  const loop =
    loops[
      Math.max(
        0,
        step.leaves.findIndex((leaf) => leaf.size > 1),
      )
    ]
  const args = [...new Set(loops.flatMap((l) => l.operands.map((o) => o.id)))]
  const outs = loops.flatMap((l) => l.stores.map(([id]) => id))
  const sizes = step.leaves.map((leaf) => leaf.size)
  const emit = (m: ModuleBuilder, at: Places): Func<Units> => {
    const places = new Map([
      ...args.map((id, k) => [id, at.args[k]] as const),
      ...outs.map((id, k) => [id, at.outs[k]] as const),
    ])
    const leaves = loops.map((l, k): LeafPlaces => ({
      size: sizes[k],
      operands: l.operands.map((o) => places.get(o.id) ?? 0),
      stores: l.stores.map(([id]) => places.get(id) ?? 0),
    }))
    const call = callOf(loop, leaves)
    const sweep = emitSweep(m, loop, call, sizes, scalars)
    return m.func({
      params: ['i32', 'i32'],
      body: () =>
        leaves.map((leaf) =>
          sweep.call(
            ...[...call.pointers, ...call.numbers].map((address) => i32.const(address(leaf))),
            i32.const(leaf.size * 4),
          ),
        ),
    })
  }
  const streams = loop.operands.filter((o) => o.kind === 'whole').length + loop.stores.length
  return {
    kernel: {
      name: `update of ${sizes.length} leaves, ${step.size} elements`,
      scratch: 0,
      constants: null,
      // One unit: it is done by one thread, last of all.
      stages: [{ label: 'sweep', units: 1, cost: costOf(loop, step.size / 4) + LOOP_START_NS * sizes.length, emit }],
      flops: loop.exprs.list.filter((e) => e.op !== 'const' && e.op !== 'load').length * step.size,
      bytes: 4 * step.size * streams,
    },
    args,
    outs,
  }
}
