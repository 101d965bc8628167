/** Training states as bytes and back: what a kill can't lose. */
import * as E from 'fp-ts/lib/Either.js'
import { parseTensors, tensorsToBytes } from '../../data/binary.js'
import { failure, type QuantErrors } from '../../data/error.js'
import { countProblem } from '../../data/marks.js'
import { sameShape, showShape, type Shape } from '../../data/shape.js'
import { isTensor, tensorOf, type Tensor } from '../../data/tensor.js'
import { at, leaves } from '../../data/tree.js'
import { layerProblems } from '../layers/checks.js'
import type { AnyLayer } from '../layers/layer.js'
import { readWhole } from '../program/stored.js'
import { collecting, wantedOfTrees } from '../program/wanted.js'
import { PENDING } from './accumulation.js'
import { trainStateProblems } from './options.js'
import type { TrainState } from './trainState.js'

/** Counts are stored as two numbers below 2^16 and 2^37, of which float32 holds the first exactly and of the second as much as is ever reached. */
const HALF = 65536

/**
 * A training state as bytes (format version 2 of `tensorsToBytes`). Names of slots hold dots and colons, which separate paths; so each slot
 * stands under a number, its name beside it.
 */
export const checkpointToBytes = <P, S>(t: TrainState<P, S>): Uint8Array => {
  const problems = trainStateProblems('checkpointToBytes', t)
  if (problems.length > 0) throw failure(problems)
  const names = Object.keys(t.optim.slots)
  const text = new TextEncoder().encode(JSON.stringify(names))
  return tensorsToBytes({
    params: t.params,
    state: t.state,
    slots: names.map((n) => t.optim.slots[n]),
    slotNames: tensorOf([text.length], text),
    counts: tensorOf(
      [8],
      [t.step, t.optim.step, t.position.epoch, t.position.batch].flatMap((n) => [Math.floor(n / HALF), n % HALF]),
    ),
  })
}

type Parsed<A> = E.Either<QuantErrors, A>

const bad = (message: string, path = ''): E.Either<QuantErrors, never> =>
  E.left<QuantErrors>([
    {
      tag: 'ParseError',
      where: 'checkpoint',
      path,
      message: `the checkpoint can't be used: ${message}`,
      fix: 'give a checkpoint that this network and version wrote, or start anew',
    },
  ])

const COUNTS = ['step', 'optim.step', 'position.epoch', 'position.batch'] as const

/** The four counts; each is a whole number from 0 on. */
const readCounts = (t: unknown): Parsed<readonly number[]> => {
  if (!isTensor(t) || t.data.length !== 2 * COUNTS.length) return bad('it is no training state')
  const counts = COUNTS.map((_, i) => t.data[2 * i] * HALF + t.data[2 * i + 1])
  const odd = COUNTS.findIndex((_, i) => {
    const [high, low] = [t.data[2 * i], t.data[2 * i + 1]]
    const whole = Number.isInteger(low) && Number.isInteger(high) && Number.isSafeInteger(counts[i])
    return !(whole && low >= 0 && low < HALF && high >= 0)
  })
  return odd < 0
    ? E.right(counts)
    : bad(`${COUNTS[odd]} is ${counts[odd]}, and counts are whole numbers from 0 on`, COUNTS[odd])
}

const parseJson = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

const readNames = (t: unknown): Parsed<readonly string[]> => {
  const whole = isTensor(t) && t.data.every((b) => Number.isInteger(b) && b >= 0 && b < 256)
  const names: unknown = whole ? parseJson(new TextDecoder().decode(Uint8Array.from(t.data))) : null
  return Array.isArray(names) && names.every((n): n is string => typeof n === 'string')
    ? E.right(names)
    : bad('the names of the optimizer slots are unreadable')
}

/** The leaves that an optimizer may remember: `param.fc.weight`, and their shapes. */
const memorable = (like: { readonly params: unknown; readonly state: unknown }): ReadonlyMap<string, Shape> =>
  new Map([
    ...leaves(isTensor, like.params).map(({ path, leaf }) => [`param.${path}`, leaf.shape] as const),
    ...leaves(isTensor, like.state).map(({ path, leaf }) => [`state.${path}`, leaf.shape] as const),
  ])

/** What is wrong with the count of batches that wait and their weight, or null. */
const pendingProblem = ({ data }: Tensor): string | null => {
  if (data.length !== 2) return 'two numbers were expected'
  return data[1] >= 0 && data[1] < Infinity
    ? countProblem(tensorOf([], [data[0]]))
    : `the weight of the batches is ${data[1]}`
}

/** What is wrong with a slot, or null. `step:` counts the updates of a leaf; others have its shape; a name without a leaf is the optimizer's own. */
const slotProblem = (known: ReadonlyMap<string, Shape>, name: string, t: Tensor): string | null => {
  const cut = name.indexOf(':')
  const [slot, leaf] = [name.slice(0, cut), name.slice(cut + 1)]
  if (cut < 1 || name === '__proto__') return 'its name is none of an optimizer'
  if (name === PENDING) return pendingProblem(t)
  if (!/^(param|state)(\.|$)/.test(leaf)) return null
  const shape = known.get(leaf)
  if (shape === undefined) return 'this network has no such leaf'
  if (slot === 'step') return t.shape.length === 0 ? countProblem(t) : 'one number was expected'
  return sameShape(t.shape, shape) ? null : `it has shape ${showShape(t.shape)}, but its leaf has ${showShape(shape)}`
}

/** The optimizer's memory: every slot under one name, and none without. */
const readSlots = (
  tree: unknown,
  names: readonly string[],
  known: ReadonlyMap<string, Shape>,
): Parsed<{ readonly [name: string]: Tensor }> => {
  const slots = new Map<string, Tensor>()
  for (const [i, name] of names.entries()) {
    const t = at(tree, `slots.${i}`)
    if (!isTensor(t)) return bad(`the optimizer slot ${name} is missing`, name)
    if (slots.has(name)) return bad(`the optimizer slot ${name} is there twice`, name)
    const wrong = slotProblem(known, name, t)
    if (wrong !== null) return bad(`the optimizer slot ${name}: ${wrong}`, name)
    slots.set(name, t)
  }
  return leaves(isTensor, at(tree, 'slots')).length === slots.size
    ? E.right(Object.fromEntries(slots))
    : bad('it has optimizer slots without a name')
}

/**
 * Reads a checkpoint of a network whose fresh training state is `like`. Every leaf must be there, of its shape and meaning (a power-of-two
 * scale is not taken for a float one), and counts must count; anything else is a `ParseError`. A checkpoint of version 1 is read too; where
 * its quantizers had begun to learn, `layer` is needed, because then a counter meant collecting or learned by the layer's options.
 */
export const parseCheckpoint =
  <P, S>(like: TrainState<P, S>, layer?: AnyLayer) =>
  (bytes: Uint8Array): E.Either<QuantErrors, TrainState<P, S>> => {
    const problems = [
      ...trainStateProblems('parseCheckpoint', like),
      ...(layer === undefined ? [] : layerProblems('parseCheckpoint', layer)),
    ]
    if (problems.length > 0) return E.left(problems)
    const parsed = parseTensors(bytes)
    if (E.isLeft(parsed)) return parsed
    const tree: unknown = parsed.right
    const counts = readCounts(at(tree, 'counts'))
    if (E.isLeft(counts)) return counts
    const names = readNames(at(tree, 'slotNames'))
    if (E.isLeft(names)) return names
    const trees = readWhole(
      like,
      collecting(wantedOfTrees(like), layer),
      'checkpoint',
    )({ params: at(tree, 'params'), state: at(tree, 'state') })
    if (E.isLeft(trees)) return trees
    const slots = readSlots(tree, names.right, memorable(like))
    if (E.isLeft(slots)) return slots
    const [step, optimStep, epoch, batch] = counts.right
    return E.right({
      params: trees.right.params,
      state: trees.right.state,
      optim: { step: optimStep, slots: slots.right },
      position: { epoch, batch },
      step,
    })
  }
