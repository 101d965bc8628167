/** Where floats become integers, and integers floats again: the two ends of an integer program. */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantErrors } from '../data/error.js'
import { roundHalfEven } from '../data/math.js'
import type { NodeId } from '../data/quant.js'
import { isQuantTensor, type QuantTensor } from '../data/quantTensor.js'
import { broadcastStrides, sameShape, showShape } from '../data/shape.js'
import { isTensor, type Tensor } from '../data/tensor.js'
import { at, mapTree } from '../data/tree.js'
import { newBuilder } from '../graph/builder.js'
import type { Value } from '../graph/op.js'
import type { Program, ProgramInput } from '../graph/program.js'
import type { Specialized } from '../graph/specialize.js'
import { run } from '../nn/program/program.js'
import { ops } from '../ops/index.js'
import { walk } from '../ops/support/elementwise.js'
import { integerProgramProblems, isIntegerTensor } from './checks.js'
import { neededFor, type Border as LoweredBorder } from './lower/lower.js'
import type { Border, Entry, IntegerProgram } from './program.js'
import type { ByName } from './evaluate.js'
import type { IntegerTensor } from './values.js'

/** Evaluates a function of two numbers of a grid at every element. */
const overGrid = (
  value: { readonly shape: Tensor['shape'] },
  grid: Pick<Border, 'scale' | 'zeroPoint'>,
  visit: (i: number, scale: number, zero: number) => void,
): void =>
  walk(
    value.shape,
    [grid.scale, grid.zeroPoint].map((t) => broadcastStrides(t.shape, value.shape)),
    (i, [j, k]) => visit(i, grid.scale.data[j], grid.zeroPoint.data[k]),
  )

/** The integers of values on a grid: `round(value / scale + zeroPoint)`; halves go to even numbers, as in quantizers. */
export const integersOfValues = (
  value: Tensor,
  grid: Pick<Border, 'scale' | 'zeroPoint'>,
  round: (x: number, i: number) => number = roundHalfEven,
): IntegerTensor => {
  const data = new Int32Array(value.data.length)
  overGrid(value, grid, (i, s, z) => {
    data[i] = round(Math.fround(Math.fround(value.data[i] / s) + z), i)
  })
  return { shape: value.shape, data }
}

/** The values of integers on a grid: `(integer - zeroPoint) * scale`, each operation rounded to float32. */
export const valuesOfIntegers = (t: IntegerTensor, grid: Pick<Border, 'scale' | 'zeroPoint'>): Tensor => {
  const data = new Float32Array(t.data.length)
  overGrid(t, grid, (i, s, z) => {
    data[i] = Math.fround(t.data[i] - z) * s
  })
  return { shape: t.shape, data }
}

/** The float ops up to the first quantizers, cut out of the specialized program. */
export const entryOf = (fixed: Specialized, borders: readonly LoweredBorder[]): Entry => {
  const { program, constants } = fixed
  const { graph } = program
  const needed = neededFor(
    graph,
    borders.map((b) => b.node.id),
  )
  const b = newBuilder({ table: ops, mode: 'eval', metadata: false })
  const made = new Map<NodeId, Value>()
  for (const node of graph.nodes) {
    if (needed[node.id] === 0) continue
    const args = node.inputs.map((id) => made.get(id)).filter((v) => v !== undefined)
    made.set(node.id, b.copy({ ...node, carried: { tag: 'float' } }, args))
  }
  const outs = borders.map((border) => made.get(border.node.id)).filter((v) => v !== undefined)
  const inputs = program.inputs.flatMap((i): readonly ProgramInput[] => {
    const v = made.get(i.node)
    return v === undefined ? [] : [{ ...i, node: v.id }]
  })
  const index = new Map(inputs.map((i, k) => [`${i.kind}|${i.path}`, k] as const))
  const params = inputs.filter((i) => i.kind === 'param').map((i) => i.path)
  const isNumber = (x: unknown): x is number => typeof x === 'number'
  return {
    program: {
      version: 1,
      mode: 'eval',
      strict: false,
      graph: b.finish(outs),
      inputs,
      outputs: borders.map((border, k) => ({ kind: 'result', path: border.name, node: outs[k].id })),
      structure: {
        data: mapTree(isNumber, program.structure.data, (i) => index.get(`data|${program.inputs[i]?.path}`) ?? -1),
        params: Object.fromEntries(params.map((p) => [p, index.get(`param|${p}`) ?? -1])),
        state: {},
        results: Object.fromEntries(borders.map((border, k) => [border.name, k])),
        nextState: {},
        grads: null,
      },
    },
    constants: Object.fromEntries(params.map((p) => [p, constants[p]])),
  }
}

const isGiven = (x: unknown): x is Tensor | QuantTensor =>
  isTensor(x) || (typeof x === 'object' && x !== null && 'kind' in x && x.kind === 'quant')

/** A quant tensor whose grid is fixed is given by its value. */
export const plainInputs = (program: Program, data: unknown): unknown =>
  mapTree(isGiven, data, (t, path) =>
    isQuantTensor(t) && program.inputs.some((i) => i.kind === 'data' && i.path === path && i.part === 'tensor')
      ? t.value
      : t,
  )

/**
 * The integers that a network's first quantizers make of data, by the names of the program's inputs. This is the one place where floats are computed with.
 *
 * @example
 * const y = orThrow(runInteger(integer, orThrow(quantizeInputs(integer, x))))
 */
export const quantizeInputs = (integer: IntegerProgram, data: unknown): E.Either<QuantErrors, ByName> => {
  const bad = integerProgramProblems('quantizeInputs', integer)
  if (bad.length > 0) return E.left(bad)
  const { program, constants } = integer.entry
  const ran = run(program as Program<unknown, unknown, unknown, unknown>, {
    params: constants,
    state: {},
    inputs: plainInputs(program, data),
  })
  return E.map(({ outputs }: { readonly outputs: unknown }) =>
    Object.fromEntries(
      integer.inputs.flatMap((i) => {
        const value = at(outputs, i.name)
        return isTensor(value) ? [[i.name, integersOfValues(value, i)] as const] : []
      }),
    ),
  )(ran)
}

/** What is wrong with the integers given for a result. */
const resultProblems = ({ name, shape }: Border, results: unknown): QuantErrors => {
  const given: unknown =
    typeof results === 'object' && results !== null && Object.hasOwn(results, name) ? Reflect.get(results, name) : null
  const said = name === '' ? '(unnamed)' : name
  const wrong = (message: string): QuantErrors => [
    { tag: 'InputError', input: name, path: name, message, fix: 'give what runInteger returned, unwrapped' },
  ]
  if (!isIntegerTensor(given)) return wrong(`dequantizeOutputs was given no integers of result ${said}`)
  return sameShape(given.shape, shape)
    ? []
    : wrong(`result ${said} has shape ${showShape(shape)}, and dequantizeOutputs was given ${showShape(given.shape)}`)
}

/**
 * The values behind the integers of a result: `(integer - zeroPoint) * scale`.
 *
 * @example
 * const logits = orThrow(dequantizeOutputs(integer, y))['']
 */
export const dequantizeOutputs = (
  integer: IntegerProgram,
  results: ByName,
): E.Either<QuantErrors, { readonly [path: string]: Tensor }> => {
  const bad = integerProgramProblems('dequantizeOutputs', integer)
  if (bad.length > 0) return E.left(bad)
  const wrong = integer.outputs.flatMap((o) => resultProblems(o, results))
  if (wrong.length > 0) return E.left(wrong)
  return E.right(Object.fromEntries(integer.outputs.map((o) => [o.name, valuesOfIntegers(results[o.name], o)])))
}
