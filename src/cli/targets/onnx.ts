/** `--to qcdq` and `--to qonnx`: ONNX models with their numbers. */
import * as E from 'fp-ts/lib/Either.js'
import { exportOnnx, type OnnxFormat } from '../../interop/onnx/index.js'
import type { Stored } from '../../../viz/known.js'
import { misused, orRefused, type Options, type Result } from '../command.js'
import { numbersOf } from '../numbers.js'
import type { Made, Target, TargetGiven } from '../target.js'

const OPTIONS: Options = {
  opset: { type: 'string', value: 'N', says: "Version of ONNX' operators, 13 to 21 (default 17)." },
  'closed-batch': { type: 'boolean', says: 'Write the size of the batch down instead of leaving it open.' },
}

/** A whole number that was given as text. */
const opsetOf = (text: unknown): Result<{ readonly opset?: number }> => {
  if (text === undefined) return E.right({})
  const opset = Number(text)
  return Number.isInteger(opset) && opset >= 13 && opset <= 21
    ? E.right({ opset })
    : misused('--opset', `--opset ${String(text)} is no version that is written`, 'give a number from 13 to 21')
}

/** The version, and whether it has the types that are asked for. */
const checked = (given: TargetGiven): Result<{ readonly opset?: number }> => {
  const opset = opsetOf(given['opset'])
  if (E.isLeft(opset) || given['int4'] !== true || (opset.right.opset ?? 17) >= 21) return opset
  return misused('--int4', `opset ${opset.right.opset ?? 17} has no 4-bit types`, 'give --opset 21 beside --int4')
}

const onnx = (format: OnnxFormat, says: string, options: Options): Target => ({
  says,
  ending: '.onnx',
  options: { ...OPTIONS, ...options },
  check: checked,
  make: (subject, given) => {
    const opset = checked(given)
    if (E.isLeft(opset)) return opset
    const names = subject.names === undefined ? {} : { names: subject.names }
    const how = {
      format,
      ...names,
      ...opset.right,
      int4: given['int4'] === true,
      openBatch: given['closed-batch'] !== true,
    }
    return E.chain((numbers: Stored): Result<Made> =>
      orRefused(
        E.map((content: Uint8Array): Made => ({ is: 'file', content }))(exportOnnx(subject.program, numbers, how)),
      ),
    )(numbersOf(subject))
  },
})

export const qcdq = onnx('qcdq', 'ONNX with QuantizeLinear, Clip, DequantizeLinear, which any runtime reads', {
  int4: { type: 'boolean', says: 'Use real 4-bit types; needs --opset 21.' },
})
export const qonnx = onnx('qonnx', 'ONNX with the operators of QONNX: any bit width and rounding', {})
