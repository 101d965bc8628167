/** `quantrace/onnx`: models out and in. */
export { exportOnnx } from './export.js'
export type { ExportOptions } from './options.js'
export { exportReport, showExportReport, type ExportReport, type ReportEntry } from './report.js'
export { unsupported, type Exporting, type OnnxFormat, type Rule, type Unsupported } from './rule.js'
export { flag, float, int, ints, text, type Attribute } from './writer.js'
export {
  importOnnx,
  type Imported,
  type ImportedInput,
  type ImportedPort,
  type ImportOptions,
  type Values,
} from './import/import.js'
export type {
  Entry,
  Importing,
  ImportRule,
  Known,
  Levels,
  Role,
  Stored,
  Traced as TracedEntry,
} from './import/entry.js'
export type { Host, ReadExternal } from './import/host.js'
