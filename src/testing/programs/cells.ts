/**
 * From a recipe to the list of what a program computes. Operands are fitted: to the shape of the op's example (cut, filled up, reshaped), into the
 * range that it says, onto a grid where it wants a quant tensor. A step that no fitting helps is left out, so a recipe never fails.
 */
import { type Attrs, type Example, type ExampleArg, type Op, type OpTable } from '../../graph/op.js'
import { sameShape, sizeOf, type Shape } from '../../data/shape.js'
import { intMax, intMin } from '../../data/quant.js'
import { full, scalar, type Tensor } from '../../data/tensor.js'
import type { QuantTensor } from '../../data/quantTensor.js'
import { shapeOfCall } from '../../graph/signature.js'
import { ops as registry } from '../../ops/index.js'
import { STRUCTURES, type Recipe, type RecipeStep } from './recipe.js'

/** An input of the program, with what it is given. */
export type InputCell = {
  readonly kind: 'input'
  readonly role: 'data' | 'param' | 'state'
  readonly name: string
  readonly shape: Shape
  readonly quant?: ExampleArg['quant']
  readonly value: Tensor | QuantTensor
}
/** What one place of a program computes; `args` are places before it. */
export type Cell =
  | InputCell
  | { readonly kind: 'constant'; readonly value: number; readonly shape: Shape }
  | {
      readonly kind: 'op'
      readonly op: Op
      readonly args: readonly number[]
      readonly attrs: Attrs
      readonly shape: Shape
    }
  | {
      readonly kind: 'phase'
      readonly counter: number
      readonly arg: number
      readonly collect: Op
      readonly learned: Op
      readonly shape: Shape
    }
  | {
      readonly kind: 'scan'
      readonly carry: number
      readonly xs: number
      readonly body: Op
      readonly reverse: boolean
      readonly shape: Shape
    }

/** A list under construction. */
type Draft = { readonly cells: Cell[]; readonly recipe: Recipe; readonly table: OpTable; taken: number }

/** Larger values than this are of no use: they only take time. */
const LARGEST = 2048
/** How many steps a phase collects. */
export const LIMIT = 2

const add = (d: Draft, cell: Cell): number => d.cells.push(cell) - 1

const apply = (d: Draft, op: Op, args: readonly number[], attrs: Attrs): number | null => {
  const shape = shapeOfCall(
    op,
    args.map((i) => d.cells[i].shape),
    attrs,
  )
  return !Array.isArray(shape) || sizeOf(shape) > LARGEST ? null : add(d, { kind: 'op', op, args, attrs, shape })
}

/** The same with an op of ours, which fits. */
const applied = (d: Draft, op: Op, args: readonly number[], attrs: Attrs): number =>
  apply(d, op, args, attrs) ?? args[0]

/** The numbers of the recipe, from where the last input ended. */
const numbersFor = (d: Draft, n: number): readonly number[] => {
  const { numbers } = d.recipe
  const out = Array.from({ length: n }, (_, i) => numbers[(d.taken + i) % numbers.length])
  d.taken += n
  return out
}

const into = (x: number, range: readonly [number, number] | undefined): number =>
  range === undefined ? x : Math.min(range[1], Math.max(range[0], Number.isNaN(x) ? range[0] : x))

const SCALES = [0.5, Math.fround(0.1), Math.fround(0.3), 2]

const quantTensor = (xs: readonly number[], shape: Shape, quant: NonNullable<ExampleArg['quant']>): QuantTensor => {
  const [lo, hi] = [intMin(quant.bits, quant.signed), intMax(quant.bits, quant.signed)]
  const step = SCALES[Math.abs(Math.trunc(into(xs[0] ?? 0, [-9, 9]))) % SCALES.length]
  const scaleShape = quant.scaleShape ?? []
  return {
    kind: 'quant',
    value: { shape, data: Float32Array.from(xs, (x) => Math.fround(Math.round(into(x, [lo, hi]))) * step) },
    scale: full(scaleShape, step),
    zeroPoint: scalar(0),
    bitWidth: scalar(quant.bits),
    signed: quant.signed,
    training: true,
  }
}

/** Does the range keep an op where it is defined? One around 0 only says how large numbers are; a single number is what it must be, 0 too. */
export const isNarrow = (range: ExampleArg['range']): range is readonly [number, number] =>
  range !== undefined && (range[0] !== -range[1] || range[0] === range[1])

const ROLES = ['data', 'data', 'param', 'state'] as const

const fresh = (d: Draft, arg: ExampleArg, pick: number, shape: Shape = arg.shape): number => {
  const all = numbersFor(d, sizeOf(shape))
  const xs = isNarrow(arg.range) ? all.map((x) => into(x, arg.range)) : all
  const { quant } = arg
  // Not of the remainder alone, which says that a fresh input is wanted at all.
  const role = quant === undefined ? ROLES[(pick + Math.floor(pick / 8)) % ROLES.length] : 'data'
  const name = `${role[0]}${d.cells.filter((c) => c.kind === 'input').length}`
  const value = quant === undefined ? { shape, data: Float32Array.from(xs) } : quantTensor(xs, shape, quant)
  return add(d, { kind: 'input', role, name, shape, value, ...(quant === undefined ? {} : { quant }) })
}

/** A constant, filled into the shape. */
const filled = (d: Draft, arg: ExampleArg, shape: Shape): number => {
  const [x] = numbersFor(d, 1)
  return add(d, { kind: 'constant', value: Math.fround(isNarrow(arg.range) ? into(x, arg.range) : x), shape })
}

/** The place of a value with this shape that has the numbers of another: cut, or filled up with zeros. */
const fitted = (d: Draft, at: number, shape: Shape): number => {
  const { shape: had } = d.cells[at]
  const [have, want] = [sizeOf(had), sizeOf(shape)]
  if (sameShape(had, shape)) return at
  if (have === want) return applied(d, registry.reshape, [at], { shape })
  const flat = had.length === 1 ? at : applied(d, registry.reshape, [at], { shape: [have] })
  const cut =
    have > want
      ? applied(d, registry.slice, [flat], { dim: 0, start: 0, end: want })
      : applied(d, registry.pad, [flat], { pad: [[0, want - have]], mode: 'constant', value: 0 })
  return shape.length === 1 ? cut : applied(d, registry.reshape, [cut], { shape })
}

/** Into the range of an example, where it says more than how large numbers are. */
const ranged = (d: Draft, at: number, range: ExampleArg['range']): number =>
  isNarrow(range) ? applied(d, registry.clamp, [at], { min: range[0], max: range[1] }) : at

const GRID = { narrow: false, rounding: 'ROUND', clamp: 'mask', training: true, zero: 'zero' } as const

const onGrid = (d: Draft, at: number, { bits, signed }: NonNullable<ExampleArg['quant']>): number => {
  const scale = add(d, { kind: 'constant', value: 0.5, shape: [] })
  const zero = add(d, { kind: 'constant', value: 0, shape: [] })
  return applied(d, registry.quantize, [at, scale, zero], { bits, signed, ...GRID })
}

/** Plain numbers on the grid of a scale that is an operand too. */
const onSteps = (d: Draft, at: number, scale: number, { bits, signed }: NonNullable<ExampleArg['steps']>): number => {
  const zero = add(d, { kind: 'constant', value: 0, shape: [] })
  const quantized = applied(d, registry.quantize, [at, scale, zero], { bits, signed, ...GRID })
  return applied(d, registry.dequantize, [quantized], { why: 'an op of this program claims that grid itself' })
}

const wholeNumbers = (d: Draft, at: number): number =>
  applied(d, registry.round, [applied(d, registry.clamp, [at], { min: -8, max: 8 })], {})

/** An earlier value, or a fresh input, as an operand of this shape. */
const operand = (d: Draft, op: Op, arg: ExampleArg, pick: number, shape: Shape): number => {
  const how = pick % 8
  const last = d.cells.length
  if (arg.fixed !== true && arg.quant === undefined && how === 6) return filled(d, arg, shape)
  if (arg.fixed === true || last === 0 || how === 7) return fresh(d, arg, pick, shape)
  const chosen = last - 1 - (Math.floor(pick / 8) % last)
  const fit = ranged(d, fitted(d, chosen, shape), arg.range)
  if (arg.quant !== undefined && how % 2 === 0) return onGrid(d, fit, arg.quant)
  return op.exact === 'sum' && d.recipe.wholeSums && !isNarrow(arg.range) ? wholeNumbers(d, fit) : fit
}

/** The shape of another operand of an element-wise op, whose first one has another shape than in the example. */
const likewise = (arg: ExampleArg, [first]: readonly ExampleArg[], shape: Shape): Shape => {
  if (sameShape(arg.shape, first.shape)) return shape
  return arg.shape.length <= shape.length ? shape.slice(shape.length - arg.shape.length) : arg.shape
}

const call = (d: Draft, op: Op, { args, attrs }: Example, picks: readonly number[]): boolean => {
  const pickOf = (k: number): number => picks[k % picks.length] + k
  const start = { cells: d.cells.length, taken: d.taken }
  const attempt = (free: boolean): boolean => {
    const own =
      free && d.cells.length > 0 ? d.cells[d.cells.length - 1 - (Math.floor(picks[0] / 8) % d.cells.length)] : null
    const shapes = args.map((a, k) => {
      if (own === null) return a.shape
      return k === 0 ? own.shape : likewise(a, args, own.shape)
    })
    const drawn = args.map((a, k) => operand(d, op, a, pickOf(k), shapes[k]))
    const given = drawn.map((at, k) => {
      const { steps } = args[k]
      return steps === undefined ? at : onSteps(d, at, drawn[steps.of], steps)
    })
    if (apply(d, op, given, attrs) !== null) return true
    d.cells.length = start.cells
    d.taken = start.taken
    return false
  }
  return (op.elementwise === true && attempt(true)) || attempt(false)
}

const structure = (d: Draft, step: RecipeStep): void => {
  const [kind, ...names] = step.op.split(':')
  const [first, second = first] = names.flatMap((n) => (Object.hasOwn(d.table, n) ? [d.table[n]] : []))
  if (first === undefined) return
  if (d.cells.length === 0) fresh(d, { shape: [3, 2] }, 0)
  const at = d.cells.length - 1 - (Math.floor(step.picks[0] / 8) % d.cells.length)
  const { shape } = d.cells[at]
  if (kind === STRUCTURES.phase) {
    const value = scalar(step.picks[1] % 4)
    const counter = add(d, { kind: 'input', role: 'state', name: `n${d.cells.length}`, shape: [], value })
    add(d, { kind: 'phase', counter, arg: at, collect: first, learned: second, shape })
  } else if (shape.length > 0 && shape[0] > 0) {
    const carry = fresh(d, { shape: shape.slice(1) }, step.picks[1])
    add(d, { kind: 'scan', carry, xs: at, body: first, reverse: step.picks[1] % 3 === 0, shape })
  }
}

/** What a cell reads. */
export const readsOf = (cell: Cell): readonly number[] => {
  switch (cell.kind) {
    case 'op':
      return cell.args
    case 'phase':
      return [cell.counter, cell.arg]
    case 'scan':
      return [cell.carry, cell.xs]
    default:
      return []
  }
}

/** The cells of a recipe. */
export const cellsOf = (recipe: Recipe, table: OpTable = registry): readonly Cell[] => {
  const d: Draft = { cells: [], recipe, table, taken: 0 }
  for (const step of recipe.steps) {
    const op: Op | undefined = Object.hasOwn(table, step.op) ? table[step.op] : undefined
    if (step.op.includes(':')) structure(d, step)
    else if (op !== undefined && op.examples.length > 0)
      call(d, op, op.examples[step.example % op.examples.length], step.picks)
  }
  if (d.cells.length === 0) fresh(d, { shape: [] }, 0)
  return d.cells
}
