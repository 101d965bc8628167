/** The fields that FORMAT.md names, so that a case with any other is refused instead of half checked. */

const CASE = [
  'format',
  'name',
  'tags',
  'source',
  'layers',
  'init',
  'program',
  'output',
  'record',
  'steps',
  'compare',
  'expect_error',
  'seed',
  'calls',
]
const LAYER = ['type', 'kwargs']
const STATEMENT = ['out', 'layer', 'fn', 'args', 'attrs', 'named']
const STEP = ['mode', 'modes', 'before', 'program', 'inputs', 'output_grad', 'sgd', 'expect']
const ACTION = ['do', 'layer', 'bn', 'channel_dim']
const EXPECT = ['y', 'values', 'grads', 'state']
const VALUE = [
  'kind',
  'value',
  'scale',
  'zero_point',
  'bit_width',
  'signed',
  'training',
  'is_valid',
  'int',
  'exponent_bit_width',
  'mantissa_bit_width',
  'exponent_bias',
  'saturating',
  'inf_values',
  'nan_values',
  'minifloat',
  'group_size',
  'group_dim',
  'group_scale',
  'group_zero_point',
]
const COMPARE = ['default', 'grads', 'state', 'by_key', 'lsb']
const CALL = ['fn', 'shape', 'attrs', 'compare', 'expect']
const ERROR = ['when', 'kind', 'message_contains', 'brevitas_message', 'step', 'statement']

type Part = { readonly [key: string]: unknown }
const isPart = (x: unknown): x is Part => typeof x === 'object' && x !== null && !Array.isArray(x)

const only = (what: string, x: unknown, known: readonly string[]): Part => {
  if (x === undefined) return {}
  if (!isPart(x)) throw new Error(`${what} is not an object`)
  const unknown = Object.keys(x).find((k) => !known.includes(k) && !(known === LAYER && k.endsWith('_quant')))
  if (unknown !== undefined) throw new Error(`${what} has the field ${unknown}, which the format does not know`)
  return x
}
const each = (what: string, x: unknown, known: readonly string[]): readonly Part[] =>
  Object.entries(x ?? {}).map(([k, v]) => only(`${what} ${k}`, v, known))

/** Throws at a field that the format does not know. */
export const refuseUnknownFields = (file: unknown): void => {
  const c = only('the case', file, CASE)
  if (c.format !== 1) throw new Error(`format ${String(c.format)} is not 1`)
  each('layer', c.layers, LAYER)
  each('statement', c.program, STATEMENT)
  each('call', c.calls, CALL)
  only('compare', c.compare, COMPARE)
  only('expect_error', c.expect_error, ERROR)
  for (const step of each('step', c.steps, STEP)) {
    const expect = only('expect', step.expect, EXPECT)
    only('y', expect.y, VALUE)
    each('value', expect.values, VALUE)
    each('statement', step.program, STATEMENT)
    for (const { do: action } of each('action', step.before, ACTION))
      if (action !== 'merge_bn' && action !== 'load_bn') throw new Error(`no action ${String(action)}`)
    if (step.mode !== 'train' && step.mode !== 'eval')
      throw new Error(`the mode ${String(step.mode)} is not train or eval`)
  }
}
