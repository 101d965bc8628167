/** Which batch norm can go into which layer, and why another can't. */
import * as E from 'fp-ts/lib/Either.js'
import type { Value } from '../../graph/op.js'
import type { ChannelMap, Side, TensorTree, TrainedLayer, Unmerged } from '../layers/layer.js'
import { countProblem } from './into.js'
import { onlyUsedIn, type Flow } from './flow.js'
import { branchAt, type Placed } from './places.js'

/** A network's numbers. */
export type Numbers = { readonly params: TensorTree; readonly state: TensorTree }

/** A batch norm that can be merged: into which layer, on which side of it, and what becomes of that. */
export type Pair = { readonly norm: Placed; readonly into: Placed; readonly side: Side; readonly became: TrainedLayer }

/** The numbers of the layer at a path. */
export const trainedAt = ({ path, layer }: Placed, { params, state }: Numbers): TrainedLayer => ({
  layer,
  params: branchAt(params, path),
  state: branchAt(state, path),
})

const ELSEWHERE = {
  why: 'it stands beside no layer with weights',
  fix: 'put it behind (or, without a quantizer between, in front of) a convolution, transposed convolution or linear layer, or fold it into a layer of its own: fold: true, or BatchNorm2dToQuantScaleBias with foldBatchNorm',
}

const oneCall = (flow: Flow, { path, layer }: Placed): E.Either<Unmerged, { readonly x: Value; readonly y: Value }> => {
  const calls = flow.calls.get(path) ?? []
  const [call] = calls
  if (calls.length === 1 && call.x !== null && call.y !== null) return E.right({ x: call.x, y: call.y })
  return E.left({
    why: `${layer.layer} ${path} is called ${calls.length === 0 ? 'nowhere' : `${calls.length} times`}`,
    fix:
      calls.length > 1
        ? 'a layer that is called several times serves them all: give each call a layer of its own'
        : 'leave it out of the network, or call it',
  })
}

/** The layer next to a batch norm that has weights, on the other side of this value. */
const neighbour = (flow: Flow, side: Side, value: Value): Placed | undefined =>
  [...flow.layers.values()].find(
    ({ path, layer }) =>
      layer.absorb !== undefined &&
      (flow.calls.get(path) ?? []).some((c) => (side === 'behind' ? c.y : c.x)?.id === value.id),
  )

const shared = (flow: Flow, value: Value, alone: string): Unmerged => {
  const others = flow.users(value.id).filter((u) => u === null || !(u === alone || u.startsWith(`${alone}.`)))
  const named = (user: string | null): string =>
    user === null ? 'a result of the network' : user.replace(/^$/, 'the forward itself')
  const names = [...new Set(others.map(named))]
  return {
    why: `what goes from one to the other is also used by ${names.join(', ')}`,
    fix: 'merge changes these numbers: leave the batch norm, or give the other use a layer of its own',
  }
}

const wrongAxis = (axis: number, rank: number): Unmerged => ({
  why: `the batch norm normalises axis 1 of ${rank} axes, and the channels of the layer stand at axis ${axis}`,
  fix: 'feed a linear layer [N, C] and a convolution whole batches [N, C, …], or leave the batch norm',
})

/** Merges a batch norm into its neighbour on one side, if that is what the numbers allow. */
const attempt = (
  flow: Flow,
  numbers: Numbers,
  norm: Placed,
  { side, value, map }: { readonly side: Side; readonly value: Value; readonly map: ChannelMap },
): E.Either<Unmerged | null, Pair> => {
  const into = neighbour(flow, side, value)
  const absorb = into?.layer.absorb
  if (into === undefined || absorb === undefined) return E.left(null)
  const call = oneCall(flow, into)
  if (E.isLeft(call)) return call
  const rank = value.shape.length
  const axis = absorb.channels(rank)
  const [giver, taker] = side === 'behind' ? [into, norm] : [norm, into]
  const problem =
    absorb.against(side) ??
    (onlyUsedIn(flow, value.id, taker.path) ? null : shared(flow, value, taker.path)) ??
    (axis === 1 ? null : wrongAxis(axis, rank)) ??
    countProblem(absorb, side, map.factor.length)
  if (problem !== null || giver === taker) return E.left(problem)
  return E.map((became: TrainedLayer): Pair => ({ norm, into, side, became }))(
    absorb.take(trainedAt(into, numbers), map, side),
  )
}

const named = (side: Side, flow: Flow, value: Value, { why, fix }: Unmerged): Unmerged => {
  const into = neighbour(flow, side, value)
  return { why: `${side} ${into?.layer.layer ?? ''} ${into?.path ?? ''}: ${why}`, fix }
}

/** What can be done about one batch norm. */
export const pairOf = (flow: Flow, numbers: Numbers, norm: Placed): E.Either<Unmerged, Pair> => {
  const call = oneCall(flow, norm)
  if (E.isLeft(call)) return call
  const map = norm.layer.channelMap?.(trainedAt(norm, numbers)) ?? E.left(ELSEWHERE)
  if (E.isLeft(map)) return map
  const { x, y } = call.right
  const behind = attempt(flow, numbers, norm, { side: 'behind', value: x, map: map.right })
  if (E.isRight(behind)) return behind
  const before = attempt(flow, numbers, norm, { side: 'before', value: y, map: map.right })
  if (E.isRight(before)) return before
  const reasons = [
    ...(behind.left === null ? [] : [named('behind', flow, x, behind.left)]),
    ...(before.left === null ? [] : [named('before', flow, y, before.left)]),
  ]
  return E.left(reasons.length === 0 ? ELSEWHERE : { why: reasons.map((r) => r.why).join('; '), fix: reasons[0].fix })
}
