/** One layer of ours as the call of its class in `brevitas.nn` or `torch.nn`. */
import type { QuantError } from '../../../data/error.js'
import type { AnyLayer, Source } from '../../../nn/layers/layer.js'
import { optionsOf } from '../../../nn/layers/options.js'
import { quantizerKeywords, joined, nothing, truncKeywords, type Written } from './quantizers.js'
import { literal, snake } from './python.js'

/** Presets that a class of Brevitas takes where nothing is said, by place. */
type Defaults = { readonly [place: string]: string | null }
type Class = { readonly module: 'qnn' | 'nn'; readonly places: Defaults }

const activation = (actQuant: string, inputQuant = true): Class => ({
  module: 'qnn',
  places: { ...(inputQuant ? { inputQuant: null } : {}), actQuant },
})
const weighted: Class = {
  module: 'qnn',
  places: { inputQuant: null, weightQuant: 'Int8WeightPerTensorFloat', biasQuant: null, outputQuant: null },
}
const join: Class = {
  module: 'qnn',
  places: { inputQuant: 'Int8ActPerTensorFloat', outputQuant: 'Int8ActPerTensorFloat' },
}
const attention: Class = {
  module: 'qnn',
  places: {
    qScaledQuant: 'Int8ActPerTensorFloat',
    kTransposedQuant: 'Int8ActPerTensorFloat',
    vQuant: 'Int8ActPerTensorFloat',
    softmaxInputQuant: null,
    attnOutputWeightsQuant: 'Uint8ActPerTensorFloat',
    sdpaOutputQuant: null,
  },
}
const brevitas: Class = { module: 'qnn', places: {} }
const torch: Class = { module: 'nn', places: {} }

const each = (names: string, made: Class): readonly (readonly [string, Class])[] =>
  names.split(' ').map((name) => [name, made])

/** Every class that a layer of ours has its name from. */
const CLASSES: ReadonlyMap<string, Class> = new Map([
  ['QuantIdentity', activation('Int8ActPerTensorFloat', false)] as const,
  ['QuantReLU', activation('Uint8ActPerTensorFloat')] as const,
  ['QuantSigmoid', activation('Uint8ActPerTensorFloat')] as const,
  ['QuantTanh', activation('Int8ActPerTensorFloat')] as const,
  ['QuantHardSwish', activation('Uint8ActPerTensorFloat')] as const,
  ['QuantHardTanh', activation('Int8ActPerTensorFloatMinMaxInit')] as const,
  ...each(
    'QuantLinear QuantConv1d QuantConv2d QuantConv3d QuantConvTranspose1d QuantConvTranspose2d QuantConvTranspose3d',
    weighted,
  ),
  ...each('QuantScaleBias BatchNorm1dToQuantScaleBias BatchNorm2dToQuantScaleBias', weighted),
  ['QuantEmbedding', { module: 'qnn', places: { weightQuant: 'Int8WeightPerTensorFloat' } }] as const,
  ...each('QuantEltwiseAdd QuantCat', join),
  ['QuantScaledDotProductAttention', attention] as const,
  ['ScaledDotProductAttention', { module: 'qnn', places: {} }] as const,
  ...each(
    'QuantUpsample QuantUpsamplingNearest2d QuantUpsamplingBilinear2d TruncAvgPool2d TruncAdaptiveAvgPool2d ScaleBias HadamardClassifier',
    brevitas,
  ),
  ...each('Linear Conv1d Conv2d Conv3d BatchNorm1d BatchNorm2d LayerNorm', torch),
  ...each(
    'ReLU ReLU6 Hardtanh LeakyReLU ELU GELU Sigmoid Tanh Softmax LogSoftmax Identity Flatten PixelShuffle PixelUnshuffle ZeroPad2d',
    torch,
  ),
  ...each(
    'MaxPool1d MaxPool2d MaxPool3d AvgPool1d AvgPool2d AdaptiveAvgPool2d AdaptiveMaxPool1d AdaptiveMaxPool2d Dropout Dropout2d Upsample',
    torch,
  ),
])

/** Options that are floats in torch, of which a whole number must keep its point. */
const FLOATS: readonly string[] = ['eps', 'momentum', 'negativeSlope', 'alpha', 'minVal', 'maxVal', 'p']

/** Layers whose ranges stand for themselves even without a quantizer. */
const RANGED: readonly string[] = ['QuantHardTanh', 'Hardtanh']

const refuse = (layer: string, path: string, message: string, fix: string): QuantError => ({
  tag: 'ExportError',
  op: layer,
  path,
  message,
  fix,
})

/** Arguments of the calls of attention, ours and torch's; some are options of the layer here. */
export const ATTENTION_CALL: { readonly [ours: string]: string } = {
  query: 'query',
  key: 'key',
  value: 'value',
  attnMask: 'attn_mask',
  dropoutP: 'dropout_p',
  isCausal: 'is_causal',
  scale: 'scale',
  enableGqa: 'enable_gqa',
}

/** Is it an attention, which is called by keywords? */
export const isAttention = (layer: string): boolean => /^(Quant)?ScaledDotProductAttention$/.test(layer)

/** Is it a layer that has a class of its own in Brevitas or torch? A copy under another name is its maker's. */
export const hasClass = (layer: AnyLayer): layer is AnyLayer & { readonly source: Source } =>
  layer.source !== undefined &&
  layer.source.within === undefined &&
  layer.source.layer === layer.layer &&
  CLASSES.has(layer.layer)

const isSet = (x: unknown): boolean => x !== undefined

/** What an option is worth to Python where it is none of a quantizer. */
const optionKeyword = (layer: string, path: string, name: string, value: unknown): Written => {
  const code = literal(value, FLOATS.includes(name))
  return code !== null
    ? { ...nothing, keywords: [[snake(name), code]] }
    : {
        ...nothing,
        refusals: [
          refuse(
            layer,
            path,
            `${layer}: the option ${name} is no data that Python could hold`,
            'give numbers, texts, flags or lists of them',
          ),
        ],
      }
}

/** What a class of torch refuses although the layer of ours takes it. */
const beyondTorch = ({ layer, options }: Source, path: string): readonly QuantError[] => [
  ...(options.correctMetadata === true
    ? [
        refuse(
          layer,
          path,
          `${layer}: correctMetadata has no counterpart: Brevitas has the quirk alone`,
          'leave correctMetadata out',
        ),
      ]
    : []),
  ...(/^Conv\dd$/.test(layer) &&
  options.padding === 'same' &&
  [options.stride].flat().some((n) => n !== undefined && n !== 1)
    ? [
        refuse(
          layer,
          path,
          `torch.nn.${layer} refuses padding 'same' with a stride`,
          `use Quant${layer} with weightQuant: null, or pad by numbers`,
        ),
      ]
    : []),
]

/** The keyword arguments of a layer: its geometry as it was given, then its quantizers. */
const keywordsOf = (source: Source, path: string): Written => {
  const { layer, options, quantizers = {} } = source
  const made = CLASSES.get(layer) ?? torch
  const places = Object.keys(made.places)
  const trunc = layer.startsWith('Trunc')
  const ofQuantizers = new Set(
    places.length === 0 && !trunc
      ? []
      : [
          ...places,
          'truncQuant',
          ...['', ...places.map((p) => p.replace(/Quant$/, '')).filter((p) => p !== 'act')].flatMap(optionsOf),
        ],
  )
  // Brevitas' ScaleBias has no default for its bias.
  const asked = layer === 'ScaleBias' ? { bias: true, ...options } : options
  const own = Object.entries(asked).filter(
    ([name, value]) =>
      isSet(value) &&
      name !== 'returnQuantTensor' &&
      !(isAttention(layer) && Object.hasOwn(ATTENTION_CALL, name)) &&
      name !== 'correctMetadata' &&
      (!ofQuantizers.has(name) || (RANGED.includes(layer) && /^(min|max)Val$/.test(name))),
  )
  return joined([
    ...own.map(([name, value]) => optionKeyword(layer, path, name, value)),
    ...places.map((place) => {
      const q = quantizers[place] ?? null
      return q !== null && q.use === 'trunc' ? nothing : quantizerKeywords(layer, path, place, q, made.places[place])
    }),
    ...(trunc && (quantizers.truncQuant === null || quantizers.truncQuant?.use === 'trunc')
      ? [truncKeywords(quantizers.truncQuant, options)]
      : []),
    ...(isSet(options.returnQuantTensor)
      ? [optionKeyword(layer, path, 'returnQuantTensor', options.returnQuantTensor)]
      : []),
  ])
}

/** A layer as the call of its class. */
export type Constructed = { readonly head: string; readonly args: readonly string[] } & Pick<
  Written,
  'imports' | 'refusals'
>

/** The call that makes a layer. */
export const constructed = (layer: AnyLayer & { readonly source: Source }, path: string): Constructed => {
  const { keywords, imports, refusals } = keywordsOf(layer.source, path)
  // A range may be an option of the layer and of its quantizer at once: it is one keyword.
  const byName = new Map(keywords)
  return {
    head: `${CLASSES.get(layer.layer)?.module ?? 'nn'}.${layer.layer}`,
    args: [...byName].map(([name, code]) => `${name}=${code}`),
    imports,
    refusals: [...refusals, ...beyondTorch(layer.source, path)],
  }
}
