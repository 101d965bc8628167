/** QuantEmbedding: rows of a quantized table (SEMANTICS-3, 5). */
import type { QuantError } from '../../data/error.js'
import { anything, byDefault, count, flag, required, type OptionsOf, type Resolved } from '../../data/fields.js'
import { normal } from '../../data/random.js'
import type { Tensor } from '../../data/tensor.js'
import type { Kit, Value } from '../../graph/op.js'
import { Int8WeightPerTensorFloat } from '../../quantizers/presets.js'
import type { Quantizer } from '../../quantizers/quantizer.js'
import { demandValue } from '../functions/support.js'
import type { Layer, LeafSpec, Traced } from './layer.js'
import { recordOf, type Given } from './options.js'
import { bare, quantizedLayer, type PlaceOptions, type ReturnOption, type Schema } from './quantizedLayer.js'
import type { QuantState } from './quantizing.js'
import { isBinary, weigh, weightSpec } from './weighing.js'

/** The table; a binary one stands in state, because each forward clamps it. */
export type EmbeddingParams = { readonly weight?: Tensor }
/** State of the quantizer. */
export type EmbeddingState = { readonly weightQuant: QuantState; readonly weight?: Tensor }

const NAME = 'QuantEmbedding'
const OWN = {
  /** Rows of the table: indices are whole numbers below it. */
  numEmbeddings: required(count),
  embeddingDim: required(count),
  /** A row that starts as zeros and gets no gradient; negative ones count from the back. */
  paddingIdx: byDefault<number | null>(
    {
      says: 'a row of the table, negative from the back, or null',
      like: '0',
      holds: (x) => x === null || Number.isSafeInteger(x),
    },
    null,
  ),
  /** Divide the gradient of each row by its number of occurrences in the call (default false). */
  scaleGradByFreq: byDefault(flag, false),
}
const PLACES = {
  /** Default Int8WeightPerTensorFloat, per tensor always; null disables it. */
  weightQuant: { fallback: Int8WeightPerTensorFloat, prefix: 'weight', use: 'weight' },
} as const

/** Options of an embedding. */
export interface EmbeddingOptions extends OptionsOf<typeof OWN>, PlaceOptions<typeof PLACES>, ReturnOption {}
type Own = Resolved<typeof OWN>

/** Known in torch: refused with a reason of their own. */
const REFUSED: Schema = { maxNorm: anything, normType: anything, sparse: anything }

const problem = (option: string, message: string, fix: string): QuantError => ({
  tag: 'ConfigError',
  option,
  path: '',
  message: `${NAME}: ${message}`,
  fix,
})

const togetherProblems = (
  o: Own,
  given: Given,
  q: Quantizer | null,
  returnQuantTensor: boolean,
): readonly QuantError[] => {
  const out: QuantError[] = []
  if (given.maxNorm !== undefined && given.maxNorm !== null)
    out.push(
      problem(
        'maxNorm',
        'max_norm shortens the quantized rows in place, in Brevitas too, so that they leave their grid',
        'leave it out; decay the weights instead, adamW({ weightDecay: 0.01 }) for instance',
      ),
    )
  if (given.sparse === true)
    out.push(
      problem('sparse', 'gradients are dense tensors, of which only the taken rows are written', 'leave sparse out'),
    )
  const pad = o.paddingIdx ?? 0
  if (pad < -o.numEmbeddings || pad >= o.numEmbeddings)
    out.push(
      problem(
        'paddingIdx',
        `Padding_idx must be within num_embeddings: the table has ${o.numEmbeddings} rows, and row ${pad} was named`,
        `name a row from ${-o.numEmbeddings} to ${o.numEmbeddings - 1}`,
      ),
    )
  if (q === null && returnQuantTensor)
    out.push(
      problem(
        'returnQuantTensor',
        'Enable weight quantization to return QuantTensor: weightQuant is null',
        'give it a weightQuant, or drop returnQuantTensor',
      ),
    )
  if (q !== null && q.scalingPerOutputChannel)
    out.push(
      problem(
        'weightQuant',
        `Only per-tensor quantization is supported. ${q.name} has a scale per row`,
        'choose Int8WeightPerTensorFloat, or weightScalingPerOutputChannel: false',
      ),
    )
  return out
}

const tableLeaf = (o: Own): LeafSpec => {
  const shape = [o.numEmbeddings, o.embeddingDim]
  const pad = o.paddingIdx
  return {
    shape,
    learned: true,
    init: (g) => {
      const [t, next] = normal(0, 1, shape)(g)
      if (pad === null) return [t, next]
      const from = (pad < 0 ? pad + o.numEmbeddings : pad) * o.embeddingDim
      return [{ shape, data: t.data.map((w, i) => (i >= from && i < from + o.embeddingDim ? 0 : w)) }, next]
    },
  }
}

/** Says that what was given are no indices. */
const notIndices = (kit: Kit, x: Value): Value =>
  x.kit.failWith({
    tag: 'InputError',
    input: NAME,
    path: kit.path(),
    message: `${NAME} takes indices, whole numbers that name rows, and was given a tensor of ${x.dtype}s`,
    fix: 'declare the input as indices: integerInput([batch, length])',
  })

/** State and forward of an embedding whose options are right. */
const embedding = (o: Own, q: Quantizer | null, returnQuantTensor: boolean) => {
  const weight = tableLeaf(o)
  const attrs = { paddingIdx: o.paddingIdx, scaleGradByFreq: o.scaleGradByFreq }
  return {
    params: isBinary(q) ? {} : { weight },
    state: { ...(isBinary(q) ? { weight } : {}), weightQuant: weightSpec(q, weight.shape, 0) },
    apply: (
      p: Traced<EmbeddingParams>,
      s: Traced<EmbeddingState>,
      indices: Value,
      kit: Kit,
    ): readonly [Value, Traced<EmbeddingState>] => {
      demandValue(NAME, indices)
      const stored = p.weight ?? s.weight
      if (indices.dtype !== 'integer' || stored === undefined) return [notIndices(kit, indices), s]
      const place = kit.path() === '' ? '' : `${kit.path()}.`
      const own = { value: stored, leaf: `${place}weight` }
      const done = weigh(q, kit, s.weightQuant, [own], { axis: 0, leaf: `${place}weightQuant` })
      const y = kit.emit('gatherRows', [done.weights[0], indices], attrs)
      return [
        returnQuantTensor ? y : bare(NAME, y),
        { weightQuant: done.state, ...(done.clamped === null ? {} : { weight: done.clamped[0] }) },
      ]
    },
  }
}

/**
 * Rows of a quantized table by their indices (brevitas.nn.QuantEmbedding): the whole table is quantized, per tensor, then rows are taken.
 * Takes indices of any shape (`integerInput`), gives `[.., embeddingDim]`. Gradients go to the rows that were taken, and through the
 * table's scale to its largest element.
 */
export const QuantEmbedding = (o: EmbeddingOptions): Layer<EmbeddingParams, EmbeddingState> =>
  quantizedLayer({
    name: NAME,
    options: o,
    own: OWN,
    known: REFUSED,
    places: PLACES,
    problems: (q, own, returnQuantTensor) => togetherProblems(own, recordOf(o), q.weightQuant, returnQuantTensor),
    build: ({ weightQuant: q }, own, returnQuantTensor) => embedding(own, q, returnQuantTensor),
  })
