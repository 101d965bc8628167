/** `quantrace/arrays`: files of arrays, in and out: numpy's .npy and .npz, and safetensors. */
export { npyToBytes, parseNpy, type NpyOptions } from './npy.js'
export { npzToBytes, parseNpz, type Inflate, type NpzOptions } from './npz.js'
export { parseSafetensors, safetensorsToBytes } from './safetensors.js'
export type { StoredArrays } from './stored.js'
export type { ElementType, StoredArray } from './element.js'
