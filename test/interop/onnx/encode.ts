/** Small ONNX files made in a line, for tests. */
import { create, toBinary } from '@bufbuild/protobuf'
import {
  AttributeProto_AttributeType as Kind,
  AttributeProtoSchema,
  ModelProtoSchema,
  NodeProtoSchema,
  TensorProto_DataLocation,
  TensorProto_DataType as DataType,
  TensorProtoSchema,
  TypeProtoSchema,
  ValueInfoProtoSchema,
  type NodeProto,
  type TensorProto,
} from '../../../src/interop/onnx/proto/onnx_pb.js'

type Attribute = number | string | readonly number[]
type NodeOptions = {
  readonly name?: string
  readonly domain?: string
  readonly attributes?: { readonly [name: string]: Attribute }
}

const attribute = (name: string, value: Attribute) =>
  create(
    AttributeProtoSchema,
    typeof value === 'string'
      ? { name, type: Kind.STRING, s: new TextEncoder().encode(value) }
      : typeof value !== 'number'
        ? { name, type: Kind.INTS, ints: value.map(BigInt) }
        : Number.isInteger(value)
          ? { name, type: Kind.INT, i: BigInt(value) }
          : { name, type: Kind.FLOAT, f: value },
  )

/** A node. */
export const node = (opType: string, input: string[], output: string[], o: NodeOptions = {}): NodeProto =>
  create(NodeProtoSchema, {
    opType,
    input,
    output,
    name: o.name ?? '',
    domain: o.domain ?? '',
    attribute: Object.entries(o.attributes ?? {}).map(([k, v]) => attribute(k, v)),
  })

/** Floats; zeros if none are given. */
export const f32 = (shape: readonly number[], values?: readonly number[]): TensorProto =>
  create(TensorProtoSchema, {
    dataType: DataType.FLOAT,
    dims: shape.map(BigInt),
    floatData: [...(values ?? new Array<number>(shape.reduce((a, b) => a * b, 1)).fill(0))],
  })

/** Whole numbers: a list, or one. */
export const i64 = (values: number | readonly number[], shape?: readonly number[]): TensorProto =>
  create(TensorProtoSchema, {
    dataType: DataType.INT64,
    dims: (shape ?? (typeof values === 'number' ? [] : [values.length])).map(BigInt),
    int64Data: (typeof values === 'number' ? [values] : values).map(BigInt),
  })

const TYPES = { int8: DataType.INT8, uint8: DataType.UINT8, int16: DataType.INT16, int4: DataType.INT4 } as const

/** Integers as quantizers have them. */
export const ints8 = (shape: readonly number[], values: readonly number[], type: keyof typeof TYPES): TensorProto =>
  create(TensorProtoSchema, {
    dataType: TYPES[type],
    dims: shape.map(BigInt),
    int32Data: type === 'int4' ? new Array<number>(Math.ceil(values.length / 2)).fill(0) : [...values],
  })

/** What a file holds. */
export type Spec = {
  readonly inputs: { readonly [name: string]: readonly (number | string)[] }
  readonly outputs: readonly string[]
  readonly nodes: readonly NodeProto[]
  readonly tensors?: { readonly [name: string]: TensorProto }
  readonly external?: {
    readonly [name: string]: {
      readonly shape: readonly number[]
      readonly location: string
      readonly offset: number
      readonly length: number
    }
  }
  readonly opset?: number
}

/** The bytes of a model. */
export const encode = ({ inputs, outputs, nodes, tensors = {}, external = {}, opset = 17 }: Spec): Uint8Array => {
  const known = Object.entries(tensors).map(([name, t]) => ({ ...t, name }))
  const outside = Object.entries(external).map(([name, e]) =>
    create(TensorProtoSchema, {
      name,
      dataType: DataType.FLOAT,
      dims: e.shape.map(BigInt),
      dataLocation: TensorProto_DataLocation.EXTERNAL,
      externalData: (['location', 'offset', 'length'] as const).map((key) => ({ key, value: String(e[key]) })),
    }),
  )
  const domains = [...new Set(nodes.map((n) => n.domain))].filter((d) => d !== '')
  return toBinary(
    ModelProtoSchema,
    create(ModelProtoSchema, {
      irVersion: 8n,
      opsetImport: [{ domain: '', version: BigInt(opset) }, ...domains.map((domain) => ({ domain, version: 1n }))],
      graph: {
        name: 'test',
        node: [...nodes],
        initializer: [...known, ...outside],
        input: Object.entries(inputs).map(([name, sizes]) =>
          create(ValueInfoProtoSchema, {
            name,
            type: create(TypeProtoSchema, {
              value: {
                case: 'tensorType',
                value: {
                  elemType: DataType.FLOAT,
                  shape: {
                    dim: sizes.map((n) =>
                      typeof n === 'number'
                        ? { value: { case: 'dimValue' as const, value: BigInt(n) } }
                        : { value: { case: 'dimParam' as const, value: n } },
                    ),
                  },
                },
              },
            }),
          }),
        ),
        output: outputs.map((name) => create(ValueInfoProtoSchema, { name })),
      },
    }),
  )
}
