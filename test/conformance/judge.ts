/** Compares results with expectations as FORMAT.md says; a disagreement names the first differing element. */
import * as q from '../../src/index.js'
import { decode, type Compare, type ExpectedJson, type TensorJson, type Tolerance } from './format.js'

const EXACT: Tolerance = { mode: 'exact' }

const same = (a: number, b: number): boolean => a === b || (Number.isNaN(a) && Number.isNaN(b))
const near = (expected: number, actual: number, t: Tolerance): boolean =>
  same(expected, actual) || (t.mode === 'close' && Number.isFinite(expected) && Number.isFinite(actual) && Math.abs(expected - actual) <= (t.atol ?? 0) + (t.rtol ?? 0) * Math.abs(expected))

const sameShape = (a: readonly number[], b: readonly number[]): boolean => a.length === b.length && a.every((n, i) => n === b[i])

/** The first difference as text, or null. `anyShape`: one element may have any shape of one element. */
export const tensorDifference = (what: string, expected: q.Tensor, actual: q.Tensor, t: Tolerance, anyShape = false): string | null => {
  if (!sameShape(expected.shape, actual.shape) && !(anyShape && expected.data.length === 1 && actual.data.length === 1)) return `${what}: shape [${expected.shape.join()}] expected, [${actual.shape.join()}] found`
  for (let i = 0; i < expected.data.length; i++)
    if (!near(expected.data[i], actual.data[i], t)) return `${what}[${i}]: ${expected.data[i]} expected, ${actual.data[i]} found, distance ${Math.abs(expected.data[i] - actual.data[i])}${t.mode === 'close' ? ` (atol ${t.atol}, rtol ${t.rtol})` : ' (exact)'}`
  return null
}

const keyTolerance = (c: Compare, key: string, fallback: Tolerance): Tolerance => c.by_key?.[key] ?? fallback

const intDifference = (what: string, expected: q.Tensor, actual: q.Tensor, lsb: { readonly max_lsb: number; readonly fraction: number } | undefined): string | null => {
  if (lsb === undefined) return tensorDifference(what, expected, actual, EXACT)
  let off = 0
  for (let i = 0; i < expected.data.length; i++) {
    const d = Math.abs(expected.data[i] - actual.data[i])
    if (d > lsb.max_lsb) return `${what}[${i}]: ${expected.data[i]} expected, ${actual.data[i]} found, more than ${lsb.max_lsb} apart`
    if (d > 0) off++
  }
  return off <= lsb.fraction * expected.data.length ? null : `${what}: ${off} of ${expected.data.length} integers differ`
}

const first = (...differences: readonly (string | null)[]): string | null => differences.find((d) => d !== null) ?? null
const field = (what: string, expected: unknown, actual: unknown): string | null => (expected === actual ? null : `${what}: ${String(expected)} expected, ${String(actual)} found`)
const maybe = (t: TensorJson | undefined, f: (t: q.Tensor) => string | null): string | null => (t === undefined ? null : f(decode(t)))

/** Compares one result: kind, numbers, metadata, validity, integers. `key` is `y` or `values/<name>`. */
export const valueDifference = (key: string, expected: ExpectedJson, actual: q.Output, c: Compare): string | null => {
  const quant = q.isQuantTensor(actual)
  const kind = field(`${key}.kind`, expected.kind, quant ? 'quant' : 'tensor')
  if (kind !== null) return kind
  if (!quant) return tensorDifference(key, decode(expected.value), actual, keyTolerance(c, key, c.default))
  const lsb = c.by_key?.[`${key}.int`]?.lsb ?? c.by_key?.[key]?.lsb ?? c.lsb ?? c.default.lsb
  const part = (name: string, t: TensorJson | undefined, mine: q.Tensor, fallback = c.default): string | null =>
    maybe(t, (e) => tensorDifference(`${key}.${name}`, e, mine, keyTolerance(c, `${key}.${name}`, fallback), name !== 'value'))
  return first(
    part('value', expected.value, actual.value), part('scale', expected.scale, actual.scale), part('zero_point', expected.zero_point, actual.zeroPoint),
    maybe(expected.bit_width, (e) => tensorDifference(`${key}.bit_width`, e, actual.bitWidth, EXACT, true)),
    field(`${key}.signed`, expected.signed, actual.signed), field(`${key}.training`, expected.training, actual.training),
    expected.is_valid === null || expected.is_valid === undefined ? null : field(`${key}.is_valid`, expected.is_valid, q.isValidQuantTensor(actual)),
    maybe(expected.int, (e) => intDifference(`${key}.int`, e, q.intRepr(actual), lsb)),
  )
}

/** Compares a gradient or a leaf of state by its key. */
export const leafDifference = (section: 'grads' | 'state', key: string, expected: TensorJson, actual: q.Tensor | undefined, c: Compare): string | null => {
  if (actual === undefined) return `${section}/${key}: expected, but there is none`
  return tensorDifference(`${section}/${key}`, decode(expected), actual, keyTolerance(c, `${section}/${key}`, c[section] ?? c.default), true)
}
