/**
 * A function of an integer as nodes of the integer graph. The float rule says where the function changes (steps.ts); of the forms that say the same
 * the smallest is taken, and what a form gets wrong is counted over the whole proved range.
 */
import { sizeOf, type Shape } from '../../data/shape.js'
import type { Rounding } from '../../ops/rounding.js'
import { lookup, thresholds } from '../ops/maps.js'
import { narrow, rangeOf, typeFor, WIDTHS, type Range } from '../values.js'
import { classesOf, integerEvaluator } from './chain.js'
import { fitSteps, type Affine, type Apart } from './fit.js'
import { append, constantOf, type Integer, type RequantizationProof, type Session } from './session.js'
import { findSteps, LONGEST_TABLE, someSteps, total, type Found, type Steps } from './steps.js'
import { affineNode, isUnmapped, perClass, type Mapping, type Unmapped } from './forms.js'
import { wideMap } from './wide.js'

/** In `auto` a multiplier may be a step off on this share of the integers that can come in. */
const SELDOM = 1e-4
/** Up to so many thresholds, those of 4 bits, cost hardly more than a multiplier, and are exact. */
const FEW = 15

const outRange = (steps: readonly Steps[]): Range => {
  const ends = steps.flatMap((s) => [s.start, s.start + s.step * total(s)])
  return rangeOf(ends)
}

type Fitted = { readonly forms: readonly Affine[]; readonly apart: Apart; readonly rounding: Rounding }

const fitAll = (steps: readonly Steps[], rounding: Rounding, range: Range, out: Range): Fitted => {
  const fits = steps.map((s) => fitSteps(s, rounding, range, out))
  return {
    forms: fits.map((f) => f.form),
    rounding,
    apart: {
      integers: fits.reduce((n, f) => n + f.apart.integers, 0),
      most: Math.max(...fits.map((f) => f.apart.most)),
    },
  }
}

const fitted = (steps: readonly Steps[], rounding: Rounding, range: Range): Fitted => {
  const out = outRange(steps)
  const down = fitAll(steps, 'FLOOR', range, out)
  if (down.apart.integers === 0 || rounding === 'FLOOR') return down
  const own = fitAll(steps, rounding, range, out)
  return own.apart.integers < down.apart.integers ? own : down
}

const formName = (forms: readonly Affine[], same: boolean): RequantizationProof['form'] => {
  if (same) return 'identity'
  if (forms.every((f) => f.multiplier === 1 && f.shift === 0)) return 'clamp'
  return forms.every((f) => Math.abs(f.multiplier) === 1) ? 'shift' : 'multiplier'
}

/** Above every integer: where a channel has fewer thresholds than another. */
const NEVER = 2 ** 31 - 1

const thresholdNode = (
  s: Session,
  m: Mapping,
  steps: readonly Steps[],
  classes: Shape,
  out: Range,
): Integer['value'] => {
  const alike = steps.every((t) => t.start === steps[0].start && t.step === steps[0].step && same(t.at, steps[0].at))
  const used = alike ? steps.slice(0, 1) : steps
  const n = Math.max(1, ...used.map((t) => t.at.length))
  const data = new Float64Array(used.length * n).fill(NEVER)
  used.forEach((t, c) => data.set(t.at, c * n))
  const shape = alike ? [n] : [...classes, n]
  const args = [
    constantOf(s, m.path, narrow(shape, data)),
    constantOf(
      s,
      m.path,
      perClass(
        used.map((t) => t.start),
        classes,
      ),
    ),
    constantOf(
      s,
      m.path,
      perClass(
        used.map((t) => t.step),
        classes,
      ),
    ),
  ]
  return append(s, m.path, thresholds, [m.root.value, ...args], { lo: out.lo, hi: out.hi })
}

const same = (a: Float64Array, b: Float64Array): boolean => a.length === b.length && a.every((v, i) => v === b[i])

const tableNode = (s: Session, m: Mapping, values: Float64Array, classes: Shape): Integer['value'] => {
  const { lo, hi } = m.root.range
  const n = hi - lo + 1
  const alike = values.every((v, i) => v === values[i % n])
  const table = alike ? narrow([n], values.slice(0, n)) : narrow([...classes, n], values)
  const out = rangeOf(values)
  return append(s, m.path, lookup, [m.root.value, constantOf(s, m.path, table)], { first: lo, lo: out.lo, hi: out.hi })
}

const bytesOf = (numbers: number, range: Range): number => numbers * WIDTHS[typeFor(range) ?? 'int32']

/** Is a table smaller than thresholds? Both are exact. */
const tableIsSmaller = (found: Found, steps: readonly Steps[], out: Range): boolean => {
  if (found.values === null) return false
  const { lo, hi } = found.range
  const classes = steps.length
  const longest = Math.max(1, ...steps.map((t) => t.at.length))
  return bytesOf(classes * (hi - lo + 1), out) <= bytesOf(classes * longest, found.range)
}

/** What is said of a form beside its name. */
type Said = { readonly output: Range; readonly everywhere: boolean; readonly classes: number; readonly apart?: Apart }

const proof = (s: Session, m: Mapping, form: RequantizationProof['form'], said: Said): void => {
  const { apart } = said
  s.requantizations.push({
    path: m.path,
    form,
    input: m.root.range,
    output: said.output,
    apart: apart?.integers ?? 0,
    of: said.classes * (m.root.range.hi - m.root.range.lo + 1),
    most: apart?.most ?? 0,
    everywhere: said.everywhere,
  })
}

/** May a form be taken that is not exact everywhere? */
const good = (s: Session, f: Fitted, steps: readonly Steps[], of: number): boolean => {
  if (f.apart.integers === 0) return true
  if (s.requantization === 'thresholds' || f.apart.most > 1) return false
  if (s.requantization === 'multiplier') return true
  return f.apart.integers <= SELDOM * of && steps.some((t) => t.at.length > FEW)
}

/** The smallest form of a function whose steps are known. */
const stepped = (s: Session, m: Mapping, found: Found, steps: readonly Steps[], classes: Shape): Integer['value'] => {
  const out = outRange(steps)
  const count = sizeOf(classes)
  const said = { output: out, everywhere: found.everywhere, classes: count }
  const affine = fitted(steps, m.rounding, m.root.range)
  if (good(s, affine, steps, count * (m.root.range.hi - m.root.range.lo + 1))) {
    const made = affineNode(s, m.path, m.root, { ...affine, classes, out })
    proof(s, m, formName(affine.forms, made === m.root.value), { ...said, apart: affine.apart })
    return made
  }
  const table = found.values !== null && tableIsSmaller(found, steps, out) ? found.values : null
  proof(s, m, table === null ? 'thresholds' : 'table', said)
  return table === null ? thresholdNode(s, m, steps, classes, out) : tableNode(s, m, table, classes)
}

/** A function with so many steps that a multiplier is the one form for it: a line of whole numbers, or one through some of its steps. */
const manySteps = (
  s: Session,
  m: Mapping,
  classes: Shape,
  f: ReturnType<typeof integerEvaluator>,
): Integer | Unmapped => {
  const wide = wideMap(s, m, classes, f)
  if (!isUnmapped(wide)) return wide
  const count = sizeOf(classes)
  const steps = someSteps(f.at, m.root.range, count)
  if (steps === null) return wide
  const out = outRange(steps)
  const affine = fitted(steps, m.rounding, m.root.range)
  if (affine.apart.most > 1) return wide
  if (s.requantization === 'thresholds' && affine.apart.integers > 0)
    return {
      why: `it has ${Math.max(...steps.map(total))} steps, too many for thresholds`,
      fix: "leave requantization to 'auto', or give the quantizer at most 12 bits",
    }
  const value = affineNode(s, m.path, m.root, { ...affine, classes, out })
  const said = { output: out, everywhere: false, classes: count, apart: affine.apart }
  proof(s, m, formName(affine.forms, value === m.root.value), said)
  return { value, range: out, grid: m.target }
}

/** The integer that a chain gives on its grid, or why there is none. */
export const mapped = (s: Session, m: Mapping): Integer | Unmapped => {
  const { root, target } = m
  const classes = classesOf(root.value.shape, [root.grid, target], [m.expr])
  const count = sizeOf(classes)
  const f = integerEvaluator({ grid: root.grid, expr: m.expr, classes }, target)
  const found = findSteps(f.at, root.range, count)
  if (found === null) return manySteps(s, m, classes, f)
  if (f.offGrid())
    return {
      why: 'its result lies off its own grid for some integers, so that no integer stands for it',
      fix: 'quantize it again behind this op, with a QuantIdentity',
    }
  if (found.steps !== null) {
    const value = stepped(s, m, found, found.steps, classes)
    return { value, range: outRange(found.steps), grid: target }
  }
  const n = root.range.hi - root.range.lo + 1
  if (found.values === null || n > LONGEST_TABLE)
    return {
      why: `it is a function of ${n} integers, ${root.range.lo} … ${root.range.hi}, that rises and falls: too many for a table`,
      fix: 'quantize in front of it, with a QuantIdentity of 8 bits, so that a table of 256 entries holds it',
    }
  const out = rangeOf(found.values)
  proof(s, m, 'table', { output: out, everywhere: found.everywhere, classes: count })
  return { value: tableNode(s, m, found.values, classes), range: out, grid: target }
}
