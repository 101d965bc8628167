/** Tensors as text, the way PyTorch and Brevitas print them. Knows how numbers look; knows nothing of layers. */
import { isQuantTensor, type Output, type QuantTensor, type Shape, type Tensor } from '../../src/index.js'

const DECIMALS = 4
const UNIT = 10 ** DECIMALS

/** The nearest whole number, ties to even, as C's printf decides them. */
const nearest = (x: number): number => {
  const below = Math.floor(x)
  const rest = x - below
  return rest > 0.5 || (rest === 0.5 && below % 2 !== 0) ? below + 1 : below
}

/** A number with four decimals: `-0.4566`. A float32 times 10⁴ is exact in a double, so only `nearest` rounds. */
export const digits = (x: number): string => {
  if (!Number.isFinite(x)) {
    if (Number.isNaN(x)) return 'nan'
    return x > 0 ? 'inf' : '-inf'
  }
  const negative = x < 0 || Object.is(x, -0)
  return `${negative ? '-' : ''}${(nearest(Math.abs(x) * UNIT) / UNIT).toFixed(DECIMALS)}`
}

/** A tensor of whole numbers is printed without decimals: `8.`. */
const whole = (x: number): string => `${Object.is(x, -0) ? '-0' : String(x)}.`

const nested = (shape: Shape, cells: readonly string[], indent: number): string => {
  const [count, ...inner] = shape
  if (count === undefined) return cells[0]
  if (inner.length === 0) return `[${cells.join(', ')}]`
  const size = cells.length / Math.max(1, count)
  const parts = Array.from({ length: count }, (_, i) =>
    nested(inner, cells.slice(i * size, (i + 1) * size), indent + 1),
  )
  return `[${parts.join(`,${'\n'.repeat(inner.length)}${' '.repeat(indent + 1)}`)}]`
}

/** `tensor([[ 0.5136, -0.5897], …])`: one column width for all, four decimals. Long rows are not wrapped, large tensors not cut, and there is no scientific notation. */
export const showTensor = (t: Tensor): string => {
  const numbers = [...t.data]
  const cells = numbers.map(numbers.every((x) => Number.isInteger(x)) ? whole : digits)
  const width = t.shape.length === 0 ? 0 : Math.max(0, ...cells.map((c) => c.length))
  return `tensor(${nested(
    t.shape,
    cells.map((c) => c.padStart(width)),
    'tensor('.length,
  )})`
}

/** A boolean as Python prints it: `True`. */
export const showBoolean = (b: boolean): string => (b ? 'True' : 'False')

/** A boolean tensor without axes: `tensor(True)`. */
export const showTruth = (b: boolean): string => `tensor(${showBoolean(b)})`

const showQuantTensor = (q: QuantTensor): string =>
  `IntQuantTensor(value=${showTensor(q.value)}, scale=${showTensor(q.scale)}, zero_point=${showTensor(q.zeroPoint)}, bit_width=${showTensor(q.bitWidth)}, signed_t=${showTruth(q.signed)}, training_t=${showTruth(q.training)})`

/** What a layer gave, as PyTorch or Brevitas prints it. */
export const show = (x: Output): string => (isQuantTensor(x) ? showQuantTensor(x) : showTensor(x))
