/** quantrace: quantization-aware training as pure functions over a traced graph. Public names only. */
export * from './data/error.js'
export {
  isQuantTensor,
  valueOf,
  isValidQuantTensor,
  intRepr,
  isFloatQuantTensor,
  minifloats,
  type FloatQuantTensor,
  type GroupScales,
  type Output,
  type QuantTensor,
} from './data/quantTensor.js'
export { gridOf, isFloatGrid, quantOf } from './data/readGrid.js'
export type { Carried, FloatQuant, Grid, Group, Quant, ZeroPointKind, NodeId } from './data/quant.js'
export type { FloatFormat } from './data/minifloat.js'
export type { Shape } from './data/shape.js'
export { tensor, tensorOf, scalar, full, zeros, type Tensor } from './data/tensor.js'
export type { Where } from './data/where.js'
export type { Tree } from './data/tree.js'
export * from './data/random.js'
export type { Graph, Node } from './graph/graph.js'
export type {
  Attr,
  Attrs,
  Kit,
  LaneRule,
  Lanes,
  LaneMask,
  NoGradient,
  Lane,
  Op,
  OpTable,
  Reduction,
  Refusal,
  Traits,
  Value,
  Vjp,
  VjpInput,
  Example,
  ExampleArg,
} from './graph/op.js'
export { refuse } from './graph/op.js'
export { surrogate } from './graph/chosenSurrogate.js'
export type { AttrField, AttrSchema, AttrsOf, NoAttrs } from './graph/attributes.js'
export * as attr from './graph/attr.js'
export { printProgram, formula } from './graph/print.js'
export { alignPrograms, type AlignedNode, type Change } from './graph/align.js'
export { diffPrograms } from './graph/diff.js'
export {
  toGraphology,
  lossesOf,
  dependents,
  sources,
  type ProgramGraph,
  type NodeAttributes,
  type EdgeAttributes,
  type Loss,
} from './graph/view.js'
export { programToJSON, parseProgram } from './graph/json.js'
export { tensorsToBytes, parseTensors } from './data/binary.js'
export type { Program, ProgramInput, ProgramLayer, ProgramOutput, QuantParts } from './graph/program.js'
export type { Dtype } from './data/dtype.js'
export {
  booleanInput,
  integerInput,
  quantInput,
  tensorInput,
  type InputDecl,
  type QuantInput,
  type TensorInput,
} from './graph/trace.js'
export { ops, type Registry } from './ops/index.js'
export { unary, binary, scaledBy, maskedBy, strips } from './ops/support/elementwise.js'
export type { Rounding } from './ops/rounding.js'
export {
  withOptions,
  named,
  type Quantizer,
  type MinifloatFamily,
  type PreScaling,
  type QuantizerOptions,
  type Search,
  type Statistic,
  type StatsOp,
  type ScalingImplType,
  type RestrictScalingType,
} from './quantizers/quantizer.js'
export { LEARNED } from './quantizers/collection.js'
export * from './quantizers/presets.js'
export type {
  Backend,
  Commit,
  Executable,
  ResidentStorage,
  RunOptions,
  RunResult,
  TrustOptions,
} from './evaluator/backend.js'
export {
  createWasm,
  fastestHere,
  showPlan,
  showProfile,
  wasm,
  type WasmBackend,
  type WasmOptions,
} from './evaluator/engines.js'
export type {
  Features,
  RungsDescription,
  Limits,
  PlanDescription,
  ProductDescription,
  Profile,
  ProfileOptions,
  ProfileRow,
  StepDescription,
} from './evaluator/insight.js'
export { reference } from './evaluator/reference/reference.js'
export * from './nn/program/derivatives.js'
export * from './nn/program/program.js'
export { precompile } from './nn/program/precompile.js'
export { specialize, type Specialized, type SpecializeOptions } from './nn/program/specialize.js'
export * from './nn/layers/index.js'
export * from './nn/functions/index.js'
export * from './nn/training/index.js'
export { evaluate, type EvaluateEnd, type EvaluateEvent, type EvaluateOptions } from './nn/program/evaluate.js'
export { customQuantizer, type CustomQuantizer } from './quantizers/custom.js'
export { finishCollection } from './nn/program/collection.js'
export { parseNetwork, type Network } from './nn/program/network.js'
export {
  loadPartial,
  showPartialLoad,
  type LeftOverLeaf,
  type MissingLeaf,
  type PartialLoad,
  type PartialOptions,
} from './nn/program/partial.js'
export {
  mergeBatchNorm,
  showMerge,
  type KeptNorm,
  type Merged,
  type MergedNorm,
  type MergeOptions,
} from './nn/merging/mergeBatchNorm.js'
export { mergeBatchNormInto, type MergeIntoOptions } from './nn/merging/into.js'
export { integerWeights, type IntegerWeights } from './nn/program/integers.js'
