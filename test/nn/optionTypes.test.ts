/** What the compiler says of options: their types derive from the schemas by which they are checked. Checked by `npm run typecheck`. */
import * as assert from 'uvu/assert'
import {
  byDefault,
  count,
  flag,
  oneOf,
  orNull,
  required,
  resolvedBy,
  type OptionsOf,
  type Resolved,
} from '../../src/data/fields.js'
import * as q from '../../src/index.js'
import { suite } from '../support/suite.js'

const test = suite('types of options')

/** Never called: each line is a compile error, or none. */
export const calls = (): readonly q.AnyLayer[] => [
  q.QuantConv2d({ inChannels: 1, outChannels: 2, kernelSize: [3, 3], padding: 'same', weightBitWidth: 4 }),
  // @ts-expect-error an option that must be given
  q.QuantConv2d({ inChannels: 1, outChannels: 2 }),
  // @ts-expect-error a misspelt option
  q.QuantConv2d({ inChannels: 1, outChannels: 2, kernelSize: 3, strides: 2 }),
  // @ts-expect-error a misspelt option of a quantizer
  q.QuantConv2d({ inChannels: 1, outChannels: 2, kernelSize: 3, weightBitWdith: 4 }),
  // @ts-expect-error a value of another kind
  q.QuantConv2d({ inChannels: 1, outChannels: 2, kernelSize: '3' }),
  // @ts-expect-error a word that is not known
  q.QuantConv2d({ inChannels: 1, outChannels: 2, kernelSize: 3, paddingMode: 'zero' }),
  // @ts-expect-error a transposed convolution is not padded to the same size
  q.QuantConvTranspose2d({ inChannels: 1, outChannels: 2, kernelSize: 3, padding: 'same' }),
  // @ts-expect-error a quantizer of a place that the layer does not have
  q.QuantEmbedding({ numEmbeddings: 2, embeddingDim: 2, inputQuant: null }),
  // @ts-expect-error torch's own layer has no quantizers
  q.Linear({ inFeatures: 2, outFeatures: 2, weightQuant: null }),
  // @ts-expect-error a truncation where a quantizer stands
  q.QuantIdentity({ actQuant: q.RoundTo8bit }),
  q.TruncAvgPool2d({ kernelSize: 2, truncQuant: q.RoundTo8bit, bitWidth: 4 }),
  // @ts-expect-error a quantizer where a truncation stands
  q.TruncAvgPool2d({ kernelSize: 2, truncQuant: q.Int8ActPerTensorFloat }),
  q.QuantLSTM({ inputSize: 1, hiddenSize: 2, cellStateBitWidth: 4, catOutputCellStates: false }),
  // @ts-expect-error a misspelt option of a recurrent layer
  q.QuantGRU({ inputSize: 1, hiddenSize: 2, bidirectonal: true }),
  // @ts-expect-error an attention has no input quantizer of its own
  q.QuantMultiheadAttention({ embedDim: 2, numHeads: 1, inputQuant: null }),
]

const schema = { a: required(count), b: byDefault(flag, true), c: orNull(oneOf('x', 'y')) }
type Expected = { readonly a: number; readonly b?: boolean; readonly c?: 'x' | 'y' | null }
export const there = (x: OptionsOf<typeof schema>): Expected => x
export const back = (x: Expected): OptionsOf<typeof schema> => x
export const resolved = (x: Resolved<typeof schema>): readonly [number, boolean, 'x' | 'y' | null | undefined] => [
  x.a,
  x.b,
  x.c,
]

test('defaults stand in the schema', () => {
  assert.equal(resolvedBy({ a: 1 }, schema), { a: 1, b: true, c: undefined })
  assert.equal(resolvedBy({ a: 1, b: false, c: null }, schema), { a: 1, b: false, c: null })
})

test.run()
