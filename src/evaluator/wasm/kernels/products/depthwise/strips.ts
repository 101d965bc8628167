/**
 * Convolutions of one channel each (depthwise) and their gradients, as data: every plane is placed in a small room with margins,
 * whose rows are then multiplied by taps that stay in registers. A stride along the last axis parts the room's columns (forward)
 * or the result's (gradient) into two phases, so that vectors always hold neighbours and no gap is multiplied.
 */
import { sizeOf } from '../../../../../data/shape.js'
import { range } from '../code.js'
import type { Correlation } from '../geometry.js'

/** What of an axis of the source is placed: from where on, how many, where the first goes; and how long the room is. */
export type Span = { readonly first: number; readonly count: number; readonly to: number; readonly room: number }

/** A tap: its place in the kernel, and how far it reads from a position's place in the room, in rows or columns of a phase. */
export type AxisTap = { readonly tap: number; readonly at: number; readonly phase: number }

type Pair = readonly [rows: number, columns: number]

/** A correlation of planes with one kernel each. */
export type Strips = {
  readonly planes: number
  readonly channels: number
  readonly source: Pair
  readonly out: Pair
  readonly kernel: Pair
  readonly rows: Span
  /** The room's columns lie in phases, one behind the other in each row; of each there are so many. */
  readonly columns: Span
  readonly phases: 1 | 2
  readonly pitch: number
  /** Rows of the room from one turn to the next; a turn makes one row of the result for each list of taps. */
  readonly rowStep: number
  readonly rowTaps: readonly (readonly AxisTap[])[]
  /** The same of columns: with two lists, columns of the result are made in turn by one and the other. */
  readonly columnTaps: readonly (readonly AxisTap[])[]
}

/** An axis of a correlation. */
type Axis = {
  readonly source: number
  readonly target: number
  readonly step: number
  readonly lead: number
  readonly positions: number
  readonly stride: number
  readonly kernel: number
  readonly dilation: number
}

const ONE: Axis = { source: 1, target: 1, step: 1, lead: 0, positions: 1, stride: 1, kernel: 1, dilation: 1 }

/** Rows and columns of a correlation of at most two axes. */
const axesOf = ({ placement: p, positions, stride, kernel, dilation }: Correlation): readonly [Axis, Axis] => {
  const [row, column] = [
    ...range(2 - positions.length).map(() => ONE),
    ...positions.map((n, d) => ({
      source: p.source[d],
      target: p.target[d],
      step: p.step[d],
      lead: p.lead[d],
      positions: n,
      stride: stride[d],
      kernel: kernel[d],
      dilation: dilation[d],
    })),
  ]
  return [row, column]
}

/** Of `count` elements, those that have a place in a room of so many when the first goes to `lead`. */
const spanOf = (count: number, lead: number, room: number): Span => {
  const first = Math.min(count, Math.max(0, -lead))
  const end = Math.max(first, Math.min(count, room - lead))
  return { first, count: end - first, to: Math.max(0, lead), room }
}

const most = (taps: readonly AxisTap[]): number => Math.max(0, ...taps.map(({ at }) => at))
/** Whole vectors of four. */
const fours = (n: number): number => Math.ceil(n / 4) * 4

/** The taps of a forward convolution's axis, whose room lies in phases. */
const forwardTaps = ({ kernel, dilation }: Axis, phases: number): readonly AxisTap[] =>
  range(kernel).map((tap) => ({
    tap,
    at: Math.floor((tap * dilation) / phases),
    phase: (tap * dilation) % phases,
  }))

/** The gradient of an axis: for each phase of the stride its own taps, and the source without gaps. */
const backwardAxis = (a: Axis, turns: number): { readonly span: Span; readonly taps: Strips['rowTaps'] } => {
  const raw = range(a.step).map((phase) =>
    range(a.kernel).flatMap((t) => {
      const at = phase + t * a.dilation - a.lead
      return at % a.step === 0 ? [{ tap: a.kernel - 1 - t, at: at / a.step, phase: 0 }] : []
    }),
  )
  const before = Math.max(0, ...raw.flat().map(({ at }) => -at))
  const taps = raw.map((list) => list.map((tap) => ({ ...tap, at: tap.at + before })))
  return { span: spanOf(a.source, before, turns + most(taps.flat())), taps }
}

/** Is a correlation one of planes, of a kind that strips are made for, with so many taps at most? */
export const suitsDepthwise = (
  { from, to, positions, kernel, stride, placement }: Correlation,
  mostTaps: number,
): boolean => {
  const last = positions.length - 1
  return (
    from === 1 &&
    to === 1 &&
    last < 2 &&
    sizeOf(kernel) <= mostTaps &&
    stride[last] <= 2 &&
    placement.step.every((s) => s <= 2)
  )
}

const common = (c: Correlation, [row, column]: readonly [Axis, Axis]) => {
  const pair = (of: (a: Axis) => number): Pair => [of(row), of(column)]
  return {
    planes: c.batch * c.groups,
    channels: c.groups,
    source: pair((a) => a.source),
    out: pair((a) => a.positions),
    kernel: pair((a) => a.kernel),
  }
}

/** Rows of a forward convolution: one list of taps, the source in its place. */
const forwardRows = (row: Axis): Pick<Strips, 'rows' | 'rowStep' | 'rowTaps'> => ({
  rows: spanOf(row.source, row.lead, row.target),
  rowStep: row.stride,
  rowTaps: [forwardTaps(row, 1)],
})

/** The strips of a forward convolution in float32, and of the gradient to its weight. */
export const forwardStrips = (c: Correlation): Strips => {
  const axes = axesOf(c)
  const [row, column] = axes
  const phases = column.stride === 2 ? 2 : 1
  const taps = forwardTaps(column, phases)
  const pitch = Math.max(Math.ceil(column.target / phases), fours(column.positions) + most(taps))
  return {
    ...common(c, axes),
    ...forwardRows(row),
    columns: spanOf(column.source, column.lead, column.target),
    phases,
    pitch: fours(pitch),
    columnTaps: [taps],
  }
}

/** The strips of the gradient to the input. */
export const backwardStrips = (c: Correlation): Strips => {
  const axes = axesOf(c)
  const [row, column] = axes
  const turns = ({ positions, step }: Axis): number => Math.ceil(positions / step)
  const down = backwardAxis(row, turns(row))
  const along = backwardAxis(column, fours(turns(column)))
  return {
    ...common(c, axes),
    rows: down.span,
    rowStep: 1,
    rowTaps: down.taps,
    columns: along.span,
    phases: 1,
    pitch: fours(along.span.room),
    columnTaps: along.taps,
  }
}

/**
 * The strips of a forward convolution of 16-bit integers, which are read in words of two: neighbouring taps together, `tap` counts
 * words. Eight columns of the room are a step: of stride 1 they are the words of even positions, from the next column on those of odd ones.
 */
export const wordStrips = (c: Correlation): Strips => {
  const axes = axesOf(c)
  const [row, column] = axes
  const per = column.dilation === 1 ? 2 : 1
  const words = range(Math.ceil(column.kernel / per)).map((tap) => ({
    tap,
    at: tap * per * column.dilation,
    phase: 0,
  }))
  const lists = column.stride === 1 ? [words, words.map((w) => ({ ...w, at: w.at + 1 }))] : [words]
  const steps = Math.ceil(column.positions / (4 * lists.length))
  const pitch = Math.max(column.target, 8 * steps + most(lists.flat()))
  return {
    ...common(c, axes),
    ...forwardRows(row),
    kernel: [row.kernel, words.length],
    columns: spanOf(column.source, column.lead, column.target),
    phases: 1,
    pitch: Math.ceil(pitch / 8) * 8,
    columnTaps: lists,
  }
}
