/**
 * Is an op called as its record says? The builder asks this of every node that is traced, and the reader of stored programs
 * of every node that it reads: number of operands, names and values of attributes, then the op's own shape rule.
 */
import type { Shape } from '../data/shape.js'
import { attrsProblem, jsonProblem, type Attrs } from './attributes.js'
import { refuse, type Op, type Operands, type Refusal } from './op.js'

/** A refusal of a call; `attribute` names the one that is wrong. */
export type Misuse = Refusal & { readonly attribute?: string }

const counted = (n: number): string => {
  if (n === 0) return 'no operands'
  return n === 1 ? '1 operand' : `${n} operands`
}
const taken = (operands: Operands): string =>
  'each' in operands
    ? `${counted(operands.least)} or more (each: ${operands.each})`
    : `${counted(operands.length)}${operands.length === 0 ? '' : ` (${operands.join(', ')})`}`

const least = ({ operands, examples }: Op): number => {
  if (operands === undefined)
    return examples.reduce((n, e) => Math.min(n, e.args.length), examples[0]?.args.length ?? 0)
  return 'each' in operands ? operands.least : operands.length
}

const operandsProblem = (op: Op, given: number): Misuse | null => {
  const { operands } = op
  const exact = operands !== undefined && !('each' in operands)
  if (exact ? given === operands.length : given >= least(op)) return null
  const takes = operands === undefined ? `${counted(least(op))} or more, as its examples do` : taken(operands)
  return refuse(`it takes ${takes}, and was given ${counted(given)}`, `give it ${takes}`)
}

/** The attributes that all examples of an op have. */
const inAllExamples = ({ examples: [first, ...rest] }: Op): readonly string[] =>
  first === undefined ? [] : Object.keys(first.attrs).filter((k) => rest.every((e) => Object.hasOwn(e.attrs, k)))

/** What is wrong with a call before shapes are looked at: number of operands, attributes; null where nothing is. */
export const misuse = (op: Op, operands: number, attrs: Attrs): Misuse | null => {
  // Asked of every node of every trace: where all is well, nothing is made and little is looked at.
  const exact = Array.isArray(op.operands) && op.operands.length === operands
  const bad = exact ? null : operandsProblem(op, operands)
  if (bad !== null) return bad
  const problem =
    op.attributes === undefined ? jsonProblem(attrs, inAllExamples(op)) : attrsProblem(attrs, op.attributes)
  return problem === null
    ? null
    : {
        ...refuse(problem.message, problem.fix, 'ConfigError'),
        ...(problem.name === undefined ? {} : { attribute: problem.name }),
      }
}

/** The shape of a call's result, or why the call is refused. */
export const shapeOfCall = (op: Op, shapes: readonly Shape[], attrs: Attrs): Shape | Misuse =>
  misuse(op, shapes.length, attrs) ?? op.shape(shapes, attrs)
