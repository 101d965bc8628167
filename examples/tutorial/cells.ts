/** The notebook from top to bottom: which cell hands what to which. */
import { cell1, cell2, cell3, cell4, cell5, cell6, cell7, cell8, cell9, cell10, cell11, cell12 } from './activations.js'
import { cell13, cell14 } from './reluOrder.js'
import { cell15, cell16, cell17, cell18, cell19, cell20, cell21, cell22, cell23, cell24 } from './statistics.js'
import type { Cell } from './notebook.js'

/** What is shown of a cell. */
export type Entry = { readonly cell: number; readonly about: string; readonly printed: readonly string[] }

const entry = (cell: number, about: string, { printed }: Cell<unknown>): Entry => ({ cell, about, printed })

/** Runs the cells in order, each when it is asked for. A cell throws where it deviates from the tutorial. */
export function* transcript(): Generator<Entry, void> {
  yield entry(1, 'A helper: assert a condition, then print it.', cell1())
  yield entry(2, 'QuantConv2d with outputQuant = QuantConv2d followed by QuantIdentity.', cell2())
  const c3 = cell3()
  yield entry(3, 'The same with a quantized input; it starts the random stream anew.', c3)
  const { inp } = c3.made
  const c4 = cell4(inp)
  yield entry(4, 'A disabled QuantIdentity is the identity.', c4)
  const c5 = cell5(inp)
  yield entry(5, 'An enabled one rounds to an 8-bit grid and can say which.', c5)
  const { outTensor } = c5.made
  yield entry(6, 'All values lie on that grid.', cell6(outTensor))
  yield entry(
    7,
    'A disabled layer that returns plain tensors drops the metadata.',
    cell7(c4.made.disabledQuantIdentity, outTensor),
  )
  yield entry(8, 'With returnQuantTensor it hands them on.', cell8(outTensor))
  yield entry(9, 'QuantReLU: ReLU, then an unsigned grid.', cell9(inp))
  yield entry(10, 'A disabled QuantReLU keeps the metadata of its input.', cell10(outTensor))
  yield entry(11, 'A disabled QuantSigmoid can not, and says so when it is traced.', cell11(outTensor))
  yield entry(12, 'ReLU works on values: a grid of unsigned integers with a zero point has negative ones.', cell12(inp))
  yield entry(13, 'Quantize, then ReLU: half of the grid is lost.', cell13(inp))
  const c14 = cell14(inp)
  yield entry(14, 'ReLU, then quantize: the whole grid is used.', c14)
  const c15 = cell15(c14.made.generator)
  yield entry(15, 'A collecting quantizer and two inputs, drawn from the stream that cell 14 left.', c15)
  const { quantIdentity, inp1, inp2 } = c15.made
  const c16 = cell16(quantIdentity, inp1, inp2)
  yield entry(16, 'While it collects, two batches in train have two scales.', c16)
  yield entry(17, 'In eval they have one.', cell17(c16.made.quantIdentity, inp1, inp2))
  yield entry(18, 'QuantHardTanh without a range is an error.', cell18())
  const c19 = cell19()
  yield entry(19, 'With a range it is not.', c19)
  yield entry(20, 'Its scale does not depend on the mode.', cell20(c19.made.quantHardTanh, inp1, inp2))
  const c21 = cell21(c15.made.generator)
  yield entry(21, 'Per tensor, the widest channel (0 … 3) sets the range of all.', c21)
  yield entry(22, 'How that layer is put together.', cell22(c21.made.perTensorQuantRelu))
  const c23 = cell23()
  yield entry(23, 'The same layer per channel.', c23)
  yield entry(24, 'Each channel has a range of its own.', cell24(c23.made.perChanQuantRelu, c21.made.inp3))
}
