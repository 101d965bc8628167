/** Ops that give a graph its structure instead of computing: the evaluator and autodiff treat them by name. */
import { float } from '../data/quant.js'
import { count, finite, flag, optional, orNull, text, whole, word } from './attr.js'
import type { AttrField, AttrSchema } from './attributes.js'
import type { Attrs, Op, Operands } from './op.js'
import { refuse } from './op.js'

const NON_FINITE: { readonly [text: string]: number } = {
  NaN: NaN,
  Infinity: Infinity,
  '-Infinity': -Infinity,
  '-0': -0,
}

const constant: AttrField<number | string> = {
  says: `a float32 number, or one of ${Object.keys(NON_FINITE).join(', ')} as text`,
  like: '1',
  holds: (x): x is number | string =>
    typeof x === 'number'
      ? Number.isFinite(x) && Math.fround(x) === x
      : typeof x === 'string' && Object.hasOwn(NON_FINITE, x),
}

const structural = (name: string, doc: string, operands: Operands, attributes: AttrSchema): Op => ({
  name,
  doc,
  operands,
  attributes,
  shape: () => refuse(`internal: ${name} has no shape rule of its own`, 'report this as a bug of quantrace'),
  carry: () => float,
  vjp: { none: `${name} is differentiated structurally` },
  evaluate: () => `internal: ${name} is not evaluated as a primitive`,
  examples: [],
  smooth: false,
})

/** An input of the graph. Attributes: `kind` (`data`, `param`, `state`, `branch`), `name`, and `dtype` where its numbers are whole or 0 and 1. */
export const inputOp: Op = structural('input', 'An input of the graph.', [], {
  kind: word('data', 'param', 'state', 'branch'),
  name: text,
  dtype: optional(word('integer', 'boolean')),
})
/** A constant filled into its shape. Attribute: `value`. */
export const constOp: Op = {
  ...structural('const', 'A constant, filled into its shape.', [], { value: constant }),
  evaluate: (_args, attrs: Attrs, out) => {
    out.data.fill(constantOf(attrs))
    return null
  },
}
/** `counter < limit` picks the collecting branch, else the learned one. First input: the counter. Attributes: `limit`, `warnSteps`. */
export const phaseOp: Op = structural(
  'phase',
  'Runs one of two sub-graphs, chosen by the counter.',
  { each: 'operand of the branches, behind the counter', least: 1 },
  { limit: finite, warnSteps: orNull(finite) },
)
/**
 * Runs its body `length` times, one step after the other. Operands: first the `carries` that the body takes and hands back, then `xs` tensors of
 * which step t takes slice t of the first axis (with `reverse` the last slice first), then what all steps share. The body's outputs are
 * the carries, then what is stacked along a new first axis, slice t by the step that took slice t. Outputs of the node: the last carries, then the stacks.
 */
export const scanOp: Op = structural(
  'scan',
  'Runs its body once per step over slices of tensors, handing carries on from step to step.',
  { each: 'carry, sequence or shared operand of the body', least: 1 },
  { carries: whole, xs: whole, length: count, reverse: flag },
)
/** Picks output `index` of a `phase` or a `scan`. */
export const getOp: Op = structural('get', 'One output of a phase or a scan.', ['phase'], { index: whole })

/** The number of a `const` node; JSON has no NaN, infinity or -0, so these stand as text. */
export const constantOf = (attrs: Attrs): number =>
  typeof attrs.value === 'number' ? attrs.value : (NON_FINITE[String(attrs.value)] ?? NaN)

const numberText = (value: number): string => (value === 0 ? '-0' : String(value))

/** Attributes of a `const` node. */
export const constantAttrs = (value: number): Attrs => ({
  // JSON has no -0, no infinity and no NaN.
  value: Number.isFinite(value) && !Object.is(value, -0) ? value : numberText(value),
})

/** The structural ops by name. */
export const structuralOps = { input: inputOp, const: constOp, phase: phaseOp, scan: scanOp, get: getOp } as const
