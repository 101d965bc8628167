/**
 * Carry soundness for the grids that no input can be declared with: minifloats, and scales of groups. A program puts plain numbers onto such a
 * grid first, so that the law is about the op's rule alone.
 */
import { orThrow } from '../data/error.js'
import { oneOf, required, demandArguments } from '../data/fields.js'
import { isQuantTensor, isValidQuantTensor, valueOf, type QuantTensor } from '../data/quantTensor.js'
import type { Carried } from '../data/quant.js'
import type { Tensor } from '../data/tensor.js'
import { isValue, tensorInput, traceProgram } from '../graph/trace.js'
import { demandOp, type Example, type Kit, type Op, type Value } from '../graph/op.js'
import type { Program } from '../graph/program.js'
import { run } from '../nn/program/program.js'
import { ops } from '../ops/index.js'

/** The grids that are tried: minifloats with one scale, or one per channel; integers and minifloats in groups along the last axis. */
export const GRIDS = ['minifloats', 'minifloats per channel', 'groups', 'groups of minifloats'] as const
/** One of them. */
export type GridName = (typeof GRIDS)[number]

const E4M3 = {
  exponentBits: 4,
  mantissaBits: 3,
  bias: 7,
  saturating: true,
  infValues: null,
  nanValues: ['111'],
  signed: true,
  training: true,
}
const INT4 = { bits: 4, signed: true, narrow: false, rounding: 'ROUND', clamp: 'mask', training: true } as const

/** A scale that is 0.7 everywhere, of this shape: one node for equal shapes. */
const scaleOf = (kit: Kit, shape: readonly number[]): Value => kit.constant(0.7, shape)

const minifloats = (x: Value, scale: Value): Value => x.kit.emit('quantizeFloat', [x, scale], E4M3)

/** Groups of two along the last axis, filled up where it is odd. */
const grouped = (x: Value, quantized: (cut: Value, scale: Value) => Value): Value => {
  const { kit, shape } = x
  const axis = shape.length - 1
  const [length, before] = [shape[axis], shape.slice(0, axis)]
  const groups = Math.ceil(length / 2)
  const pad = shape.map((_, i): readonly [number, number] => [0, i === axis ? groups * 2 - length : 0])
  const full = length % 2 === 0 ? x : kit.emit('pad', [x], { pad, mode: 'constant', value: 0 })
  const cut = kit.emit('reshape', [full], { shape: [...before, groups, 2] })
  const joined = kit.emit('joinGroups', [quantized(cut, scaleOf(kit, [...before, groups, 1]))], { axis, dim: -1 })
  return length % 2 === 0 ? joined : kit.emit('trimGroups', [joined], { axis, length })
}

/** A plain value put onto a grid. */
const onGrid = (grid: GridName, x: Value): Value => {
  const { kit, shape } = x
  const channels = shape.map((n, i) => (i === (shape.length > 1 ? 1 : 0) ? n : 1))
  switch (grid) {
    case 'minifloats':
      return minifloats(x, scaleOf(kit, []))
    case 'minifloats per channel':
      return minifloats(x, scaleOf(kit, channels))
    case 'groups':
      return grouped(x, (cut, scale) => kit.emit('quantize', [cut, scale, kit.constant(0)], { ...INT4, zero: 'zero' }))
    case 'groups of minifloats':
      return grouped(x, minifloats)
  }
}

/** The program that applies an op to operands of which those that may carry metadata lie on a grid: the first, or all of one role. */
const programOn = (op: Op, example: Example, grid: GridName): Program =>
  orThrow(
    traceProgram({
      table: { ...ops, [op.name]: op },
      mode: 'train',
      strict: false,
      locations: false,
      params: {},
      state: {},
      inputs: example.args.map((a) => tensorInput(a.shape)),
      body: (_p, _s, inputs, kit) => {
        const given: readonly unknown[] = Array.isArray(inputs) ? inputs : []
        const every = op.operands !== undefined && 'each' in op.operands
        const args = given
          .filter(isValue)
          .map((x, i) => (x.shape.length > 0 && (i === 0 || every) ? onGrid(grid, x) : x))
        return { results: kit.apply(op, args, example.attrs), nextState: {} }
      },
    }),
  )

const demandGrid = (law: string, op: unknown, grid: unknown): void => {
  demandOp(law, op)
  demandArguments(law, { grid }, { grid: required(oneOf(...GRIDS)) })
}

/** What the op's rule says of its result where its operand lies on such a grid. */
export const carriedOn = (op: Op, example: Example, grid: GridName): Carried => {
  demandGrid('carriedOn', op, grid)
  const program = programOn(op, example, grid)
  return program.graph.nodes[program.outputs[0].node].carried
}

/** Carry soundness on such a grid: if the rule says `carries`, the result lies on its grid; in words where it doesn't, else null. */
export const carrySoundOn = (
  op: Op,
  example: Example,
  operands: readonly (Tensor | QuantTensor)[],
  grid: GridName,
): string | null => {
  demandGrid('carrySoundOn', op, grid)
  const program = programOn(op, example, grid)
  if (program.graph.nodes[program.outputs[0].node].carried.tag !== 'carries') return null
  const out = orThrow(run(program, { params: {}, state: {}, inputs: operands.map(valueOf) as never })).outputs
  const result = out as Tensor | QuantTensor
  return isQuantTensor(result) && isValidQuantTensor(result)
    ? null
    : `${op.name} on ${grid} says carries, but the result is ${isQuantTensor(result) ? 'not valid' : 'no quant tensor'}`
}
