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
