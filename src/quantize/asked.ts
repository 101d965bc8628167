/** What is asked of the networks and options that the steps of a quantization are given. */
import type { QuantErrors } from '../data/error.js'
import { anything, argumentProblems, fieldProblems, list, required, shaped, type Field } from '../data/fields.js'
import { backendProblems } from '../evaluator/checks.js'
import { layerProblems } from '../nn/layers/checks.js'
import { treeProblems } from '../nn/merging/into.js'
import { treesProblems } from '../nn/program/wanted.js'
import type { Trained } from './types.js'

const whole = { net: required(anything), params: required(anything), state: required(anything) }

const QUANTIZED = required({
  ...shaped('what quantize gave, unwrapped', {
    ...whole,
    inputs: required(anything),
    float: required(anything),
    report: required(shaped('a report', { layers: required(list) })),
  }),
  like: 'orThrow(quantize(…))',
})
const FLOAT = required({ ...shaped('a network with its params and state', whole), like: 'quantized.float' })

/** A network and numbers that are its own. */
const trainedProblems = (asker: string, what: string, given: unknown): QuantErrors => {
  const { net, ...numbers } = given as Trained<unknown, unknown>
  const wrong = [...layerProblems(asker, net), ...treesProblems(asker, what, numbers)]
  return wrong.length > 0 ? wrong : treeProblems(net, numbers, `${what} of ${asker}`)
}

/**
 * What is wrong with a quantized network, the float one beside it where one is asked for, and options, a backend among
 * them.
 */
export const askedProblems = (
  asker: string,
  quantized: unknown,
  options: unknown,
  fields: { readonly [name: string]: Field },
  ...floats: readonly unknown[]
): QuantErrors => {
  const wrong = [
    ...argumentProblems(asker, { quantized }, { quantized: QUANTIZED }),
    ...floats.flatMap((float) => argumentProblems(asker, { float }, { float: FLOAT })),
    ...fieldProblems(asker, options, fields),
  ]
  const { backend }: { backend?: unknown } = Object(options)
  const others = wrong.length > 0 || backend === undefined ? wrong : backendProblems(asker, backend)
  if (others.length > 0) return others
  const { float } = quantized as { readonly float: unknown }
  const inside = argumentProblems(asker, { 'quantized.float': float }, { 'quantized.float': FLOAT })
  if (inside.length > 0) return inside
  return [
    ...trainedProblems(asker, 'quantized', quantized),
    ...[float, ...floats].flatMap((f) => trainedProblems(asker, 'float', f)),
  ]
}
