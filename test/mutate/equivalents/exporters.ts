/** Of src/interop/onnx. */
import { of, type Equivalent } from './record.js'

const FIRST = 'node 0 has no operands, so that nothing is done there'

/** Mutants of the exporters. */
export const OF_EXPORTERS: readonly Equivalent[] = [
  ...of('src/interop/onnx/report.ts', 'for (let i = graph.nodes.length - 1; i >= 0; i--) {', [['>=', '>']], FIRST),
  ...of('src/interop/onnx/session.ts', 'for (let i = graph.nodes.length - 1; i >= 0; i--)', [['>=', '>']], FIRST),
  ...of(
    'src/interop/onnx/ops/qcdq.ts',
    'for (let i = 0; i < out.length; i++) {',
    [['<', '<=']],
    'it writes one element behind the end of a typed array, which is no element',
  ),
]
