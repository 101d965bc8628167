/** quantrace/runtime: programs that were compiled ahead of time, in a few kilobytes. */
export {
  loadPrecompiled,
  type LoadOptions,
  type Precompiled,
  type PrecompiledInput,
  type PrecompiledRun,
} from './precompiled.js'
export {
  explainAll,
  isFailure,
  orThrow,
  type QuantError,
  type QuantErrors,
  type QuantFailure,
  type QuantWarning,
} from '../data/error.js'
export { scalar, tensor, tensorOf, zeros, type Tensor } from '../data/tensor.js'
export {
  intRepr,
  isQuantTensor,
  isValidQuantTensor,
  valueOf,
  type Output,
  type QuantTensor,
} from '../data/quantTensor.js'
