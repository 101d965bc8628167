/** `quantrace/brevitas`: state dicts of Brevitas and PyTorch, in and out, and a PyTorch twin that trains on many machines. */
export { parseSafetensors, safetensorsToBytes } from '../arrays/safetensors.js'
export type { StoredArrays } from '../arrays/stored.js'
export type { ElementType, StoredArray } from '../arrays/element.js'
export { fromStateDict, toStateDict, type LoadedStateDict, type StateDictOptions } from './stateDict.js'
export { keyOf } from './keys.js'
export { fromBrevitas } from './twin/state.js'
export { toBrevitas, type TwinFiles } from './twin/twin.js'
