/** What an optimizer remembers of each leaf, and how often it updated it: plain tensors by name. */
import { full, scalar, type Tensor } from '../../data/tensor.js'
import type { UpdateRule } from './updateRules.js'

/**
 * An optimizer's memory: the number of steps, and one tensor per slot and leaf. Plain data; store it in a checkpoint.
 * Where the numbers of a step depend on it (Adam's bias correction), `step:param.conv1.weight` counts the updates of that
 * leaf, as torch does. Memory without it comes from before this was counted: it then stands for `step` updates.
 */
export type OptimState = { readonly step: number; readonly slots: { readonly [slotAndPath: string]: Tensor } }

/** Key of a leaf's memory, as in `OptimState.slots`; `leaf` is `param.conv1.weight`. */
export const slotKey = (slot: string, leaf: string): string => `${slot}:${leaf}`

/** Key of the number of a leaf's updates. */
const countKey = (leaf: string): string => slotKey('step', leaf)

/** Slots that start with the leaf itself follow it, and tell nothing of its updates. */
const own = (rule: UpdateRule) => rule.slots.filter((s) => s.start !== 'leaf')

/** Memory starts whole: a leaf for which a slot of this rule is missing (another optimizer's checkpoint) starts anew. */
const remembers = (rule: UpdateRule, optim: OptimState, leaf: string): boolean =>
  own(rule).every((s) => optim.slots[slotKey(s.name, leaf)] !== undefined)

/** Is the next update of a leaf its first by this rule? */
export const startsNow = (rule: UpdateRule, optim: OptimState, leaf: string): boolean =>
  own(rule).length > 0 && !remembers(rule, optim, leaf)

/** How often this rule has updated a leaf so far. */
export const updatesSoFar = (rule: UpdateRule, optim: OptimState, leaf: string): number =>
  remembers(rule, optim, leaf) ? (optim.slots[countKey(leaf)]?.data[0] ?? optim.step) : 0

/** A slot of a leaf whose value is `t`, or what the slot starts with. */
export const slotOf = (rule: UpdateRule, optim: OptimState, leaf: string, slot: string, t: Tensor): Tensor => {
  const start = rule.slots.find((s) => s.name === slot)?.start ?? 0
  const known = start === 'leaf' || remembers(rule, optim, leaf) ? optim.slots[slotKey(slot, leaf)] : undefined
  return known ?? (start === 'leaf' ? { shape: t.shape, data: t.data } : full(t.shape, start))
}

/** The number of a leaf's updates as it is stored, where the rule asks for it. */
export const countOfUpdates = (rule: UpdateRule, leaf: string, updates: number): { readonly [key: string]: Tensor } =>
  rule.countsUpdates ? { [countKey(leaf)]: scalar(updates) } : {}
