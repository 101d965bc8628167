/** Of src/ops. */
import { of, type Equivalent } from './record.js'

const BEYOND = 'it writes one element behind the end of a typed array, which is no element'
const UNROLLED = 'the loop behind takes what the unrolled one leaves'

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
]
