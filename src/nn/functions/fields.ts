/** What the options of pools and resizing may hold, for the functions and for the layers of the same names; not public. */
import { count, flag, orNull, positive, required, whole, type Field } from '../../data/fields.js'

/** What stands once per spatial axis: one for all, or a list of one each. */
export const perAxis = <T>(axes: number, one: Field<T>): Field<T | readonly T[]> => ({
  says: `${one.says}, or a list of ${axes} (one per axis)`,
  like: one.like,
  holds: (x) => (Array.isArray(x) ? x.length === axes && x.every((n) => one.holds(n)) : one.holds(x)),
})

/** The same where the number of axes is the input's affair. */
export const eachOf = <T>(one: Field<T>): Field<T | readonly T[]> => ({
  says: `${one.says}, or a list of them`,
  like: one.like,
  holds: (x) => (Array.isArray(x) ? x.length > 0 && x.length <= 3 && x.every((n) => one.holds(n)) : one.holds(x)),
})

/** Options of a largest-of-window pool. */
export const poolFields = (axes: number) => ({
  kernelSize: required(perAxis(axes, count)),
  /** Default: kernelSize. */
  stride: perAxis(axes, count),
  /** Default 0. */
  padding: perAxis(axes, whole),
  /** Default 1. */
  dilation: perAxis(axes, count),
  /** Keep windows that begin inside and end outside (default false). */
  ceilMode: flag,
})

/** Options of an average pool. */
export const averageFields = (axes: number) => {
  const { dilation: _dilation, ...shared } = poolFields(axes)
  return {
    ...shared,
    /** Do padded zeros count (default true)? */
    countIncludePad: flag,
    /** What sums are divided by, in place of the size of the window. */
    divisorOverride: orNull(count),
  }
}

/** The size that an adaptive pool gives. */
export const sizeFields = (axes: number) => ({ outputSize: required(perAxis(axes, count)) })

/** How an input is resized: to a size, or by a factor. */
export const RESIZE_FIELDS = {
  size: eachOf(count),
  scaleFactor: eachOf(positive),
}
