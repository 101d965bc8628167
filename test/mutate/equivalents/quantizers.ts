/** Of src/quantizers. */
import { of, type Equivalent } from './record.js'

const ASKED = 'groups without a size or an axis are refused before: the other side is for the type'

/** Mutants of quantizers. */
export const OF_QUANTIZERS: readonly Equivalent[] = [
  ...of(
    'src/quantizers/layout.ts',
    'const [dim, size] = [q.groupDim ?? -1, q.groupSize ?? 1]',
    [
      ['1', '2'],
      ['-', ''],
    ],
    ASKED,
  ),
  ...of(
    'src/quantizers/layout.ts',
    'return byGroup(shape, q.groupDim ?? -1, q.groupSize ?? 1)',
    [
      ['1', '2'],
      ['-', ''],
    ],
    ASKED,
  ),
  ...of(
    'src/quantizers/weight.ts',
    'const attrs = { clamped: false',
    [['false', 'true']],
    'binary weights are cut to their scale before, so that none lies beyond it',
  ),
]
