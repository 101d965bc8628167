/** quantrace: quantization-aware training as pure functions over a traced graph. Public names only. */
export * from './data/error.js'
export {
  isQuantTensor,
  valueOf,
  isValidQuantTensor,
  intRepr,
  type Output,
  type QuantTensor,
} from './data/quantTensor.js'
export type { Carried, Quant, ZeroPointKind, NodeId } from './data/quant.js'
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
  NoGradient,
  Op,
  OpTable,
  Refusal,
  Value,
  Vjp,
  VjpInput,
  Example,
  ExampleArg,
} from './graph/op.js'
export { refuse, surrogate } from './graph/op.js'
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
  type QuantizerOptions,
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
  Limits,
  PlanDescription,
  ProductDescription,
  Profile,
  ProfileOptions,
  ProfileRow,
  StepDescription,
} from './evaluator/insight.js'
export { reference } from './evaluator/reference/reference.js'
export * from './nn/program/program.js'
export { specialize, type Specialized, type SpecializeOptions } from './nn/program/specialize.js'
export * from './nn/layers/layer.js'
export { functionLayer } from './nn/layers/functionLayer.js'
export * from './nn/layers/model.js'
export * from './nn/functions/index.js'
export * from './nn/layers/activationLayers.js'
export * from './nn/layers/weightLayers.js'
export * from './nn/layers/joinLayers.js'
export * from './nn/layers/resizeLayers.js'
export * from './nn/layers/normLayers.js'
export * from './nn/layers/floatLayers.js'
export * from './nn/layers/embeddingLayer.js'
export * from './nn/layers/scaleLayers.js'
export * from './nn/layers/attentionLayers.js'
export * from './nn/layers/multiheadAttention.js'
export * from './nn/training/losses.js'
export {
  adam,
  adamW,
  sgd,
  type AdamOptions,
  type Optimizer,
  type SgdOptions,
  type Updated,
} from './nn/training/optim.js'
export { meanGrads } from './nn/training/accumulation.js'
export { averaged, withEma, type EmaOptions } from './nn/training/ema.js'
export { clipGradNorm, clipGradValue, gradNorm, type GradTransform } from './nn/training/gradients.js'
export { freezing, type LeafRule, type Mask, type OptimLeaf } from './nn/training/mask.js'
export type { OptimState } from './nn/training/memory.js'
export type { Carrying } from './nn/training/options.js'
export * from './nn/training/schedules.js'
export {
  batches,
  batchesPerEpoch,
  collect,
  countOf,
  epochOrder,
  gather,
  type Batch,
  type LoaderOptions,
  type Position,
  type Samples,
} from './nn/training/loader.js'
export type { BatchSource } from './nn/training/batchSource.js'
export { finish, train } from './nn/training/train.js'
export type { TrainConfig, TrainEvent, Training } from './nn/training/trainConfig.js'
export type { Examples, Recipe } from './nn/training/supervised.js'
export { applyStep } from './nn/training/stepping.js'
export { evaluate, type EvaluateEnd, type EvaluateEvent, type EvaluateOptions } from './nn/program/evaluate.js'
export * from './nn/training/trainState.js'
export { trainer, type StepOptions, type Stepped, type Trainer, type TrainerOptions } from './nn/training/trainer.js'
export { withUpdate, type Checked, type HyperGroup, type UpdateOptions, type WithUpdate } from './nn/training/update.js'
export type { Hyper, LeafUpdate, UpdateRule } from './nn/training/updateRules.js'
export * from './nn/training/checkpoint.js'
export { printConfig } from './nn/layers/printConfig.js'
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
export { integerWeights, type IntegerWeights } from './nn/program/integers.js'
