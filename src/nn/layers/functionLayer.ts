/** A function of values as a layer. */
import type { QuantError } from '../../data/error.js'
import { argumentProblems, func, list, record, required, showGiven, text } from '../../data/fields.js'
import type { Kit, Value } from '../../graph/op.js'
import { brokenLayer } from './checks.js'
import type { Layer, None, Source } from './layer.js'

const FUNCTION_LAYER = { name: required(text), f: required(func), options: record, problems: list } as const

/** A layer without parameters and state: a function of values. */
export const functionLayer = <I = Value, O = Value>(
  name: string,
  f: (x: I, kit: Kit) => O,
  options: { readonly [k: string]: unknown } = {},
  problems: readonly QuantError[] = [],
  source?: Source,
): Layer<None, None, I, O> => {
  const wrong = argumentProblems('functionLayer', { name, f, options, problems }, FUNCTION_LAYER)
  return wrong.length > 0
    ? brokenLayer(typeof name === 'string' ? name : 'functionLayer', wrong)
    : {
        layer: name,
        params: {},
        state: {},
        problems,
        config: {
          name,
          parts: Object.entries(options)
            .filter(([, v]) => v !== undefined)
            .map(([k, v]) => [k, showGiven(v)] as const),
        },
        ...(source === undefined ? {} : { source }),
        apply: (_p, state, x, kit) => [f(x, kit), state],
      }
}
