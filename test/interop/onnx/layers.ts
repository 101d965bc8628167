/** Layers of a line or two, and what a program of them gives. */
import * as q from '../../../src/index.js'

/** Values by name: parameters. */
export type Values = { readonly [name: string]: q.Value }
/** Numbers by name. */
export type Numbers = { readonly [name: string]: q.Tensor }

/** A layer whose parameters are these numbers. */
export const layerWith = (
  numbers: Numbers,
  f: (x: q.Value, p: Values, kit: q.Kit) => q.Value,
): q.Layer<unknown, unknown> => {
  const params = Object.fromEntries(
    Object.entries(numbers).map(([k, t]) => [
      k,
      { shape: t.shape, learned: false, init: (g: q.Generator): readonly [q.Tensor, q.Generator] => [t, g] },
    ]),
  )
  const apply = (p: Values, _state: Values, x: q.Value, kit: q.Kit): readonly [q.Value, object] => [f(x, p, kit), {}]
  return { layer: 'own', problems: [], config: { name: 'own', parts: [] }, params, state: {}, apply } as never
}

/** Its program in eval, with its own numbers, and what it gives for an input. */
export const madeOf = (layer: q.Layer<unknown, unknown>, inputs: q.Tensor) => {
  const program = q.orThrow(q.trace(layer, q.tensorInput(inputs.shape), { mode: 'eval' }))
  const fixed = q.orThrow(q.init(layer, 0))
  const ours = q.valueOf(q.orThrow(q.run(program, { ...fixed, inputs })).outputs as q.Output)
  return { program, fixed, inputs, ours }
}

/** Numbers around 0, each another. */
export const spread = (shape: readonly number[], step = 0.37): q.Tensor => {
  const n = shape.reduce((a, b) => a * b, 1)
  return q.tensorOf(
    shape,
    Array.from({ length: n }, (_, i) => ((i * 7) % n) * step - (n * step) / 2.1),
  )
}
