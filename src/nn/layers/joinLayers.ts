/** Layers that join tensors: QuantEltwiseAdd and QuantCat. Both inputs go through one input quantizer, one call after the other. */
import { anything, flag, type Field } from '../../data/fields.js'
import type { Kit, Value } from '../../graph/op.js'
import { Int8ActPerTensorFloat } from '../../quantizers/presets.js'
import type { Quantizer } from '../../quantizers/quantizer.js'
import { NOT_CONFIGURED } from './activationLayers.js'
import { add, cat, dequantize, isQuantValue } from '../functions/index.js'
import { demandValues } from '../functions/support.js'
import { brokenLayer } from './checks.js'
import type { Layer, None, Traced } from './layer.js'
import { chosen, optionProblems, quantizerFields, recordOf, type Prefixed } from './options.js'
import { actSpec, optionalConfig, throughQuantizer, type QuantState } from './quantizing.js'

/** Options of joins. Input and output quantizers default to Int8ActPerTensorFloat; null disables them. */
export type JoinOptions = Prefixed<'input'> &
  Prefixed<'output'> & {
    readonly inputQuant?: Quantizer | null
    readonly outputQuant?: Quantizer | null
    readonly returnQuantTensor?: boolean
  }
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

const FIELDS: { readonly [name: string]: Field } = {
  inputQuant: anything,
  outputQuant: anything,
  returnQuantTensor: flag,
  ...quantizerFields('input'),
  ...quantizerFields('output'),
}

const joinLayer = <I>(
  name: string,
  given: unknown,
  values: (x: I) => unknown,
  join: (xs: readonly Value[], x: I, kit: Kit) => Value,
): Layer<None, JoinState, I> => {
  const options = recordOf(given)
  const input = chosen(name, options, 'inputQuant', Int8ActPerTensorFloat, 'input', 'act')
  const output = chosen(name, options, 'outputQuant', Int8ActPerTensorFloat, 'output', 'act')
  const problems = [...optionProblems(name, given, FIELDS), ...input.problems, ...output.problems]
  if (problems.length > 0) return brokenLayer(name, problems)
  const returnQuantTensor = options.returnQuantTensor === true
  return {
    layer: name,
    params: {},
    state: { inputQuant: actSpec(input.quantizer), outputQuant: actSpec(output.quantizer) },
    problems,
    source: {
      layer: name,
      options,
      takes: ['inputQuant', 'outputQuant', 'returnQuantTensor'],
      quantizers: { inputQuant: input.quantizer, outputQuant: output.quantizer },
    },
    config: {
      name,
      parts: [
        ['inputQuant', optionalConfig(input.quantizer)],
        ['outputQuant', optionalConfig(output.quantizer)],
        ['returnQuantTensor', String(returnQuantTensor)],
      ],
    },
    apply: (_params, state, x, kit) => {
      const [xs, inputQuant] = quantizeAll(input.quantizer, kit, state.inputQuant, demandValues(name, values(x)))
      const [y, outputQuant] = throughQuantizer(
        output.quantizer,
        kit,
        state.outputQuant,
        join(xs, x, kit),
        'outputQuant',
      )
      if (!returnQuantTensor)
        return [
          dequantize(y, `${name} does not return quant tensors; set returnQuantTensor: true`),
          { inputQuant, outputQuant },
        ]
      if (isQuantValue(y)) return [y, { inputQuant, outputQuant }]
      const bad = y.kit.failWith({
        tag: 'LayerError',
        layer: name,
        path: kit.path(),
        message: `${NOT_CONFIGURED}: ${name} was asked for a quant tensor, but the result is a plain tensor: ${kit.whyPlain(y)}`,
        fix: 'give it an inputQuant or outputQuant, or feed it quant tensors of one scale',
      })
      return [bad, { inputQuant, outputQuant }]
    },
  }
}

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
