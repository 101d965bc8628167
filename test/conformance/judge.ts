/** Compares results with expectations as FORMAT.md says; a difference names the first element that differs. */
import * as q from '../../src/index.js'
import { decode, type Compare, type ExpectedJson, type Lsb, type TensorJson, type Tolerance } from './format.js'

const EXACT: Tolerance = { mode: 'exact' }

const same = (a: number, b: number): boolean => a === b || (Number.isNaN(a) && Number.isNaN(b))
const near = (expected: number, actual: number, t: Tolerance): boolean =>
  same(expected, actual) ||
  (t.mode === 'close' &&
    Number.isFinite(expected) &&
    Number.isFinite(actual) &&
    Math.abs(expected - actual) <= (t.atol ?? 0) + (t.rtol ?? 0) * Math.abs(expected))

const shapeDifference = (what: string, expected: q.Tensor, actual: q.Tensor): string | null =>
  expected.shape.join() === actual.shape.join() && expected.data.length === actual.data.length
    ? null
    : `${what}: shape [${expected.shape.join()}] expected, [${actual.shape.join()}] found`

/** The first difference as text, or null. `anyShape`: one element may have any shape of one element. */
export const tensorDifference = (
  what: string,
  expected: q.Tensor,
  actual: q.Tensor,
  t: Tolerance,
  anyShape = false,
): string | null => {
  const reshaped = anyShape && expected.data.length === 1 && actual.data.length === 1
  const shape = reshaped ? null : shapeDifference(what, expected, actual)
  if (shape !== null) return shape
  const i = expected.data.findIndex((e, k) => !near(e, actual.data[k], t))
  if (i < 0) return null
  const [e, a] = [expected.data[i], actual.data[i]]
  return `${what}[${i}]: ${e} expected, ${a} found, distance ${Math.abs(e - a)} (${t.mode === 'close' ? `atol ${t.atol ?? 0}, rtol ${t.rtol ?? 0}` : 'exact'})`
}

/** Integers are exact, but for the fraction that a case lets differ by a few steps. */
const intDifference = (what: string, expected: q.Tensor, actual: q.Tensor, lsb: Lsb | undefined): string | null => {
  const strict = tensorDifference(what, expected, actual, EXACT)
  if (strict === null || lsb === undefined || shapeDifference(what, expected, actual) !== null) return strict
  const distances = Array.from(expected.data, (e, i) => Math.abs(e - actual.data[i]))
  const off = distances.filter((d) => d !== 0).length
  return distances.every((d) => d <= lsb.max_lsb) && off <= lsb.fraction * distances.length
    ? null
    : `${strict}; ${off} of ${distances.length} integers differ`
}

const toleranceOf = (c: Compare, key: string, fallback: Tolerance): Tolerance => c.by_key?.[key] ?? fallback
const fieldDifference = (what: string, expected: unknown, actual: unknown): string | null =>
  expected === actual ? null : `${what}: ${String(expected)} expected, ${String(actual)} found`

/** The kind of a result, as the format names it. */
const kindOf = (x: q.Output): string => {
  if (!q.isQuantTensor(x)) return 'tensor'
  return `${x.group === undefined ? '' : 'group-'}${x.format === undefined ? '' : 'float-'}quant`
}

const number = (x: number): q.Tensor => ({ shape: [], data: Float32Array.of(x) })
const listDifference = (what: string, expected: unknown, actual: unknown): string | null =>
  JSON.stringify(expected) === JSON.stringify(actual)
    ? null
    : `${what}: ${JSON.stringify(expected)} expected, ${JSON.stringify(actual)} found`

type Part = (name: string, t: TensorJson | undefined, mine: q.Tensor, fallback: Tolerance) => string | null

/** What the format of minifloats differs in. */
const formatDifferences = (key: string, e: ExpectedJson, f: q.FloatFormat, part: Part): readonly (string | null)[] => [
  part('exponent_bit_width', e.exponent_bit_width, number(f.exponentBits), EXACT),
  part('mantissa_bit_width', e.mantissa_bit_width, number(f.mantissaBits), EXACT),
  part('exponent_bias', e.exponent_bias, number(f.bias), EXACT),
  fieldDifference(`${key}.saturating`, e.saturating, f.saturating),
  listDifference(`${key}.inf_values`, e.inf_values, f.infValues),
  listDifference(`${key}.nan_values`, e.nan_values, f.nanValues),
]

/** What the groups differ in. */
const groupDifferences = (key: string, e: ExpectedJson, g: q.GroupScales, c: Compare, part: Part) => [
  fieldDifference(`${key}.group_size`, e.group_size, g.size),
  fieldDifference(`${key}.group_dim`, e.group_dim, g.dim),
  part('group_scale', e.group_scale, g.scale, c.default),
  part('group_zero_point', e.group_zero_point, g.zeroPoint, c.default),
]

/** What the integers, or the minifloats, behind a quant tensor differ in. */
const numbersDifference = (key: string, e: ExpectedJson, x: q.QuantTensor, c: Compare): string | null => {
  if (q.isFloatQuantTensor(x))
    return e.minifloat === undefined
      ? null
      : tensorDifference(`${key}.minifloat`, decode(e.minifloat), q.minifloats(x), EXACT)
  return e.int === undefined ? null : intDifference(`${key}.int`, decode(e.int), q.intRepr(x), c.lsb ?? c.default.lsb)
}

const EXACTLY = ['bit_width', 'exponent_bit_width', 'mantissa_bit_width', 'exponent_bias']

/** All differences of one result: kind, numbers, metadata, validity, integers. `key` is `y` or `values/<name>`. */
export const valueDifferences = (
  key: string,
  expected: ExpectedJson,
  actual: q.Output | undefined,
  c: Compare,
): readonly string[] => {
  if (expected.kind === 'none')
    return actual === undefined ? [] : [`${key}: nothing was expected, but there is a result`]
  if (actual === undefined) return [`${key}: expected, but there is no such result`]
  const kind = fieldDifference(`${key}.kind`, expected.kind, kindOf(actual))
  if (kind !== null) return [kind]
  if (!q.isQuantTensor(actual))
    return [tensorDifference(key, decode(expected.value), actual, toleranceOf(c, key, c.default))].filter(
      (d) => d !== null,
    )
  const part: Part = (name, t, mine, fallback) => {
    const what = `${key}.${name}`
    if (t === undefined) return `${what}: the case does not say what it expects`
    return tensorDifference(
      what,
      decode(t),
      mine,
      EXACTLY.includes(name) ? EXACT : toleranceOf(c, what, fallback),
      name !== 'value',
    )
  }
  return [
    part('value', expected.value, actual.value, c.default),
    part('scale', expected.scale, actual.scale, c.default),
    part('zero_point', expected.zero_point, actual.zeroPoint, c.default),
    ...(actual.format === undefined
      ? [part('bit_width', expected.bit_width, actual.bitWidth, EXACT)]
      : formatDifferences(key, expected, actual.format, part)),
    ...(actual.group === undefined ? [] : groupDifferences(key, expected, actual.group, c, part)),
    fieldDifference(`${key}.signed`, expected.signed, actual.signed),
    fieldDifference(`${key}.training`, expected.training, actual.training),
    expected.is_valid === null
      ? null
      : fieldDifference(`${key}.is_valid`, expected.is_valid, q.isValidQuantTensor(actual)),
    numbersDifference(key, expected, actual, c),
  ].filter((d) => d !== null)
}

/** What a gradient or a leaf of state differs in, by its key. */
export const leafDifference = (
  section: 'grads' | 'state',
  key: string,
  expected: TensorJson,
  actual: q.Tensor | undefined,
  c: Compare,
): readonly string[] => {
  const what = `${section}/${key}`
  const bad =
    actual === undefined
      ? `${what}: expected, but there is none`
      : tensorDifference(what, decode(expected), actual, toleranceOf(c, what, c[section] ?? c.default))
  return bad === null ? [] : [bad]
}
