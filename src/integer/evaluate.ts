/** Runs integer programs on typed arrays of 32 bits: the oracle of the C that is written of them. */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantError, QuantErrors } from '../data/error.js'
import { fieldProblems, record } from '../data/fields.js'
import type { NodeId } from '../data/quant.js'
import { sameShape, showShape, sizeOf } from '../data/shape.js'
import type { Node } from '../graph/graph.js'
import { constantOf, constOp, inputOp } from '../graph/structural.js'
import type { Border, IntegerProgram } from './program.js'
import { isIntegerOp } from './ops/record.js'
import { integerProgramProblems, isIntegerTensor } from './checks.js'
import type { IntegerTensor } from './values.js'

/** Integers by the names of a program's inputs or the paths of its results. */
export type ByName = { readonly [name: string]: IntegerTensor }

const wrong = (input: string, message: string, fix: string): QuantError => ({
  tag: 'InputError',
  input,
  path: input,
  message,
  fix,
})

/** What is wrong with the integers given for an input. */
const inputProblems = (i: Border, given: unknown): readonly QuantError[] => {
  const fix = `give ${i.name} the integers that quantizeInputs makes of data`
  if (!isIntegerTensor(given)) return [wrong(i.name, `runInteger needs the integers of input ${i.name}`, fix)]
  if (!sameShape(given.shape, i.shape))
    return [
      wrong(i.name, `input ${i.name} has shape ${showShape(i.shape)}, and was given ${showShape(given.shape)}`, fix),
    ]
  const odd = [...given.data].find((v) => !Number.isInteger(v) || v < i.range.lo || v > i.range.hi)
  return odd === undefined
    ? []
    : [
        wrong(
          i.name,
          `input ${i.name} takes whole numbers from ${i.range.lo} to ${i.range.hi}, and was given ${odd}`,
          fix,
        ),
      ]
}

/** Called with each node's integers as they are computed. */
export type ObserveIntegers = (node: Node, value: IntegerTensor) => void

const evaluated = (node: Node, args: readonly IntegerTensor[]): IntegerTensor => {
  if (!isIntegerOp(node.op)) throw new Error(`internal: ${node.op.name} is no integer op`)
  const out = { shape: node.shape, data: new Int32Array(sizeOf(node.shape)) }
  node.op.integers(args, node.attrs, out)
  return out
}

/** The integers of all results. `observe` is told of each node's. */
export const evaluateInteger = (p: IntegerProgram, inputs: ByName, observe?: ObserveIntegers): ByName => {
  const { graph, inputs: declared } = p.program
  const values = new Map<NodeId, IntegerTensor>()
  for (const i of declared) {
    const t = i.kind === 'data' ? inputs[i.path] : p.constants[i.path]
    if (t !== undefined) values.set(i.node, t)
  }
  for (const node of graph.nodes) {
    if (node.op === inputOp) continue
    if (node.op === constOp) {
      const data = new Int32Array(sizeOf(node.shape)).fill(constantOf(node.attrs))
      values.set(node.id, { shape: node.shape, data })
      continue
    }
    const args = node.inputs.map((id) => values.get(id)).filter((t) => t !== undefined)
    const out = evaluated(node, args)
    values.set(node.id, out)
    observe?.(node, out)
  }
  return Object.fromEntries(
    p.outputs.flatMap((o) => {
      const t = values.get(o.node)
      return t === undefined ? [] : [[o.name, { shape: o.shape, data: t.data }] as const]
    }),
  )
}

const OPTIONS = { inputs: { ...record, required: true } }

/**
 * Runs an integer program on integers, as `quantizeInputs` makes them of data; returns the integers of each result by its path. Errors: an InputError for
 * an input that is missing, has another shape, or holds a number that its quantizer can't make.
 *
 * @example
 * const y = orThrow(runInteger(integer, orThrow(quantizeInputs(integer, { x }))))
 */
export const runInteger = (p: IntegerProgram, inputs: ByName): E.Either<QuantErrors, ByName> => {
  const bad = [...integerProgramProblems('runInteger', p), ...fieldProblems('runInteger', { inputs }, OPTIONS)]
  if (bad.length > 0) return E.left(bad)
  const problems = p.inputs.flatMap((i) => inputProblems(i, Object.hasOwn(inputs, i.name) ? inputs[i.name] : undefined))
  return problems.length > 0 ? E.left(problems) : E.right(evaluateInteger(p, inputs))
}
