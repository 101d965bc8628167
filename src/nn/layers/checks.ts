/** What is asked of layers and forwards wherever a user hands them over; not public. */
import { failure, type QuantError } from '../../data/error.js'
import { isEither, showGiven } from '../../data/fields.js'
import { isInvalid } from '../../graph/builder.js'
import type { Kit } from '../../graph/op.js'
import { isValue } from '../../graph/trace.js'
import type { AnyLayer, Layer } from './layer.js'

const isRecord = (x: unknown): x is { readonly [name: string]: unknown } =>
  typeof x === 'object' && x !== null && !Array.isArray(x)

/** Is it a layer? */
export const isLayer = (x: unknown): x is AnyLayer =>
  isRecord(x) &&
  typeof x.layer === 'string' &&
  typeof x.apply === 'function' &&
  [x.params, x.state, x.config].every(isRecord) &&
  Array.isArray(x.problems)

/** What is wrong with what was given as a layer, its own problems included; nothing if nothing is. */
export const layerProblems = (asker: string, x: unknown): readonly QuantError[] => {
  if (isLayer(x)) return x.problems
  const called = typeof x === 'function' && x.name !== '' ? x.name : 'QuantIdentity'
  const [message, fix] =
    typeof x === 'function'
      ? [`was given ${showGiven(x)} itself`, `call it: ${called}(), or ${called}({ … }) with its options`]
      : [
          `was given ${showGiven(x)}`,
          isEither(x) ? 'unwrap it with orThrow' : 'make one: QuantIdentity(), for instance',
        ]
  return [{ tag: 'ConfigError', option: 'layer', path: '', message: `${asker} takes a layer, and ${message}`, fix }]
}

/** What a forward returned, or a throw where it is no pair. */
export const pairOf = <O, S>(layer: string, returned: readonly [O, S]): readonly [O, S] => {
  if (Array.isArray(returned) && returned.length === 2 && (returned[1] === undefined || isRecord(returned[1])))
    return returned
  throw failure([
    {
      tag: 'LayerError',
      layer,
      path: '',
      message: `the forward of ${layer} returned ${showGiven(returned)}; it must return a pair, [y, state]: its result, and the new state of its layers by name`,
      fix: 'end it with return [y, { fc, act }], of the states that the calls of layers.fc and layers.act gave',
    },
  ])
}

/**
 * Calls a layer, and looks at what its forward returns. A value that failed already goes through untouched: what a layer would say of it,
 * or of its own parameters beside it, would be no error of the user's.
 */
export const called = <P, S, X, Y, T>(
  layer: { readonly layer: string; apply(params: P, state: S, x: X, kit: Kit): readonly [Y, T] },
  params: P,
  state: S,
  x: X,
  kit: Kit,
): readonly [Y, T] => {
  if (isValue(x) && isInvalid(x)) return [x as never, state as never]
  const call = (): readonly [Y, T] => pairOf(layer.layer, layer.apply(params, state, x, kit))
  return kit.onCall === undefined ? call() : kit.onCall(x, call)
}

/** A layer of which nothing is known but what is wrong with it. `init` and `trace` report that; its forward throws it. */
export const brokenLayer = <P, S, I, O>(name: string, problems: readonly QuantError[]): Layer<P, S, I, O> => ({
  layer: name,
  params: {},
  state: {},
  problems,
  config: { name, parts: [] },
  apply: () => {
    throw failure(problems)
  },
})
