/** In what forms the trained network leaves: an ONNX model for any runtime. */
import * as E from 'fp-ts/lib/Either.js'
import { exportOnnx } from '../../src/interop/onnx/index.js'
import { tensorInput, trace, type Layer, type QuantErrors } from '../../src/index.js'

/** The files, by name. The model takes batches of any size: `input [N, 1, 28, 28]` to `output [N, 10]`. */
export const deliver = <P, S>(
  net: Layer<P, S>,
  params: P,
  state: S,
): E.Either<QuantErrors, { readonly [file: string]: Uint8Array }> => {
  const program = trace(net, tensorInput([1, 1, 28, 28]), { mode: 'eval' })
  if (E.isLeft(program)) return program
  const model = exportOnnx(program.right, { params, state }, { name: 'digits' })
  return E.isLeft(model) ? model : E.right({ 'digits.onnx': model.right })
}
