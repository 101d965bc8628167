/** Training states as bytes and back: what a kill can't lose. */
import * as E from 'fp-ts/lib/Either.js'
import { parseTensors, tensorsToBytes } from '../../data/binary.js'
import type { QuantErrors } from '../../data/error.js'
import { sameShape, showShape } from '../../data/shape.js'
import { isTensor, tensorOf, type Tensor } from '../../data/tensor.js'
import { at, leaves } from '../../data/tree.js'
import type { TrainState } from './trainState.js'

/** Names of slots hold dots and colons, which separate paths; so each slot stands under a number, its name beside it. */
const slotNames = (slots: { readonly [name: string]: Tensor }): readonly string[] => Object.keys(slots)

/** A training state as bytes (format version 1 of `tensorsToBytes`). */
export const checkpointToBytes = <P, S>(t: TrainState<P, S>): Uint8Array => {
  const names = slotNames(t.optim.slots)
  const text = new TextEncoder().encode(JSON.stringify(names))
  return tensorsToBytes({
    params: t.params,
    state: t.state,
    slots: names.map((n) => t.optim.slots[n]),
    slotNames: tensorOf([text.length], text),
    counts: tensorOf(
      [8],
      [t.step, t.optim.step, t.position.epoch, t.position.batch].flatMap((n) => [Math.floor(n / 65536), n % 65536]),
    ),
  })
}

const bad = (message: string): E.Either<QuantErrors, never> =>
  E.left<QuantErrors>([
    {
      tag: 'ParseError',
      where: 'checkpoint',
      path: '',
      message,
      fix: 'give a checkpoint that this network and version wrote, or start anew',
    },
  ])

/** Do two trees have the same leaves, of the same shapes? Says what doesn't fit. */
const misfit = (expected: unknown, found: unknown): string | null => {
  for (const { path, leaf } of leaves(isTensor, expected)) {
    const t = at(found, path)
    if (!isTensor(t)) return `${path} is missing`
    if (!sameShape(t.shape, leaf.shape))
      return `${path} has shape ${showShape(t.shape)}, but ${showShape(leaf.shape)} is expected`
  }
  return null
}

/** Reads a checkpoint of a network whose fresh training state is `like`; anything that doesn't fit is a typed error. */
export const parseCheckpoint =
  <P, S>(like: TrainState<P, S>) =>
  (bytes: Uint8Array): E.Either<QuantErrors, TrainState<P, S>> => {
    const parsed = parseTensors(bytes)
    if (E.isLeft(parsed)) return E.left(parsed.left)
    const tree: unknown = parsed.right
    const [counts, text] = [at(tree, 'counts'), at(tree, 'slotNames')]
    if (!isTensor(counts) || counts.data.length !== 8 || !isTensor(text)) return bad('it is no training state')
    const wrong = misfit({ params: like.params, state: like.state }, tree)
    if (wrong !== null) return bad(`it belongs to another network: ${wrong}`)
    const count = (i: number): number => counts.data[2 * i] * 65536 + counts.data[2 * i + 1]
    const names: unknown = parseJson(new TextDecoder().decode(Uint8Array.from(text.data)))
    if (!Array.isArray(names) || !names.every((n): n is string => typeof n === 'string'))
      return bad('the names of the optimizer slots are unreadable')
    const slots: [string, Tensor][] = []
    for (const [i, name] of names.entries()) {
      const t = at(tree, `slots.${i}`)
      if (!isTensor(t)) return bad(`the optimizer slot ${name} is missing`)
      slots.push([name, t])
    }
    return E.right({
      params: at(tree, 'params') as P,
      state: at(tree, 'state') as S,
      optim: { step: count(1), slots: Object.fromEntries(slots) },
      position: { epoch: count(2), batch: count(3) },
      step: count(0),
    })
  }

const parseJson = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}
