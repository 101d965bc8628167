/**
 * Do two ways to compute one program agree? To the bit, but for sums, which each engine may take in an order of its own, and zeros, of which either may
 * be the result where an op says so. How far such liberties reach is measured and not guessed: the program is run again with an error put into
 * each of them, upwards, downwards and mixed, and what moves by that may differ as much.
 */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantErrors } from '../data/error.js'
import { sizeOf } from '../data/shape.js'
import type { Tensor } from '../data/tensor.js'
import { computes, type Op, type OpTable } from '../graph/op.js'

/** What a way of computing gave: tensors by name, or errors. */
export type Computed = E.Either<QuantErrors, ReadonlyMap<string, Tensor>>

/** Where an error leads: what is no more than its error may also be exactly 0, on integers. */
type Lead = 'up' | 'down' | 'zero'

/** Of an op: where does its `i`-th error lead? */
type Direction = (op: string) => (i: number) => Lead
const textHash = (text: string): number =>
  [...text].reduce((h, c) => Math.imul(h ^ c.charCodeAt(0), 16777619) >>> 0, 2166136261)

/** Some one way and some the other; by names too: of two ops in a row the errors of one might cancel the other's, whatever the element. */
const mixed =
  (leads: readonly Lead[], seed: number): Direction =>
  (op) => {
    const turn = seed === 0 ? 0 : textHash(op) >>> seed
    return (i) => leads[((Math.imul(i + seed, 2654435761) >>> 16) + turn) % leads.length]
  }

const DIRECTIONS: readonly Direction[] = [
  () => () => 'up',
  () => () => 'down',
  () => () => 'zero',
  mixed(['up', 'down'], 0),
  ...[3, 11, 19].map((seed) => mixed(['up', 'down'], seed)),
  ...[5, 13].map((seed) => mixed(['up', 'down', 'zero'], seed)),
]

/** A value moved by an error of this size. */
const moved = (x: number, size: number, lead: Lead): number => {
  if (lead === 'up') return x + size
  return lead === 'zero' && Math.abs(x) <= size ? 0 : x - size
}

/** Where a part of a sum may overflow: nothing is known, or which infinity it is. */
const overflowed = (x: number, lead: Lead): number => {
  if (lead === 'up') return NaN
  return x < 0 ? -Infinity : Infinity
}

/** Rounding of a sum, in parts of its terms' magnitudes. */
const OF_TERMS = 2 ** -21
const absolute = (t: Tensor): Tensor => ({ shape: t.shape, data: t.data.map(Math.abs) })
const finitePart = (t: Tensor): Tensor => ({
  shape: t.shape,
  data: t.data.map((x) => (Number.isFinite(x) ? Math.abs(x) : 0)),
})
const largest = (ts: readonly Tensor[]): number =>
  ts.reduce((most, t) => t.data.reduce((m, x) => (Number.isFinite(x) ? Math.max(m, Math.abs(x)) : m), most), 0)

const largestSize = (ts: readonly Tensor[]): number => ts.reduce((n, t) => Math.max(n, sizeOf(t.shape)), 1)

/** The op with an error of the size that its liberty allows. */
const disturbed = (op: Op, direction: Direction, everywhere: boolean): Op => {
  const leads = direction(op.name)
  const computed = computes(op)
  const exact = computed.exact ?? (everywhere && computed.smooth && computed.layout === undefined ? 'sum' : undefined)
  if (exact === undefined) return op
  return {
    ...op,
    evaluate: (args, attrs, out) => {
      const said = op.evaluate(args, attrs, out)
      if (said !== null) return said
      if (exact === 'zeros') {
        for (let i = 0; i < out.data.length; i++) if (out.data[i] === 0) out.data[i] = leads(i) === 'up' ? 0 : -0
        return null
      }
      const magnitudes = (of: (t: Tensor) => Tensor): Float32Array => {
        const terms = { shape: out.shape, data: new Float32Array(sizeOf(out.shape)) }
        return op.evaluate(args.map(of), attrs, terms) === null ? terms.data : terms.data.fill(0)
      }
      const terms = magnitudes(absolute)
      const around = largest(args) / 2
      const finite = args.every((a) => a.data.every(Number.isFinite)) ? terms : magnitudes(finitePart)
      // A mean is a sum before it is divided by how many there are.
      const count = Math.max(1, largestSize(args) / Math.max(1, sizeOf(out.shape)))
      for (let i = 0; i < out.data.length; i++) {
        const size = OF_TERMS * (Math.abs(out.data[i]) + Math.abs(terms[i]) + around)
        // Where magnitudes overflow, so may a part of the sum, in one order and not in another.
        if (!Number.isFinite(Math.fround(finite[i] * count))) out.data[i] = overflowed(out.data[i], leads(i))
        else if (Number.isFinite(terms[i]) && Number.isFinite(size)) out.data[i] = moved(out.data[i], size, leads(i))
      }
      return null
    },
  }
}

/**
 * The tables of ops with which a program is run again to learn what may differ. `everywhere`: also the last bits of smooth functions may, as in
 * formats that write some of them in their own way.
 */
export const disturbedTables = (table: OpTable, everywhere = false): readonly OpTable[] =>
  DIRECTIONS.map((up) =>
    Object.fromEntries(Object.entries(table).map(([name, op]) => [name, disturbed(op, up, everywhere)])),
  )

/** The ops, but only those of one name can fail: to learn whether a check fails in a program of which another one is told first. */
export const onlyFailing = (table: OpTable, name: string): OpTable =>
  Object.fromEntries(
    Object.entries(table).map(([key, op]) => [
      key,
      op.name === name
        ? op
        : {
            ...op,
            evaluate: (args, attrs, out) => {
              // A check hands on what it was given, whatever it found.
              if (op.evaluate(args, attrs, out) !== null && op.guards === true) out.data.set(args[0].data)
              return null
            },
          },
    ]),
  )

const isSame = (a: number, b: number): boolean => Object.is(a, b)

/** Where the liberties lead, of one element; null: anywhere, so nothing can be said of it. */
const reach = (expected: number, others: readonly number[]): number | null => {
  if (others.some((o) => Number.isNaN(o) !== Number.isNaN(expected) || Math.abs(o) === Infinity)) return null
  return others.reduce((most, o) => Math.max(most, Math.abs(o - expected)), 0)
}

/** The largest part of a reach that is still believed. */
const SLACK = 8

const elementApart = (expected: number, found: number, others: readonly number[]): boolean => {
  if (isSame(expected, found)) return false
  // Nothing moved: there is no liberty here.
  if (others.every((o) => isSame(o, expected))) return true
  const far = reach(expected, others)
  if (far === null) return false
  return !(Math.abs(expected - found) <= SLACK * far)
}

const shown = (x: number): string => (Object.is(x, -0) ? '-0' : String(x))

const tensorApart = (name: string, expected: Tensor, found: Tensor, others: readonly Tensor[]): string | null => {
  if (expected.shape.join() !== found.shape.join())
    return `${name} has shape [${expected.shape.join()}], and [${found.shape.join()}]`
  const i = expected.data.findIndex((x, k) =>
    elementApart(
      x,
      found.data[k],
      others.map((o) => o.data[k]),
    ),
  )
  return i < 0 ? null : `${name}, element ${i}: ${shown(expected.data[i])}, and ${shown(found.data[i])}`
}

const says = (errors: QuantErrors): string => errors.map((e) => `${e.tag}: ${e.message}`).join('; ')

/** Runs the program again over `onlyFailing`. */
export type Failing = (op: string) => Computed

/** Do both fail as the program may? Which of several failing checks is told is up to the order of each way; that it fails is not. */
const failuresApart = ([a]: QuantErrors, [b]: QuantErrors, failing: Failing | undefined): boolean => {
  if (a.tag === b.tag) return false
  const alone = failing === undefined || !('op' in b) ? null : failing(b.op)
  return alone === null || E.isRight(alone) || alone.left[0].tag !== b.tag
}

/**
 * What differs between two results, in words; null where they agree. `disturbed` runs the program again over `disturbedTables`, `failing` over
 * `onlyFailing`; they are asked only where something differs.
 */
export const differenceOf = (
  expected: Computed,
  found: Computed,
  disturbed: () => readonly Computed[],
  failing?: Failing,
): string | null => {
  if (E.isLeft(expected) && E.isLeft(found))
    return failuresApart(expected.left, found.left, failing)
      ? `one fails with ${says(expected.left)}, the other with ${says(found.left)}`
      : null
  const bitForBit = E.isRight(expected) && E.isRight(found) ? mapsApart(expected.right, found.right, []) : 'one fails'
  if (bitForBit === null) return null
  const others = disturbed()
  if (E.isRight(expected) && E.isRight(found)) {
    const ran = others.flatMap((o) => (E.isRight(o) ? [o.right] : []))
    return ran.length < others.length ? null : mapsApart(expected.right, found.right, ran)
  }
  // A check that the liberties decide fails in one way and holds in the other.
  if (others.some((o) => E.isLeft(o) !== E.isLeft(expected))) return null
  if (E.isLeft(expected)) return `the first fails: ${says(expected.left)}; the second does not`
  return E.isLeft(found) ? `the second fails: ${says(found.left)}; the first does not` : null
}

const mapsApart = (
  expected: ReadonlyMap<string, Tensor>,
  found: ReadonlyMap<string, Tensor>,
  others: readonly ReadonlyMap<string, Tensor>[],
): string | null => {
  for (const [name, t] of expected) {
    const other = found.get(name)
    if (other === undefined) return `${name} is missing`
    const apart = tensorApart(
      name,
      t,
      other,
      others.flatMap((o) => o.get(name) ?? []),
    )
    if (apart !== null) return apart
  }
  return null
}
