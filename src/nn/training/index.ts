/** `quantrace/train`: losses, optimizers, schedules, loaders, the training loop and its checkpoints. All of it is in `quantrace`, too. */
export * from './losses.js'
export { adam, adamW, sgd, type AdamOptions, type Optimizer, type SgdOptions, type Updated } from './optim.js'
export { meanGrads } from './accumulation.js'
export { averaged, withEma, type EmaOptions } from './ema.js'
export { clipGradNorm, clipGradValue, gradNorm, type GradTransform } from './gradients.js'
export { freezing, type LeafRule, type Mask, type OptimLeaf } from './mask.js'
export type { OptimState } from './memory.js'
export type { Carrying } from './options.js'
export * from './schedules.js'
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
} from './loader.js'
export type { BatchSource } from './batchSource.js'
export { finish } from './finish.js'
export { train } from './train.js'
export type { TrainConfig, TrainEvent, Training } from './trainConfig.js'
export type { Examples, Recipe } from './supervised.js'
export { applyStep } from './stepping.js'
export * from './trainState.js'
export { trainer, type StepOptions, type Stepped, type Trainer, type TrainerOptions } from './trainer.js'
export { withUpdate, type Checked, type HyperGroup, type UpdateOptions, type WithUpdate } from './update.js'
export type { Hyper, LeafUpdate, UpdateRule } from './updateRules.js'
export * from './checkpoint.js'
export * from './pageStore.js'
