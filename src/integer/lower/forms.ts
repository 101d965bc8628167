/** What a mapping of integers is asked for, and the node of a multiplier and shift. */
import type { Shape } from '../../data/shape.js'
import type { Rounding } from '../../ops/rounding.js'
import { requantize } from '../ops/maps.js'
import { narrow, type IntegerTensor, type Range } from '../values.js'
import type { Expr, Grid } from './chain.js'
import type { Affine } from './fit.js'
import { append, constantOf, type Integer, type Session } from './session.js'

/** A chain that ends on a grid. */
export type Mapping = {
  readonly path: string
  readonly root: Integer
  readonly expr: Expr
  readonly target: Grid
  readonly rounding: Rounding
}

/** Why a map could not be built. */
export type Unmapped = { readonly why: string; readonly fix: string }
export const isUnmapped = (x: Integer | Unmapped): x is Unmapped => 'why' in x

/** One number where all are equal, else one per class. */
export const perClass = (values: readonly number[], classes: Shape): IntegerTensor =>
  values.every((v) => v === values[0]) ? narrow([], [values[0] ?? 0]) : narrow(classes, values)

/** A multiplier and shift for each class, cut to a range. */
export type AffineForms = {
  readonly forms: readonly Affine[]
  readonly rounding: Rounding
  readonly classes: Shape
  readonly out: Range
}

/** The node of a multiplier and shift; none where it changes nothing. */
export const affineNode = (
  s: Session,
  path: string,
  x: Integer,
  { forms, rounding, classes, out }: AffineForms,
): Integer['value'] => {
  const idle = forms.every((f) => f.multiplier === 1 && f.offset === 0 && f.shift === 0)
  if (idle && x.range.lo >= out.lo && x.range.hi <= out.hi) return x.value
  const parts = [forms.map((f) => f.multiplier), forms.map((f) => f.offset), forms.map((f) => f.shift)].map((v) =>
    constantOf(s, path, perClass(v, classes)),
  )
  return append(s, path, requantize, [x.value, ...parts], { rounding, lo: out.lo, hi: out.hi })
}
