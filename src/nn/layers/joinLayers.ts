/** Layers that join tensors: QuantEltwiseAdd and QuantCat. Both inputs go through one input quantizer, one call after the other. */
import type { Kit, Value } from '../../graph/op.js'
import { Int8ActPerTensorFloat } from '../../quantizers/presets.js'
import type { Quantizer } from '../../quantizers/quantizer.js'
import { NOT_CONFIGURED } from './refusing.js'
import { add, cat, isQuantValue } from '../functions/index.js'
import { demandValues } from '../functions/support.js'
import type { Layer, None, Traced } from './layer.js'
import { bare, quantizedLayer, type PlaceOptions, type ReturnOption } from './quantizedLayer.js'
import { actSpec, throughQuantizer, type QuantState } from './quantizing.js'

const PLACES = {
  /** Both inputs go through it. Default Int8ActPerTensorFloat; null disables it. */
  inputQuant: { fallback: Int8ActPerTensorFloat, prefix: 'input', use: 'act' },
  /** Default Int8ActPerTensorFloat; null disables it. */
  outputQuant: { fallback: Int8ActPerTensorFloat, prefix: 'output', use: 'act' },
} as const

/** Options of joins. Input and output quantizers default to Int8ActPerTensorFloat; null disables them. */
export interface JoinOptions extends PlaceOptions<typeof PLACES>, ReturnOption {}
/** State of the quantizers of a join. */
export type JoinState = { readonly inputQuant: QuantState; readonly outputQuant: QuantState }

/** Sends each value through the one input quantizer, threading its state from call to call. */
const quantizeAll = (
  q: Quantizer | null,
  kit: Kit,
  state: Traced<QuantState>,
  xs: readonly Value[],
): readonly [readonly Value[], Traced<QuantState>] => {
  let s = state
  const out = xs.map((x) => {
    const [y, after] = throughQuantizer(q, kit, s, x, 'inputQuant')
    s = after
    return y
  })
  return [out, s]
}

const notJoined = (kit: Kit, layer: string, y: Value): Value =>
  y.kit.failWith({
    tag: 'LayerError',
    layer,
    path: kit.path(),
    message: `${NOT_CONFIGURED}: ${layer} was asked for a quant tensor, but the result is a plain tensor: ${kit.whyPlain(y)}`,
    fix: 'give it an inputQuant or outputQuant, or feed it quant tensors of one scale',
  })

const joinLayer = <I>(
  name: string,
  options: unknown,
  values: (x: I) => unknown,
  join: (xs: readonly Value[], x: I, kit: Kit) => Value,
): Layer<None, JoinState, I> =>
  quantizedLayer({
    name,
    options,
    own: {},
    places: PLACES,
    build: (q, _own, returnQuantTensor) => ({
      params: {},
      state: { inputQuant: actSpec(q.inputQuant), outputQuant: actSpec(q.outputQuant) },
      apply: (_params, state: Traced<JoinState>, x: I, kit): readonly [Value, Traced<JoinState>] => {
        const [xs, inputQuant] = quantizeAll(q.inputQuant, kit, state.inputQuant, demandValues(name, values(x)))
        const joined = join(xs, x, kit)
        const [y, outputQuant] = throughQuantizer(q.outputQuant, kit, state.outputQuant, joined, 'outputQuant')
        const after = { inputQuant, outputQuant }
        if (!returnQuantTensor) return [bare(name, y), after]
        return [isQuantValue(y) ? y : notJoined(kit, name, y), after]
      },
    }),
  })

/** `a + b` with a shared input quantizer and an output quantizer (brevitas.nn.QuantEltwiseAdd). */
export const QuantEltwiseAdd = (options: JoinOptions = {}): Layer<None, JoinState, readonly [Value, Value]> =>
  joinLayer<readonly [Value, Value]>(
    'QuantEltwiseAdd',
    options,
    (x) => x,
    ([a, b]) => add(a, b),
  )

/** What QuantCat joins, and along which axis (default 1). */
export type CatInput = { readonly values: readonly Value[]; readonly dim?: number }

/** Concatenation with a shared input quantizer and an output quantizer (brevitas.nn.QuantCat). */
export const QuantCat = (options: JoinOptions = {}): Layer<None, JoinState, CatInput> =>
  joinLayer<CatInput>(
    'QuantCat',
    options,
    (x) => (typeof x === 'object' && x !== null && 'values' in x ? x.values : x),
    (xs, x, kit) =>
      xs.length > 0
        ? cat(xs, x.dim ?? 1)
        : kit.fail({ op: 'QuantCat', refuse: 'there is nothing to join', fix: 'give at least one value' }),
  )
