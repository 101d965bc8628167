/** Gradients as trees: their norm, and what changes them before they are used. */
import { demandArguments, fieldProblems, required, type Field } from '../../data/fields.js'
import { sizeOf } from '../../data/shape.js'
import { isTensor, type Tensor } from '../../data/tensor.js'
import { leaves, mapTree } from '../../data/tree.js'
import type { Grads } from '../program/binding.js'
import { carrying, gradsField, type Carrying } from './options.js'

type GradTrees = Pick<Grads, 'params' | 'state'>
const eachGrad = <G extends GradTrees>(grads: G, f: (t: Tensor) => Tensor): G => {
  demandArguments('clipGradValue', { grads }, GRADS)
  return { ...grads, params: mapTree(isTensor, grads.params, f), state: mapTree(isTensor, grads.state, f) }
}

const GRADS = { grads: required(gradsField) }

/** The norm of all gradients together, in double. */
export const gradNorm = (grads: GradTrees): number => {
  demandArguments('gradNorm', { grads }, GRADS)
  let sum = 0
  for (const { leaf } of [...leaves(isTensor, grads.params), ...leaves(isTensor, grads.state)])
    for (let i = 0; i < sizeOf(leaf.shape); i++) sum += leaf.data[i] * leaf.data[i]
  return Math.sqrt(sum)
}

/** Where gradients are cut. Infinity cuts nothing. */
const limitField: Field = { says: 'a number from 0 on', like: '1', holds: (x) => typeof x === 'number' && x >= 0 }

/** Changes gradients; made with a wrong number it carries that as `problems`, which `train` reports and a call throws. */
export type GradTransform = Carrying<<G extends GradTrees>(grads: G) => G>

/** Gradients scaled down so that their common norm is at most `maxNorm`, from 0 on (torch clip_grad_norm_). */
export const clipGradNorm = (maxNorm: number): GradTransform =>
  carrying(
    fieldProblems('clipGradNorm', { maxNorm }, { maxNorm: required(limitField) }),
    <G extends GradTrees>(grads: G): G => {
      const factor = Math.fround(maxNorm / (gradNorm(grads) + 1e-6))
      return factor >= 1 ? grads : eachGrad(grads, (t) => ({ shape: t.shape, data: t.data.map((x) => x * factor) }))
    },
  ) as GradTransform

/** Gradients cut to `-limit … limit`, from 0 on (torch clip_grad_value_). */
export const clipGradValue = (limit: number): GradTransform =>
  carrying(
    fieldProblems('clipGradValue', { limit }, { limit: required(limitField) }),
    <G extends GradTrees>(grads: G): G =>
      eachGrad(grads, (t) => ({
        shape: t.shape,
        data: t.data.map((x) => {
          if (x > limit) return limit
          return x < -limit ? -limit : x
        }),
      })),
  ) as GradTransform
