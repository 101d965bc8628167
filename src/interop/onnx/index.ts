/** `quantrace/onnx`: models out and in. */
export { exportOnnx, type ExportOptions } from './export.js'
export { unsupported, type Exporting, type OnnxFormat, type Rule, type Unsupported } from './rule.js'
export { flag, float, int, ints, text, type Attribute } from './writer.js'
