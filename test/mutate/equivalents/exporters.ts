/** Of src/interop/onnx. */
import { of, type Equivalent } from './record.js'

const FIRST = 'node 0 has no operands, so that nothing is done there'

/** Mutants of the exporters. */
export const OF_EXPORTERS: readonly Equivalent[] = [
  ...of(
    'src/interop/onnx/report.ts',
    'for (let i = graph.nodes.length - 1; i >= 0; i--) {',
    [
      ['>=', '>'],
      ['0', '1'],
    ],
    FIRST,
  ),
  ...of(
    'src/interop/onnx/session.ts',
    'for (let i = graph.nodes.length - 1; i >= 0; i--)',
    [
      ['>=', '>'],
      ['0', '1'],
    ],
    FIRST,
  ),
  ...of(
    'src/interop/onnx/report.ts',
    "return full(i.shape, i.path.includes('zeroPoint') ? 0 : 1)",
    [['1', '2']],
    'no rule and no metadata knows one scale above 0 from another',
  ),
  ...of(
    'src/interop/onnx/float8.ts',
    'if (exponent < 1 - t.bias) return sign',
    [
      ['<', '<='],
      ['1', '2'],
    ],
    'the first normal numbers go on in the steps of the subnormal ones, so that both formulas give one byte',
  ),
  ...of(
    'src/interop/onnx/writer.ts',
    'for (let i = 0; i < values.length; i++) out[i >> 1] |=',
    [['<', '<=']],
    'the element behind the last one is undefined, whose bits are 0',
  ),
  ...of(
    'src/interop/onnx/writer.ts',
    'for (let i = 0; i < values.length; i++) out[i >> 1] |=',
    [['*', '/']],
    'a shift by 4 / 0 is one by 0, as that by 4 * 0; and 4 / 1 is 4 * 1',
  ),
  ...of(
    'src/interop/onnx/writer.ts',
    'next.set(base, k + 1)',
    [['+', '-']],
    'where to begin to count: names before it are taken and are passed over',
  ),
  ...of(
    'src/interop/onnx/session.ts',
    'for (let i = graph.nodes.length - 1; i >= 0; i--)',
    [['-', '+']],
    'behind the last node there is none that is needed',
  ),
  ...of(
    'src/interop/onnx/session.ts',
    'if (product === undefined || rule === undefined) {',
    [['||', '&&']],
    'products that sums stand for have a rule: the other side is for the type',
  ),
  ...of(
    'src/interop/onnx/float8.ts',
    'return Uint8Array.from(values, (x) => (t === undefined ? 0',
    [['0', '1']],
    'the type of its argument has no value that is not in the table: the other side is for the type',
  ),
  ...of(
    'src/interop/onnx/ops/blocks.ts',
    'const NO_ZERO: Tensor =',
    [['0', '1']],
    'minifloats have no zero point: nobody reads the number',
  ),
  ...of(
    'src/interop/onnx/batch.ts',
    "pad: (node) => pairs(node, 'pad')[0].every(",
    [['every', 'some']],
    'the rows are as many as before, so that one of the two amounts is 0 where the other one is',
  ),
  ...of(
    'src/interop/onnx/ops/qcdq.ts',
    'for (let i = 0; i < out.length; i++) {',
    [['<', '<=']],
    'it writes one element behind the end of a typed array, which is no element',
  ),
]
