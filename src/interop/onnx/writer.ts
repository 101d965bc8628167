/** Collects the nodes and initializers of an ONNX graph. Knows ONNX' messages; knows nothing of our ops. */
import { create } from '@bufbuild/protobuf'
import type { Shape } from '../../data/shape.js'
import type { Tensor } from '../../data/tensor.js'
import {
  AttributeProto_AttributeType as Kind,
  AttributeProtoSchema,
  NodeProtoSchema,
  TensorProto_DataType as DataType,
  TensorProtoSchema,
  TypeProtoSchema,
  ValueInfoProtoSchema,
  type AttributeProto,
  type NodeProto,
  type TensorProto,
  type ValueInfoProto,
} from './proto/onnx_pb.js'

/** The name of a value in an ONNX graph. */
export type Name = string

/** Attributes of a node: each knows its kind, since ONNX tells 1 from 1.0. */
export type Attribute = { readonly kind: Kind; readonly value: number | string | readonly number[] }
/** An integer attribute. */
export const int = (value: number): Attribute => ({ kind: Kind.INT, value })
/** A float attribute. */
export const float = (value: number): Attribute => ({ kind: Kind.FLOAT, value })
/** A list of integers. */
export const ints = (value: readonly number[]): Attribute => ({ kind: Kind.INTS, value })
/** A text. */
export const text = (value: string): Attribute => ({ kind: Kind.STRING, value })
/** A flag, which ONNX writes as 0 or 1. */
export const flag = (value: boolean): Attribute => int(value ? 1 : 0)

type Attributes = { readonly [name: string]: Attribute | undefined }

const attribute = (name: string, { kind, value }: Attribute): AttributeProto => {
  const common = { name, type: kind }
  if (typeof value === 'string') return create(AttributeProtoSchema, { ...common, s: new TextEncoder().encode(value) })
  if (typeof value !== 'number') return create(AttributeProtoSchema, { ...common, ints: value.map((n) => BigInt(n)) })
  return kind === Kind.INT
    ? create(AttributeProtoSchema, { ...common, i: BigInt(value) })
    : create(AttributeProtoSchema, { ...common, f: value })
}

/** Element types that are written, with their typed arrays. INT4 and UINT4 are packed two to a byte, the lower half first. */
const ARRAYS = {
  [DataType.FLOAT]: Float32Array,
  [DataType.INT8]: Int8Array,
  [DataType.UINT8]: Uint8Array,
  [DataType.INT32]: Int32Array,
  [DataType.INT64]: BigInt64Array,
  [DataType.BOOL]: Uint8Array,
} as const

/** Types of integers that quantizers are written in. */
export type IntegerType =
  DataType.INT8 | DataType.UINT8 | DataType.INT32 | DataType.INT64 | DataType.INT4 | DataType.UINT4

const bytesOf = (array: ArrayBufferView): Uint8Array => new Uint8Array(array.buffer, array.byteOffset, array.byteLength)

const packed4 = (values: ArrayLike<number>): Uint8Array => {
  const out = new Uint8Array(Math.ceil(values.length / 2))
  for (let i = 0; i < values.length; i++) out[i >> 1] |= (values[i] & 15) << (4 * (i & 1))
  return out
}

const integerBytes = (type: IntegerType, values: ArrayLike<number>): Uint8Array => {
  if (type === DataType.INT4 || type === DataType.UINT4) return packed4(values)
  if (type === DataType.INT64) return bytesOf(BigInt64Array.from(Array.from(values, (v) => BigInt(v))))
  return bytesOf(ARRAYS[type].from(values))
}

/** Declares the type and shape of a value; `N` stands for a batch that is open. */
export const valueInfo = (name: Name, type: DataType, shape: Shape, openBatch: boolean): ValueInfoProto =>
  create(ValueInfoProtoSchema, {
    name,
    type: create(TypeProtoSchema, {
      value: {
        case: 'tensorType',
        value: {
          elemType: type,
          shape: {
            dim: shape.map((n, i) => ({
              value:
                openBatch && i === 0
                  ? { case: 'dimParam' as const, value: 'N' }
                  : { case: 'dimValue' as const, value: BigInt(n) },
            })),
          },
        },
      },
    }),
  })

/** A graph under construction. */
export type Writer = {
  readonly nodes: readonly NodeProto[]
  readonly initializers: readonly TensorProto[]
  readonly domains: ReadonlySet<string>
  /** A name that nobody has yet, close to the one asked for. */
  fresh(hint: string): Name
  /** Appends a node with one result and gives its name. An empty operand is an absent one. */
  node(
    opType: string,
    inputs: readonly Name[],
    attributes?: Attributes,
    options?: { readonly domain?: string; readonly hint?: string; readonly path?: string },
  ): Name
  /** Gives the result of a node another name, everywhere; false if no node makes it. */
  rename(from: Name, to: Name): boolean
  /** Hands a value on under a name that must be free: an output that is an input, a constant, or two outputs that are one value. */
  copy(from: Name, to: Name): void
  /** A float constant. */
  floats(tensor: Tensor, hint: string): Name
  /** A constant of a type whose elements are bytes. */
  bytes(type: DataType, shape: Shape, bytes: Uint8Array, hint: string): Name
  /** A constant of integers. */
  integers(type: IntegerType, shape: Shape, values: ArrayLike<number>, hint: string): Name
}

/** Names are made of what protobuf and other tools take without trouble. */
const clean = (hint: string): string => {
  const name = hint.replace(/[^A-Za-z0-9_./-]/g, '_')
  return name === '' ? 'value' : name
}

/** Gives names that nobody has yet. */
const namer = (taken: readonly Name[]): ((hint: string) => Name) => {
  const used = new Set<string>(taken)
  const next = new Map<string, number>()
  return (hint) => {
    const base = clean(hint)
    let name = base
    for (let k = next.get(base) ?? 1; used.has(name); k++) {
      name = `${base}_${k}`
      next.set(base, k + 1)
    }
    used.add(name)
    return name
  }
}

/** Operands without the absent ones at the end; those in the middle are empty names. */
const withoutAbsent = (input: readonly Name[]): Name[] => input.slice(0, input.findLastIndex((name) => name !== '') + 1)

const attributesOf = (attributes: Attributes) =>
  Object.entries(attributes).flatMap(([k, a]) => (a === undefined ? [] : [attribute(k, a)]))

/** Starts an empty graph; `taken` are the names of its inputs and outputs. */
export const newWriter = (taken: readonly Name[]): Writer => {
  const nodes: NodeProto[] = []
  const initializers: TensorProto[] = []
  const domains = new Set<string>()
  const scalars = new Map<string, Name>()
  const fresh = namer(taken)
  const initializer = (dataType: DataType, shape: Shape, rawData: Uint8Array, hint: string): Name => {
    const key = rawData.length <= 8 ? `${dataType}:${shape.join()}:${rawData.join()}` : null
    const known = key === null ? undefined : scalars.get(key)
    if (known !== undefined) return known
    const name = fresh(hint)
    initializers.push(create(TensorProtoSchema, { name, dataType, dims: shape.map((n) => BigInt(n)), rawData }))
    if (key !== null) scalars.set(key, name)
    return name
  }
  return {
    nodes,
    initializers,
    domains,
    fresh,
    node: (opType, input, attributes = {}, { domain = '', hint = opType, path = '' } = {}) => {
      const output = fresh(hint)
      if (domain !== '') domains.add(domain)
      const name = fresh(`${path === '' ? '' : `${path}/`}${opType}`)
      nodes.push(
        create(NodeProtoSchema, {
          opType,
          domain,
          name,
          input: withoutAbsent(input),
          output: [output],
          attribute: attributesOf(attributes),
        }),
      )
      return output
    },
    rename: (from, to) => {
      const maker = nodes.find((n) => n.output[0] === from)
      if (maker === undefined) return false
      maker.output[0] = to
      for (const n of nodes) n.input.forEach((name, i) => (name === from ? (n.input[i] = to) : undefined))
      return true
    },
    copy: (from, to) =>
      void nodes.push(
        create(NodeProtoSchema, { opType: 'Identity', name: fresh('Identity'), input: [from], output: [to] }),
      ),
    bytes: initializer,
    floats: (t, hint) => initializer(DataType.FLOAT, t.shape, bytesOf(t.data), hint),
    integers: (type, shape, values, hint) => initializer(type, shape, integerBytes(type, values), hint),
  }
}

export { DataType }
