/** Case files as data (FORMAT.md): reading, checking, decoding tensors, naming. */
import { readFileSync } from 'node:fs'
import type { QuantTensor, Tensor } from '../../src/index.js'
import { refuseUnknownFields } from './fields.js'

/** A JSON object that nobody looked into yet. */
export type Json = { readonly [key: string]: unknown }
/** A tensor of the file: a few numbers, or little-endian float32 in base64. */
export type TensorJson = { readonly shape: readonly number[]; readonly data?: readonly number[]; readonly f32?: string }
/** A quant tensor as an input. */
export type QuantJson = {
  readonly kind: 'quant'
  readonly value: TensorJson
  readonly scale: TensorJson
  readonly zero_point: TensorJson
  readonly bit_width: TensorJson
  readonly signed: boolean
  readonly training: boolean
}
/** Indices or a mask as an input. */
export type DiscreteJson = TensorJson & { readonly kind: 'integer' | 'boolean' }
/** An input. */
export type ValueJson = (TensorJson & { readonly kind?: undefined }) | DiscreteJson | QuantJson
/** What a result must be. The fields of metadata are there if it is a quant tensor. */
export type ExpectedJson = {
  readonly kind: 'tensor' | 'quant' | 'none' | 'float-quant' | 'group-quant' | 'group-float-quant'
  readonly value: TensorJson
  readonly scale?: TensorJson
  readonly zero_point?: TensorJson
  readonly bit_width?: TensorJson
  readonly signed?: boolean
  readonly training?: boolean
  readonly is_valid?: boolean | null
  readonly int?: TensorJson
  readonly exponent_bit_width?: TensorJson
  readonly mantissa_bit_width?: TensorJson
  readonly exponent_bias?: TensorJson
  readonly saturating?: boolean
  readonly inf_values?: readonly string[] | null
  readonly nan_values?: readonly string[] | null
  readonly minifloat?: TensorJson
  readonly group_size?: number
  readonly group_dim?: number
  readonly group_scale?: TensorJson
  readonly group_zero_point?: TensorJson
}
/** A layer's specification; every further field, of a name that ends in `_quant`, names a quantizer or disables it by null. */
export type LayerJson = { readonly type: string; readonly kwargs: Json } & {
  readonly [place: `${string}_quant`]: string | null
}
/** The fields of a layer that name its quantizers. */
export const quantizersOf = (spec: LayerJson): readonly (readonly [place: string, preset: string | null])[] =>
  Object.entries(spec).flatMap(([field, v]) =>
    field.endsWith('_quant') && (v === null || typeof v === 'string') ? [[field, v] as const] : [],
  )
/** An argument of a statement: a name, a number, a list of names, or nothing. */
export type Arg = string | number | readonly string[] | null
/** A statement of a program: a call of a layer or of a function. */
export type Statement = {
  /** The parts of the result, if there are several: nested lists flattened in order. */
  readonly out: string | readonly string[]
  readonly layer?: string
  readonly fn?: string
  readonly args: readonly Arg[]
  readonly attrs?: Json
  /** Tensors passed by keyword. */
  readonly named?: { readonly [keyword: string]: string }
}
/** How many of the integers may differ, and by how much. */
export type Lsb = { readonly max_lsb: number; readonly fraction: number }
/** How to compare numbers. */
export type Tolerance = {
  readonly mode: 'exact' | 'close'
  readonly rtol?: number
  readonly atol?: number
  readonly lsb?: Lsb
}
/** How to compare a case. */
export type Compare = {
  readonly default: Tolerance
  readonly grads?: Tolerance
  readonly state?: Tolerance
  readonly by_key?: { readonly [key: string]: Tolerance }
  readonly lsb?: Lsb
}
/** What must come out of a step. */
export type Expect = {
  readonly y?: ExpectedJson
  readonly values?: { readonly [name: string]: ExpectedJson }
  readonly grads?: { readonly [key: string]: TensorJson }
  readonly state?: { readonly [key: string]: TensorJson }
}
/** What happens to a layer before a step. */
export type Action = {
  readonly do: 'merge_bn' | 'load_bn'
  readonly layer: string
  readonly bn: string
  readonly channel_dim?: number
}
/** A step. */
export type Step = {
  readonly mode: 'train' | 'eval'
  /** Modes of single layers where they are not the step's. */
  readonly modes?: { readonly [layer: string]: 'train' | 'eval' }
  /** Done in order before the program runs; what they did lasts. */
  readonly before?: readonly Action[]
  /** Instead of the case's program. */
  readonly program?: readonly Statement[]
  readonly inputs: { readonly [name: string]: ValueJson }
  readonly output_grad?: TensorJson
  readonly sgd?: { readonly lr: number }
  readonly expect?: Expect
}
/** How a case must fail. */
export type ExpectError = {
  readonly when: 'construct' | 'call'
  readonly message_contains: readonly string[]
  readonly step?: number
  readonly statement?: number
}
/** A program case. */
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
/** One draw of a generator case. */
export type RngCall = {
  readonly fn: string
  readonly shape?: readonly number[]
  readonly attrs?: Json
  readonly compare: Tolerance
  readonly expect: unknown
}
/** A generator case. */
export type RngCase = {
  readonly name: string
  readonly tags: readonly string[]
  readonly seed: string
  readonly calls: readonly RngCall[]
}

/** Is it a generator case? */
export const isRng = (c: Case | RngCase): c is RngCase => 'calls' in c

/** Reads a case; a field that FORMAT.md does not name is refused, so that nothing is left unchecked in silence. */
export const readCase = (file: string): Case | RngCase => {
  const c = JSON.parse(readFileSync(file, 'utf8')) as Case | RngCase
  refuseUnknownFields(c)
  return c
}

/** The name of a program's result. */
export const outputOf = (c: Case, program: readonly Statement[] = c.program): string =>
  c.output ?? namesOf(program[program.length - 1])[0]

/** The names that a statement gives to the parts of its result. */
export const namesOf = (s: Statement): readonly string[] => (typeof s.out === 'string' ? [s.out] : s.out)

/** A name of the program as the key of a record: it can't clash with anything of JavaScript's. */
export const safe = (name: string): string => `v_${name}`

/** A tensor of the file as ours. */
export const decode = (t: TensorJson): Tensor => {
  const bytes = t.f32 === undefined ? null : Buffer.from(t.f32, 'base64')
  const data =
    bytes === null
      ? Float32Array.from(t.data ?? [])
      : Float32Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readFloatLE(4 * i))
  if (data.length !== t.shape.reduce((p, n) => p * n, 1))
    throw new Error(`the file has a tensor of shape [${t.shape.join()}] with ${data.length} elements`)
  return { shape: t.shape, data }
}

/** Is the input a quant tensor? */
export const isQuantJson = (v: ValueJson): v is QuantJson => v.kind === 'quant'

/** A quant tensor of the file as ours. */
export const decodeQuant = (t: QuantJson): QuantTensor => ({
  kind: 'quant',
  value: decode(t.value),
  scale: decode(t.scale),
  zeroPoint: decode(t.zero_point),
  bitWidth: decode(t.bit_width),
  signed: t.signed,
  training: t.training,
})

/** `weight_bit_width` → `weightBitWidth`. */
export const camel = (name: string): string => name.replace(/_([a-z0-9])/g, (_, c: string) => c.toUpperCase())
