/** Models: layers under names, wired by a forward that must hand back every layer's new state. */
import { failure, type QuantError } from '../../data/error.js'
import {
  argumentProblems,
  demand,
  demandArguments,
  func,
  nearestName,
  record,
  required,
  shaped,
  type Field,
} from '../../data/fields.js'
import type { Kit, Value } from '../../graph/op.js'
import { callSite } from '../../graph/builder.js'
import { newWatch, type Watch } from './watch.js'
import { DEEPEST, nameProblems, tooDeep } from './naming.js'
import { brokenLayer, called, isLayer, layerProblems, pairOf } from './checks.js'
import type {
  AnyLayer,
  InputOf,
  Layer,
  Next,
  None,
  OutputOf,
  ParamsOf,
  Source,
  SpecTree,
  StateOf,
  Traced,
} from './layer.js'

/** Layers by name. */
export type Layers = { readonly [name: string]: AnyLayer }

/** The parameters of a record of layers. */
export type ParamsOfAll<L extends Layers> = { readonly [K in keyof L]: ParamsOf<L[K]> }
/** The state of a record of layers. */
export type StateOfAll<L extends Layers> = { readonly [K in keyof L]: StateOf<L[K]> }
/** What a forward must hand back: the new state of each layer that has any. */
export type NextOfAll<L extends Layers> = {
  readonly [K in keyof L as StateOf<L[K]> extends None ? never : K]: Next<StateOf<L[K]>>
}

/** A layer as a model's forward calls it. */
export type Bound<L> = (
  params: Traced<ParamsOf<L>>,
  state: Traced<StateOf<L>>,
  x: InputOf<L>,
) => readonly [OutputOf<L>, Next<StateOf<L>>]

/** The layers of a model as its forward calls them. */
export type BoundAll<L extends Layers> = { readonly [K in keyof L]: Bound<L[K]> }

/** Names that are numbers would change their order inside a record. */
type ProperNames<L> = { readonly [K in keyof L]: K extends number | `${number}` ? never : L[K] }

const within =
  (name: string) =>
  (e: QuantError): QuantError => ({ ...e, path: e.path === '' ? name : `${name}.${e.path}` })

const trees = (layers: Layers, which: 'params' | 'state'): SpecTree =>
  Object.fromEntries(Object.entries(layers).map(([name, l]) => [name, l[which]]))

const LAYERS: Field = {
  says: 'a record of layers by name',
  like: '{ a: QuantIdentity(), b: QuantReLU() }',
  holds: (x) => /^\[object (Object|Module)\]$/.test(Object.prototype.toString.call(x)) && !isLayer(x),
}

/** What every combinator of layers shares. `more`: problems besides those of its layers. */
const combined = (
  name: string,
  layers: Layers,
  again: Pick<Source, 'rebuilt' | 'sequential'>,
  more: readonly QuantError[] = [],
  options: { readonly [option: string]: unknown } = {},
): Pick<Layer, 'layer' | 'params' | 'state' | 'problems' | 'config' | 'source'> => {
  const wrong = argumentProblems(name, { layers }, { layers: required(LAYERS) })
  if (wrong.length > 0) return brokenLayer(name, [...wrong, ...more])
  const depth = 1 + Math.max(0, ...Object.values(layers).map((l) => l?.source?.depth ?? 1))
  const problems = [
    ...nameProblems(Object.keys(layers)),
    ...Object.entries(layers).flatMap(([n, l]) => layerProblems(name, l).map(within(n))),
    ...(depth > DEEPEST ? [tooDeep(name)] : []),
    ...more,
  ]
  return problems.length > 0
    ? brokenLayer(name, problems)
    : {
        layer: name,
        params: trees(layers, 'params'),
        state: trees(layers, 'state'),
        problems,
        config: { name, parts: Object.entries(layers).map(([k, l]) => [k, l.config] as const) },
        source: { layer: name, options, takes: [], within: layers, depth, ...again },
      }
}

/** Layers by name, of which a name that is none is told with the nearest. */
const knownOnly = <B extends object>(bound: B): B =>
  new Proxy(bound, {
    get: (target, name, receiver): unknown => {
      if (typeof name === 'symbol' || name in target) return Reflect.get(target, name, receiver)
      const near = nearestName(name, Object.keys(target))
      throw failure([
        {
          tag: 'ConfigError',
          option: name,
          path: '',
          message: `the forward asked for layers.${name}, but the model has ${Object.keys(target).join(', ')}`,
          fix: near === undefined ? 'name a layer of the model' : `did you mean layers.${near}?`,
        },
      ])
    },
  })

const isBranch = (x: unknown): boolean => typeof x === 'object' && x !== null && !Array.isArray(x)

/** A layer of the model at `home`, bound to its name and watched; who hands it on to another layer calls it from there. */
const bind =
  (
    name: string,
    layer: AnyLayer,
    { kit, watch, home }: { readonly kit: Kit; readonly watch: Watch; readonly home: string },
  ) =>
  (params: never, state: never, x: never): unknown => {
    const missing = !isBranch(params) ? 'params' : 'state'
    if (!isBranch(params) || !isBranch(state)) {
      const bad = kit.failWith({
        tag: 'StateError',
        first: '',
        second: callSite(),
        path: kit.path(),
        message: `${name} was called without its ${missing}`,
        fix: `call layers.${name}(params.${name}, state.${name}, x)`,
      })
      return [bad, {}]
    }
    if (!watch.call(name, state, kit)) return [x, state]
    const [y, after] = kit.scoped(name, () => called(layer, params, state, x, kit), home)
    const handed = { ...(after as object) }
    watch.made(name, handed, Object.keys(layer.state).length > 0, kit)
    return [y, handed]
  }

/**
 * A model written by hand. `forward` gets its layers bound to their names; it must hand back the new state of every
 * layer that has any (old state, or a forgotten layer, is a compile error).
 * @example
 * ```ts
 * import { model, orThrow, QuantIdentity, QuantLinear, tensorInput, trace, type Value } from 'quantrace'
 *
 * const parts = { q: QuantIdentity({ returnQuantTensor: true }), fc: QuantLinear({ inFeatures: 4, outFeatures: 2 }) }
 * const net = model(parts, (layers, params, state, x: Value) => {
 *   const [a, q] = layers.q(params.q, state.q, x)
 *   const [y, fc] = layers.fc(params.fc, state.fc, a)
 *   return [y, { q, fc }]
 * })
 * orThrow(trace(net, tensorInput([1, 4]), { mode: 'train' }))
 * ```
 */
export const model = <const L extends Layers, I, O>(
  given: L & ProperNames<L>,
  forward: (
    layers: BoundAll<L>,
    params: Traced<ParamsOfAll<L>>,
    state: Traced<StateOfAll<L>>,
    x: I,
  ) => readonly [O, NextOfAll<L>],
): Layer<ParamsOfAll<L>, StateOfAll<L>, I, O> => {
  const layers = owned(given)
  return {
    ...combined(
      'model',
      layers,
      { rebuilt: (others) => model(others as never, forward as never) },
      argumentProblems('model', { forward }, { forward: required(func) }),
    ),
    apply: (params, state, x, kit) => {
      const watch = newWatch(state)
      const bound: Record<string, unknown> = {}
      const here = { kit, watch, home: kit.path() }
      for (const [name, l] of Object.entries(layers)) bound[name] = bind(name, l, here)
      const [y, after] = pairOf('model', forward(knownOnly(bound) as BoundAll<L>, params, state, x))
      watch.check(after ?? {}, kit)
      return [y, { ...state, ...after }]
    },
  }
}

/** A record of one's own, so that what is added to the given one later is no part of the network; what is no record is told as it is. */
const owned = <L>(layers: L): L => (LAYERS.holds(layers) ? { ...layers } : layers)

/** Layers that each take and give one value. */
type Links = {
  readonly [name: string]: AnyLayer & {
    apply(params: never, state: never, x: Value, kit: Kit): readonly [Value, unknown]
  }
}

type Named = { readonly [name: string]: unknown }

/**
 * One layer after the other, in the order of the record.
 * @example
 * ```ts
 * import { chain, init, orThrow, QuantLinear, QuantReLU } from 'quantrace'
 *
 * const net = chain({ fc: QuantLinear({ inFeatures: 4, outFeatures: 2 }), act: QuantReLU({ bitWidth: 4 }) })
 * console.log(Object.keys(orThrow(init(net, 0)).params))
 * ```
 * ```text
 * [ 'fc', 'act' ]
 * ```
 */
export const chain = <const L extends Links>(given: L & ProperNames<L>): Layer<ParamsOfAll<L>, StateOfAll<L>> => {
  const layers = owned(given)
  return {
    ...combined('chain', layers, { rebuilt: (others) => chain(others as never), sequential: true }),
    apply: (params, state, x, kit) => {
      let y = x
      const after: Record<string, unknown> = {}
      for (const [name, l] of Object.entries<Links[string]>(layers)) {
        const [out, s] = kit.scoped(name, () =>
          called(l, (params as Named)[name] as never, (state as Named)[name] as never, y, kit),
        )
        y = out
        after[name] = s
      }
      return [y, after as Traced<StateOfAll<L>>]
    },
  }
}

/**
 * `x + body(x)`, joined by `join` (default: the operator `+`). For a sum that stays quantized both branches need one
 * scale: end the body with the quantizer that made x, or join with QuantEltwiseAdd.
 */
export const residual = <P, S>(
  body: Layer<P, S>,
  join?: (x: Value, fx: Value) => Value,
): Layer<{ readonly body: P }, { readonly body: S }> => ({
  ...combined(
    'residual',
    { body },
    { rebuilt: ({ body: other }) => residual(other as Layer, join) },
    argumentProblems('residual', { join }, { join: func }),
    join === undefined ? {} : { join },
  ),
  apply: (params, state, x, kit) => {
    const [y, s] = kit.scoped('body', () => called(body, params.body as Traced<P>, state.body as Traced<S>, x, kit))
    return [join === undefined ? kit.emit('add', [x, y]) : join(x, y), { body: s } as Traced<{ readonly body: S }>]
  },
})

const kitField = shaped('the kit of a trace', { emit: required(func), scoped: required(func) })

/** A layer as an action of the fp-ts `State` monad, for those who like it. */
export const asState =
  <P, S, I, O>(layer: Layer<P, S, I, O>) =>
  (params: Traced<P>, kit: Kit) =>
  (x: I) =>
  (state: Traced<S>): [O, Traced<S>] => {
    demand(layerProblems('asState', layer))
    demandArguments(
      'asState',
      { params, state, kit },
      { params: required(record), state: required(record), kit: required(kitField) },
    )
    const [y, after] = layer.apply(params, state, x, kit)
    return [y, after]
  }
