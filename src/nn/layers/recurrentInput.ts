/** What recurrent layers are given: the sequence, and rows of states. */
import { showShape } from '../../data/shape.js'
import type { Kit, Value } from '../../graph/op.js'
import { isValue } from '../../graph/trace.js'
import { dequantize, reshape } from '../functions/index.js'
import type { Built, Place, RecurrentOptions, States } from './recurrentPlaces.js'

/** A row of states that a call was given, or a refusal. */
export const stateRow = (kit: Kit, b: Built, given: States, place: Place, batch: number): Value => {
  const row = 2 * place.layer + place.direction
  const isList = !isValue(given)
  const rows = isList ? given.length : (given.shape[0] ?? 0)
  const wanted = [batch, b.o.hiddenSize]
  const refuse = (refused: string): Value =>
    kit.fail({
      op: b.cell.name,
      refuse: refused,
      fix: `give states as [rows, ${batch}, ${b.o.hiddenSize}] or a list of ${showShape(wanted)}; layer l takes row 2*l + direction, with one direction too (as in Brevitas)`,
    })
  if (row >= rows)
    return refuse(
      isList
        ? `list index out of range: state ${row} of ${rows}`
        : `index ${row} is out of bounds for dimension 0 with size ${rows}`,
    )
  const state = isList ? given[row] : given
  const shape = isList ? state.shape : state.shape.slice(1)
  if (showShape(shape) !== showShape(wanted))
    return refuse(`a state has shape ${showShape(shape)}, but ${showShape(wanted)} is wanted`)
  if (isList) return state
  const one = kit.emit('slice', [dequantize(state)], { dim: 0, start: row, end: row + 1 })
  return reshape(one, wanted)
}

/** What does not fit of the input, or null. */
export const misfit = (o: RecurrentOptions, { shape }: Value): string | null => {
  if (shape.length !== 3) return `an input ${showShape(shape)} is no sequence of batches`
  if (shape[2] !== o.inputSize)
    return `its input ${showShape(shape)} has ${shape[2]} features, but inputSize is ${o.inputSize}`
  return shape[o.batchFirst ? 1 : 0] > 0 ? null : `its input ${showShape(shape)} has no step of time`
}
