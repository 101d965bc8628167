/** quantrace/quantize: from a float network to a quantized one, without training or with a little of it. */
export { quantize } from './quantize.js'
export { lift, type Lifted } from './lift/lift.js'
export { schemes, type SchemeName } from './schemes.js'
export type { Choice, Rule } from './rules.js'
export type {
  CalibrationNote,
  LayerReport,
  LiftedPart,
  ProductReport,
  Quantized,
  QuantizeReport,
  Trained,
} from './types.js'
export { showQuantize } from './report.js'
export { calibrate, type CalibrateOptions, type Progress } from './calibrate.js'
export type { Cut, Samples } from './samples.js'
export { correctBias, type CorrectOptions } from './correctBias.js'
export { roundWeights, type RoundOptions, type RoundedLayer, type RoundedWeights } from './roundWeights.js'
export { equalize, type Equalized, type EqualizeOptions } from './equalize.js'
export type { LayerSize } from './choosable.js'
export type { ActivationSensitivity } from './activationLosses.js'
export { sensitivity, type LayerSensitivity, type Sensitivity, type SensitivityOptions } from './sensitivity.js'
export { searchBits, type BitPlan, type BitSearch, type Budget, type SearchOptions } from './searchBits.js'
export { layerErrors, showSteps, type ErrorOptions, type LayerError, type StepErrors } from './errors.js'
