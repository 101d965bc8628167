/** Case files as data (FORMAT.md): reading, decoding tensors, naming. */
import { readFileSync } from 'node:fs'
import type { QuantTensor, Tensor } from '../../src/index.js'

export type Json = { readonly [key: string]: unknown }
export type TensorJson = { readonly shape: readonly number[]; readonly data?: readonly number[]; readonly f32?: string }
export type ValueJson = (TensorJson & { readonly kind?: undefined }) | QuantJson
export type QuantJson = { readonly kind: 'quant'; readonly value: TensorJson; readonly scale: TensorJson; readonly zero_point: TensorJson; readonly bit_width: TensorJson; readonly signed: boolean; readonly training: boolean }
export type ExpectedJson = { readonly kind: 'tensor' | 'quant'; readonly value: TensorJson; readonly scale?: TensorJson; readonly zero_point?: TensorJson; readonly bit_width?: TensorJson; readonly signed?: boolean; readonly training?: boolean; readonly is_valid?: boolean | null; readonly int?: TensorJson }
export type LayerJson = { readonly type: string; readonly kwargs: Json; readonly act_quant?: string | null; readonly input_quant?: string | null; readonly output_quant?: string | null; readonly weight_quant?: string | null; readonly bias_quant?: string | null; readonly trunc_quant?: string | null }
export type Arg = string | number | readonly string[]
export type Statement = { readonly out: string; readonly layer?: string; readonly fn?: string; readonly args: readonly Arg[]; readonly attrs?: Json }
export type Tolerance = { readonly mode: 'exact' | 'close'; readonly rtol?: number; readonly atol?: number; readonly lsb?: { readonly max_lsb: number; readonly fraction: number } }
export type Compare = { readonly default: Tolerance; readonly grads?: Tolerance; readonly state?: Tolerance; readonly by_key?: { readonly [key: string]: Tolerance }; readonly lsb?: { readonly max_lsb: number; readonly fraction: number } }
export type Step = {
  readonly mode: 'train' | 'eval'
  readonly inputs: { readonly [name: string]: ValueJson }
  readonly output_grad?: TensorJson
  readonly sgd?: { readonly lr: number }
  readonly expect?: { readonly y?: ExpectedJson; readonly values?: { readonly [name: string]: ExpectedJson }; readonly grads?: { readonly [key: string]: TensorJson }; readonly state?: { readonly [key: string]: TensorJson } }
}
export type ExpectError = { readonly when: 'construct' | 'call'; readonly message_contains: readonly string[]; readonly step?: number; readonly statement?: number }
export type Case = {
  readonly name: string
  readonly tags: readonly string[]
  readonly layers: { readonly [id: string]: LayerJson }
  readonly init?: { readonly [key: string]: TensorJson }
  readonly program: readonly Statement[]
  readonly output?: string
  readonly record?: readonly string[]
  readonly steps: readonly Step[]
  readonly compare: Compare
  readonly expect_error?: ExpectError
}
export type RngCall = { readonly fn: string; readonly shape?: readonly number[]; readonly attrs?: Json; readonly compare: Tolerance; readonly expect: unknown }
export type RngCase = { readonly name: string; readonly tags: readonly string[]; readonly seed: string; readonly calls: readonly RngCall[] }

export const readCase = (file: string): Case | RngCase => JSON.parse(readFileSync(file, 'utf8')) as Case | RngCase
export const isRng = (c: Case | RngCase): c is RngCase => 'calls' in c

/** A tensor of the file as ours. */
export const decode = (t: TensorJson): Tensor => {
  if (t.f32 === undefined) return { shape: t.shape, data: Float32Array.from(t.data ?? []) }
  const bytes = Buffer.from(t.f32, 'base64')
  return { shape: t.shape, data: Float32Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readFloatLE(4 * i)) }
}

export const isQuantJson = (v: ValueJson): v is QuantJson => v.kind === 'quant'

/** A quant tensor of the file as ours. */
export const decodeQuant = (q: QuantJson): QuantTensor => ({ kind: 'quant', value: decode(q.value), scale: decode(q.scale), zeroPoint: decode(q.zero_point), bitWidth: decode(q.bit_width), signed: q.signed, training: q.training })

/** `weight_bit_width` → `weightBitWidth`. */
export const camel = (name: string): string => name.replace(/_([a-z0-9])/g, (_, c: string) => c.toUpperCase())
