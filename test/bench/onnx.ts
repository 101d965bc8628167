/** Writes ONNX models (protocol buffers, by hand: six messages are all it takes). Field numbers are those of onnx.proto3. */

type Bytes = readonly number[] | Uint8Array

const join = (parts: readonly Bytes[]): Uint8Array => {
  const out = new Uint8Array(parts.reduce((n, p) => n + p.length, 0))
  let at = 0
  for (const p of parts) {
    out.set(p, at)
    at += p.length
  }
  return out
}

const varint = (value: number): readonly number[] => {
  const out: number[] = []
  let rest = value
  for (; rest >= 128; rest = Math.floor(rest / 128)) out.push((rest % 128) | 128)
  return [...out, rest]
}

const whole = (field: number, value: number): Uint8Array => join([varint(field * 8), varint(value)])
const bytes = (field: number, value: Bytes): Uint8Array => join([varint(field * 8 + 2), varint(value.length), value])
const text = (field: number, value: string): Uint8Array => bytes(field, new TextEncoder().encode(value))
const message = (field: number, ...parts: readonly Uint8Array[]): Uint8Array => bytes(field, join(parts))

/** Element types of onnx.TensorProto. */
const TYPES = { float: 1, uint8: 2, int8: 3 } as const
type Storage = Float32Array | Int8Array | Uint8Array

/** A constant of the graph. */
export type Initializer = { readonly name: string; readonly shape: readonly number[]; readonly data: Storage }
/** One operation; attributes are whole numbers or lists of them. */
export type OnnxNode = {
  readonly op: string
  readonly inputs: readonly string[]
  readonly output: string
  readonly attributes?: { readonly [name: string]: number | readonly number[] }
}
/** A model of one float input and one float output. */
export type OnnxModel = {
  readonly input: { readonly name: string; readonly shape: readonly number[] }
  readonly output: { readonly name: string; readonly shape: readonly number[] }
  readonly initializers: readonly Initializer[]
  readonly nodes: readonly OnnxNode[]
}

const typeOf = (data: Storage): number =>
  data instanceof Float32Array ? TYPES.float : data instanceof Int8Array ? TYPES.int8 : TYPES.uint8

const tensorProto = (i: Initializer): Uint8Array =>
  join([
    ...i.shape.map((n) => whole(1, n)),
    whole(2, typeOf(i.data)),
    text(8, i.name),
    bytes(9, new Uint8Array(i.data.buffer, i.data.byteOffset, i.data.byteLength)),
  ])

const INT = 2
const INTS = 7
const attributeProto = (name: string, value: number | readonly number[]): Uint8Array =>
  typeof value === 'number'
    ? join([text(1, name), whole(3, value), whole(20, INT)])
    : join([text(1, name), ...value.map((v) => whole(8, v)), whole(20, INTS)])

const nodeProto = (n: OnnxNode): Uint8Array =>
  join([
    ...n.inputs.map((name) => text(1, name)),
    text(2, n.output),
    text(3, n.output),
    text(4, n.op),
    ...Object.entries(n.attributes ?? {}).map(([name, value]) => bytes(5, attributeProto(name, value))),
  ])

const valueInfo = (name: string, shape: readonly number[]): Uint8Array =>
  join([
    text(1, name),
    message(2, message(1, whole(1, TYPES.float), message(2, ...shape.map((n) => message(1, whole(1, n)))))),
  ])

const IR_VERSION = 7
const OPSET = 13

/** The file. Initializers are no graph inputs, so that a runtime may fold them. */
export const onnxBytes = (m: OnnxModel): Uint8Array =>
  join([
    whole(1, IR_VERSION),
    text(2, 'quantrace bench'),
    message(
      7,
      ...m.nodes.map((n) => bytes(1, nodeProto(n))),
      text(2, 'net'),
      ...m.initializers.map((i) => bytes(5, tensorProto(i))),
      bytes(11, valueInfo(m.input.name, m.input.shape)),
      bytes(12, valueInfo(m.output.name, m.output.shape)),
    ),
    message(8, whole(2, OPSET)),
  ])
