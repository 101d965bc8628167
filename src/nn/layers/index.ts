/** `quantrace/layers`: quantized and float layers, chains and models of them. All of it is in `quantrace`, too. */
export * from './layer.js'
export { functionLayer } from './functionLayer.js'
export * from './model.js'
export * from './activationLayers.js'
export * from './weightLayers.js'
export * from './joinLayers.js'
export * from './resizeLayers.js'
export * from './truncLayers.js'
export * from './normLayers.js'
export {
  BatchNorm1d,
  BatchNorm2d,
  BatchNorm3d,
  foldBatchNorm,
  type BatchNorm,
  type BatchNormOptions,
  type BatchNormState,
  type NormParams,
} from './batchNorm.js'
export * from './floatLayers.js'
export * from './embeddingLayer.js'
export * from './scaleLayers.js'
export * from './attentionLayers.js'
export * from './multiheadAttention.js'
export * from './recurrentLayers.js'
export * from './gruLayer.js'
export * from './quantLayerNorm.js'
export { printConfig } from './printConfig.js'
