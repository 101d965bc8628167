/** How a program is written as an ONNX model. */
import type { QuantError } from '../../data/error.js'
import { flag, oneOf, record, text, type Field } from '../../data/fields.js'
import type { Tensor } from '../../data/tensor.js'
import type { OnnxFormat, Rule } from './rule.js'

/** How a model is written. */
export type ExportOptions = {
  /** `qcdq`: plain ONNX with QuantizeLinear, Clip, DequantizeLinear (default). `qonnx`: the operators of qonnx. */
  readonly format?: OnnxFormat
  /** Version of ONNX' operators, 13 to 21 (default 17). */
  readonly opset?: number
  /** Write 4-bit quantizers with real INT4 and UINT4 types; needs opset 21. */
  readonly int4?: boolean
  /** Name of the graph. */
  readonly name?: string
  /** Leave the first axis of inputs open (`N`) where every op allows it (default true). */
  readonly openBatch?: boolean
  /** Scale and zero point of quant tensors that are inputs, by path: they become constants, and the input its value. */
  readonly quantInputs?: { readonly [path: string]: { readonly scale: Tensor; readonly zeroPoint: Tensor } }
  /** Names of inputs and outputs, by their path; the path itself if absent, `input` or `output` for the empty one. */
  readonly names?: { readonly [path: string]: string }
  /** Rules of your own ops, by name; each appends nodes and gives the name of its result. */
  readonly rules?: { readonly [op: string]: Rule }
}

const OPSETS: Field = oneOf(13, 14, 15, 16, 17, 18, 19, 20, 21)
/** Options of an export as fields. */
export const FIELDS = {
  format: oneOf('qcdq', 'qonnx'),
  opset: OPSETS,
  int4: flag,
  name: text,
  openBatch: flag,
  quantInputs: record,
  names: record,
  rules: record,
}

/** What options must be beside each of their fields. */
export const optionProblems = (asker: string, options: ExportOptions): readonly QuantError[] =>
  options.int4 === true && (options.opset ?? 17) < 21
    ? [
        {
          tag: 'ConfigError',
          option: 'int4',
          path: '',
          message: `${asker} was asked for 4-bit types at opset ${options.opset ?? 17}, which has none`,
          fix: 'give opset: 21 beside int4: true',
        },
      ]
    : []
