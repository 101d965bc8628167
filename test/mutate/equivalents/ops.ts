/** Of src/ops. */
import { of, type Equivalent } from './record.js'

const BEYOND = 'it writes one element behind the end of a typed array, which is no element'
const UNROLLED = 'the loop behind takes what the unrolled one leaves'

const EQUAL = 'where the two are equal, either is the same number'
const UNIT = 'the other factor is 1, or NaN where the result is NaN anyway'

/** Mutants of ops. */
export const OF_OPS: readonly Equivalent[] = [
  ...of('src/ops/arange.ts', 'for (let i = 0; i < out.data.length', [['<', '<=']], BEYOND),
  ...of(
    'src/ops/support/elementwise.ts',
    'else if (y.length === 1 && x.length === z.length) for',
    [['<', '<=']],
    BEYOND,
  ),
  ...of('src/ops/support/products.ts', 'for (; o + 4 <= count', [['<=', '<']], UNROLLED),
  ...of('src/ops/support/convLoops.ts', 'for (; t + 4 <= taps', [['<=', '<']], UNROLLED),
  ...of(
    'src/ops/support/padding.ts',
    "if (mode === 'circular') return i < 0",
    [
      ['<', '<='],
      ['0', '1'],
    ],
    'an index from 0 to n - 1 has been answered before',
  ),
  ...of(
    'src/ops/kthValue.ts',
    'if (p < r) return p',
    [['<', '<=']],
    'where the two are equal it does not matter which of them is the pivot',
  ),
  ...of(
    'src/ops/checks.ts',
    'const close = (a: number, b: number)',
    [['<=', '<']],
    'no two float32 numbers are known to lie just 1e-8 + 1e-5 |b| apart, which is computed in float64',
  ),
  ...of(
    'src/ops/permute.ts',
    'const { size, dim } = q.group ?? { size: 1, dim: 0 }',
    [
      ['1', '2'],
      ['0', '1'],
    ],
    'it is asked of grids with groups only: the other side is for the type',
  ),
  ...of('src/ops/quantize.ts', 'return r < lo ? lo : r', [['<', '<=']], EQUAL),
  ...of('src/ops/quantizeGrad.ts', 'return r < lo ? lo : r', [['<', '<=']], EQUAL),
  ...of('src/ops/kthValue.ts', 'return p < r ? r : p', [['<', '<=']], EQUAL),
  ...of('src/ops/quantize.ts', "? kit.emit('mul', [attrs.clamp === 'ste'", [["'mul'", "'div'"]], UNIT),
  ...of(
    'src/ops/quantizeFloat.ts',
    "needs[1] ? kit.emit('mul', [kit.emit('quantizeFloatGradScale'",
    [["'mul'", "'div'"]],
    UNIT,
  ),
  ...of(
    'src/ops/quantize.ts',
    'for (let i = start; i < end; i++)',
    [['<', '<=']],
    'the element behind the range belongs to the next one, which writes it anew, or to none',
  ),
  ...of('src/ops/quantizeGrad.ts', 'const r = masks ?', [['0', '1']], 'without a mask nobody reads the number'),
  ...of('src/ops/support/indices.ts', 'for (let i = 0, to = 0; i < sums.length', [['<', '<=']], BEYOND),
  ...of(
    'src/ops/support/padding.ts',
    "if (mode === 'replicate') return i < 0",
    [
      ['<', '<='],
      ['0', '1', 0],
    ],
    'an index from 0 to n - 1 has been answered before',
  ),
  ...of(
    'src/ops/support/convLoops.ts',
    'for (let j = 0; j < plane; j++) if (place[j] >= 0)',
    [['<', '<=']],
    'there is no place behind the last one, and undefined is not from 0 on',
  ),
  ...of(
    'src/ops/softmax.ts',
    'for (let k = 0; k < n; k++) out.data[start + k * step]',
    [['<', '<=']],
    'the element behind a row is the first of a later one, which is written anew, or none',
  ),
  ...of('src/ops/pixelShuffle.ts', 'for (let n = 0; n < outer; n++)', [['<', '<=']], BEYOND),
  ...of(
    'src/ops/support/metadata.ts',
    's.map((n, i) => (n > 1 ? i - s.length + rank : -1))',
    [['1', '2', 1]],
    'any number below 0 marks what is filtered out',
  ),
  ...of(
    'src/ops/addBias.ts',
    'lo: y.lo + Math.min(0, b.lo)',
    [['0', '1']],
    'the least integer of a grid is never above 0',
  ),
  ...of(
    'src/ops/quantizeFloat.ts',
    'const steps = e.fround(m > 0 && least >= -126',
    [['>=', '>']],
    'to divide by a power of two and to multiply by its inverse is the same, and at -126 both can be said',
  ),
  ...of(
    'src/ops/floatSigns.ts',
    'carry: signsOf(true, (q, kit) => [negated(q, false, kit)',
    [['false', 'true']],
    'it is asked of grids without a zero point only, and says what becomes of zero points',
  ),
  ...of(
    'src/ops/support/resizing.ts',
    'return { low, high: Math.min(low + 1, length - 1), weight:',
    [['1', '2', 2]],
    'a place lies less than 1 behind the whole number below it',
  ),
  ...of(
    'src/ops/support/convShape.ts',
    'const wide = badPadding([w[1] * groups, ...out.map((n, d) => Math.max(n, 0)',
    [['0', '1']],
    'an axis of nothing is refused a line later, and one element more is not too many',
  ),
  ...of('src/ops/support/products.ts', 'for (let j = 0; j < n; j++) acc[j] += a0', [['<', '<=']], BEYOND),
  ...of('src/ops/support/products.ts', 'for (; k + 4 <= count', [['<=', '<']], UNROLLED),
  ...of('src/ops/clamp.ts', 'const raised = min !== null && x < min', [['<', '<=']], EQUAL),
  ...of('src/ops/kthValue.ts', 'return q < r ? r : q', [['<', '<=']], EQUAL),
  ...of(
    'src/ops/rounding.ts',
    'const toZero = (x: number): number => (x > 0',
    [['>', '>=']],
    'both roundings of a zero are that zero, with its sign',
  ),
]
