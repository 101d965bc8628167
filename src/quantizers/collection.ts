/**
 * Collecting → switch-over → learned (SEMANTICS 3 and 6). Which of them a quantizer is in stands in its counter alone: below `LEARNED` it
 * counts the calls that were collected, whatever `collectStatsSteps` was then, and at `LEARNED` the value has been taken over for ever.
 * A state therefore means the same in every network.
 */
import { COUNT, BEYOND_COUNTING } from '../data/marks.js'
import type { Shape } from '../data/shape.js'
import { full, tensorOf, type Tensor } from '../data/tensor.js'
import type { Kit, Value } from '../graph/op.js'

/** The counter of a quantizer whose value is learned: past every collection, because no `collectStatsSteps` reaches it. */
export const LEARNED = BEYOND_COUNTING

/** How a collection ends, for those who have numbers instead of a graph. */
export type Collection = {
  /** Calls that are collected. */
  readonly steps: number
  /** What one element of the value becomes at the switch-over, from itself and the running average; float32, as in the graph. */
  readonly take: (value: number, buffer: number) => number
}

/** A leaf of a quantizer's state: shape, whether learned, its first value, what its numbers mean, and (of a counter) how its collection ends. */
export type StateLeaf = {
  readonly shape: Shape
  readonly learned: boolean
  readonly value: number
  readonly means?: string
  readonly collection?: Collection
  /** Of the norm of accumulator-aware weights: the bits of the accumulator that it bounds. */
  readonly accumulatorBits?: number
}
/** The leaves of one scale, zero point or delay while they are traced. */
export type Leaves = { readonly [leaf: string]: Value }

/** A leaf that counts. */
export const countLeaf = (value: number): StateLeaf => ({ shape: [], learned: false, value, means: COUNT })

/** A leaf's first tensor. */
export const initialTensor = (leaf: StateLeaf): Tensor =>
  leaf.shape.length === 0 ? tensorOf([], [leaf.value]) : full(leaf.shape, leaf.value)

/** The leaves of a value that is collected and then learned: it and its running average begin at `start`. */
export const collectingLeaves = (
  shape: Shape,
  start: number,
  means: { readonly buffer: string; readonly value: string },
  collection: Collection,
): { readonly [leaf: string]: StateLeaf } => ({
  counter: { ...countLeaf(0), collection },
  buffer: { shape, learned: false, value: start, means: means.buffer },
  value: { shape, learned: true, value: start, means: means.value },
})

/** What one call of a collecting statistic does to its state; `leaf` is the path of the learned value. */
export type Collector = {
  readonly kit: Kit
  readonly state: Leaves
  readonly steps: number
  readonly leaf: string
  /** The learned value that the running average becomes at the switch-over. */
  readonly take: (value: Value, buffer: Value) => Value
}

/** `counter + 1` while collecting, then `LEARNED` for ever. */
export const nextCounter = ({ kit, state: { counter }, steps }: Collector): Value =>
  kit.emit('select', [
    kit.emit('less', [counter, kit.constant(steps)]),
    kit.emit('add', [counter, kit.constant(1)]),
    kit.constant(LEARNED),
  ])

/** The learned value after this call: taken from the running average where collection is over and it wasn't yet, else as it was. */
export const nextValue = ({ kit, state: { counter, buffer, value }, steps, leaf, take }: Collector): Value => {
  const collecting = kit.emit('less', [counter, kit.constant(steps)])
  const due = kit.emit('less', [counter, kit.constant(LEARNED)])
  const over = kit.emit('select', [due, take(value, buffer), value])
  return kit.emit('assign', [kit.emit('select', [collecting, value, over])], { leaf })
}

/**
 * The same where the switch-over comes one call earlier, at the end of the last collecting call (searches of zero points, SEMANTICS-2
 * sections 4 and 5): the counter after the call, and the value, taken from the running average that the call itself has brought up to date.
 */
export const earlyCounter = ({ kit, state: { counter }, steps }: Collector): Value =>
  kit.emit('select', [
    kit.emit('less', [counter, kit.constant(steps - 1)]),
    kit.emit('add', [counter, kit.constant(1)]),
    kit.constant(LEARNED),
  ])
export const earlyValue = ({ kit, state: { counter }, steps, take }: Collector, value: Value, buffer: Value): Value => {
  const collecting = kit.emit('less', [counter, kit.constant(steps - 1)])
  const due = kit.emit('less', [counter, kit.constant(steps)])
  return kit.emit('select', [collecting, value, kit.emit('select', [due, take(value, buffer), value])])
}

/** Leaves of a value that is computed at the first call and learned from then on; `initDone` says that it was. */
export const onceLeaves = (shape: Shape, means: string): { readonly [leaf: string]: StateLeaf } => ({
  initDone: countLeaf(0),
  value: { shape, learned: true, value: 1, means },
})

/**
 * A value that is computed at the first call, in either mode, and learned from then on: its gradient is taken of the stored value in every
 * call, never through what computed it. `leaf` is the path of the value.
 */
export const computedOnce = (
  kit: Kit,
  { initDone, value }: Leaves,
  leaf: string,
  args: readonly Value[],
  compute: (args: readonly Value[]) => Value,
): readonly [value: Value, state: Leaves] => {
  const [computed] = kit.phase({
    counter: initDone,
    limit: 1,
    warnSteps: null,
    args: [...args, value],
    collect: (xs) => [compute(xs.slice(0, -1))],
    learned: (xs) => [xs[xs.length - 1]],
  })
  const assigned = kit.emit('assign', [computed], { leaf })
  return [assigned, { initDone: kit.constant(1), value: assigned }]
}
