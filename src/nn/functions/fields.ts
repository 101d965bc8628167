/** What the options of pools and resizing may hold, for the functions and for the layers of the same names; not public. */
import { count, flag, orNull, required, whole, type Field, type Fields } from '../../data/fields.js'

/** What stands once per spatial axis: one for all, or a list of one each. */
export const perAxis = (axes: number, one: Field): Field => ({
  says: `${one.says}, or a list of ${axes} (one per axis)`,
  like: one.like,
  holds: (x) => (Array.isArray(x) ? x.length === axes && x.every((n) => one.holds(n)) : one.holds(x)),
})

/** The same where the number of axes is the input's affair. */
export const eachOf = (one: Field): Field => ({
  says: `${one.says}, or a list of them`,
  like: one.like,
  holds: (x) => (Array.isArray(x) ? x.length > 0 && x.length <= 3 && x.every((n) => one.holds(n)) : one.holds(x)),
})

const POOL = ['kernelSize', 'stride', 'padding', 'dilation', 'ceilMode'] as const
const AVERAGE = ['kernelSize', 'stride', 'padding', 'ceilMode', 'countIncludePad', 'divisorOverride'] as const

/** Options of a largest-of-window pool. */
export const poolFields = (axes: number): { readonly [K in (typeof POOL)[number]]: Field } => ({
  kernelSize: required(perAxis(axes, count)),
  stride: perAxis(axes, count),
  padding: perAxis(axes, whole),
  dilation: perAxis(axes, count),
  ceilMode: flag,
})

/** Options of an average pool. */
export const averageFields = (axes: number): { readonly [K in (typeof AVERAGE)[number]]: Field } => {
  const { dilation: _dilation, ...shared } = poolFields(axes)
  return { ...shared, countIncludePad: flag, divisorOverride: orNull(count) }
}

/** The size that an adaptive pool gives. */
export const sizeFields = (axes: number): Fields<{ readonly outputSize: number | readonly number[] }> => ({
  outputSize: required(perAxis(axes, count)),
})
