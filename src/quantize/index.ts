/** quantrace/quantize: from a float network to a quantized one, without training or with a little of it. */
export { quantize } from './quantize.js'
export { lift, type Lifted } from './lift/lift.js'
export { schemes, type SchemeName } from './schemes.js'
export type { Choice, Rule } from './rules.js'
export type { LayerReport, LiftedPart, ProductReport, Quantized, QuantizeReport, Trained } from './types.js'
export { showQuantize } from './report.js'
export { calibrate, type CalibrateOptions, type Progress } from './calibrate.js'
export type { Cut, Samples } from './samples.js'
