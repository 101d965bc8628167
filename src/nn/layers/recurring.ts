/** How recurrent layers are assembled: a description of each, of which the quantized layer is made. */
import type { Resolved } from '../../data/fields.js'
import type { Quantizer } from '../../quantizers/quantizer.js'
import type { Layer, TensorTree } from './layer.js'
import type { Schema } from './options.js'
import { quantizedLayer, type Assembly, type Places, type Quantizers } from './quantizedLayer.js'
import { forwards, type Recurrent, type RecurrentInput } from './recurrent.js'
import { sharedProblems, type Cell, type RecurrentOptions } from './recurrentPlaces.js'

/** What a recurrent layer is made of once its options are known: its cell, and the quantizers that every one has. */
export type CellSpec = {
  readonly o: RecurrentOptions
  readonly cell: Cell
  readonly weight: Quantizer | null
  readonly bias: Quantizer | null
  readonly io: Quantizer | null
}

/** A recurrent layer, described. */
export type Recurring<F extends Schema, L extends Places, O> = {
  readonly name: string
  readonly options: unknown
  readonly own: F
  readonly known?: Schema
  readonly places: L
  readonly problems?: NonNullable<Assembly<F, L, unknown, unknown, unknown, unknown, never>['problems']>
  readonly specOf: (quantizers: Quantizers<L>, options: Resolved<F>) => CellSpec
  /** Names the parts of the result. */
  readonly finish: (r: Recurrent, cell: Cell) => O
}

/** The layer. */
export const recurrentLayer = <I extends RecurrentInput, O, F extends Schema, L extends Places>({
  specOf,
  finish,
  ...described
}: Recurring<F, L, O>): Layer<TensorTree, TensorTree, I, O> =>
  quantizedLayer({
    ...described,
    problems: (q, options, returnQuantTensor) => {
      const { o, io } = specOf(q, options)
      return [
        ...sharedProblems(described.name, o, io, returnQuantTensor),
        ...(described.problems?.(q, options, returnQuantTensor) ?? []),
      ]
    },
    printed: (options) => ({ numLayers: String(options.numLayers) }),
    inside: (q, options) => ({ quantizers: cellQuantizers(specOf(q, options)) }),
    build: (q, options, returnQuantTensor) => forwards<I, O>({ ...specOf(q, options), returnQuantTensor }, finish),
  })

/** Its quantizers by where they stand: those of the cell under the cell's names. */
const cellQuantizers = ({ cell, weight, bias }: CellSpec) => ({
  weightQuant: weight,
  biasQuant: bias,
  ...Object.fromEntries(cell.quantizers.map((q) => [q.name, q.quantizer] as const)),
})
