/** An ONNX file as plain data: nodes in an order in which they can run, attributes as numbers and texts, initializers as numbers. */
import { fromBinary } from '@bufbuild/protobuf'
import * as E from 'fp-ts/lib/Either.js'
import type { QuantError, QuantErrors } from '../../../data/error.js'
import { strangers } from '../../../data/strangers.js'
import {
  AttributeProto_AttributeType as Kind,
  ModelProtoSchema,
  type AttributeProto,
  type GraphProto,
  type ModelProto,
  type NodeProto,
  type ValueInfoProto,
} from '../proto/onnx_pb.js'
import { DataType, hostOf, type Host, type ReadExternal } from './host.js'

/** What an attribute holds. What has no place here (graphs, sparse tensors) is kept as a word for messages. */
export type Attribute =
  | { readonly is: 'number'; readonly value: number }
  | { readonly is: 'text'; readonly value: string }
  | { readonly is: 'numbers'; readonly value: readonly number[] }
  | { readonly is: 'texts'; readonly value: readonly string[] }
  | { readonly is: 'tensor'; readonly value: Host }
  | { readonly is: 'other'; readonly value: string }

/** A node of the file. */
export type ModelNode = {
  /** Its name, or one made of its operator and place. */
  readonly name: string
  readonly op: string
  readonly domain: string
  readonly inputs: readonly string[]
  readonly outputs: readonly string[]
  readonly attributes: ReadonlyMap<string, Attribute>
}

/** A graph input: sizes are numbers, or names of symbolic ones. */
export type ModelInput = {
  readonly name: string
  readonly type: DataType
  readonly sizes: readonly (number | string)[] | null
}

/** A model, read and checked but not understood. */
export type Model = {
  readonly nodes: readonly ModelNode[]
  readonly initializers: ReadonlyMap<string, Host>
  readonly inputs: readonly ModelInput[]
  readonly outputs: readonly string[]
  readonly opset: number
  readonly producer: string
}

/** An error of the file as a whole, or of one node of it. */
export const importError = (message: string, fix: string, op = 'model', path = ''): QuantError => ({
  tag: 'ImportError',
  op,
  path,
  message,
  fix,
})

const BROKEN = 'check that the file is whole; onnx.checker.check_model(model) says what is wrong with it'

const decoder = new TextDecoder()

const attributeOf = (a: AttributeProto, read: ReadExternal | undefined): E.Either<string, Attribute> => {
  const right = (x: Attribute): E.Either<string, Attribute> => E.right(x)
  switch (a.type) {
    case Kind.INT:
      return right({ is: 'number', value: Number(a.i) })
    case Kind.FLOAT:
      return right({ is: 'number', value: a.f })
    case Kind.STRING:
      return right({ is: 'text', value: decoder.decode(a.s) })
    case Kind.INTS:
      return right({ is: 'numbers', value: a.ints.map(Number) })
    case Kind.FLOATS:
      return right({ is: 'numbers', value: a.floats })
    case Kind.STRINGS:
      return right({ is: 'texts', value: a.strings.map((s) => decoder.decode(s)) })
    case Kind.TENSOR:
      return a.t === undefined
        ? E.left('it should hold a tensor, and holds none')
        : E.map((value: Host): Attribute => ({ is: 'tensor', value }))(hostOf(a.t, read))
    default:
      return right({ is: 'other', value: Kind[a.type] ?? String(a.type) })
  }
}

const nodeOf = (n: NodeProto, i: number, read: ReadExternal | undefined, errors: QuantError[]): ModelNode => {
  const name = n.name === '' ? `${n.opType}_${i}` : n.name
  const attributes = new Map<string, Attribute>()
  for (const a of n.attribute) {
    const made = attributeOf(a, read)
    if (E.isRight(made)) attributes.set(a.name, made.right)
    else
      errors.push(importError(`${n.opType} (node ${name}): attribute ${a.name}: ${made.left}`, BROKEN, n.opType, name))
  }
  const domain = n.domain === 'ai.onnx' ? '' : n.domain
  return { name, op: n.opType, domain, inputs: n.input, outputs: n.output, attributes }
}

const inputOf = (v: ValueInfoProto): ModelInput => {
  const type = v.type?.value
  if (type?.case !== 'tensorType') return { name: v.name, type: DataType.UNDEFINED, sizes: null }
  const sizes = type.value.shape?.dim.map((d, i) => {
    if (d.value.case === 'dimValue' && Number(d.value.value) >= 0) return Number(d.value.value)
    return d.value.case === 'dimParam' && d.value.value !== '' && d.value.value !== '?'
      ? d.value.value
      : `${v.name}_${i}`
  })
  return { name: v.name, type: type.value.elemType, sizes: sizes ?? null }
}

/** Names that are made twice. */
const twice = (graph: GraphProto, nodes: readonly ModelNode[]): readonly QuantError[] => {
  const made = new Map<string, string>(graph.initializer.map((t) => [t.name, 'an initializer'] as const))
  for (const v of graph.input) if (!made.has(v.name)) made.set(v.name, 'an input')
  const errors: QuantError[] = []
  for (const n of nodes)
    for (const o of n.outputs) {
      if (o === '') continue
      const known = made.get(o)
      if (known !== undefined)
        errors.push(
          importError(
            `${n.op} (node ${n.name}): its result ${o} has the name of ${known} already`,
            BROKEN,
            n.op,
            n.name,
          ),
        )
      made.set(o, `a result of node ${n.name}`)
    }
  return errors
}

/** Nodes that the outputs need, each behind those whose results it takes; or what is missing, or that they go in a circle. */
const ordered = (
  nodes: readonly ModelNode[],
  given: ReadonlySet<string>,
  outputs: readonly string[],
): E.Either<QuantErrors, readonly ModelNode[]> => {
  const maker = new Map<string, number>()
  nodes.forEach((n, i) => n.outputs.forEach((o) => o !== '' && maker.set(o, i)))
  const done = new Uint8Array(nodes.length)
  const out: ModelNode[] = []
  const errors: QuantError[] = []
  const missing = new Set<string>()
  const miss = (name: string, by: ModelNode | null): void => {
    if (missing.has(name)) return
    missing.add(name)
    const asker = by === null ? 'the graph' : `${by.op} (node ${by.name})`
    errors.push(
      importError(`${asker} takes ${JSON.stringify(name)}, which nothing makes`, BROKEN, by?.op ?? 'model', by?.name),
    )
  }
  // Depth first with a stack of its own: a chain of a hundred thousand nodes must not exhaust the engine's.
  const visit = (start: number): void => {
    const stack: { readonly node: number; next: number }[] = [{ node: start, next: 0 }]
    done[start] = 1
    while (stack.length > 0) {
      const top = stack[stack.length - 1]
      const n = nodes[top.node]
      if (top.next === n.inputs.length) {
        done[top.node] = 2
        out.push(n)
        stack.pop()
        continue
      }
      const name = n.inputs[top.next++]
      if (name === '' || given.has(name)) continue
      const from = maker.get(name)
      if (from === undefined) miss(name, n)
      else if (done[from] === 1)
        errors.push(
          importError(
            `${n.op} (node ${n.name}) takes ${JSON.stringify(name)}, which is computed from its own result`,
            BROKEN,
            n.op,
            n.name,
          ),
        )
      else if (done[from] === 0) {
        done[from] = 1
        stack.push({ node: from, next: 0 })
      }
    }
  }
  for (const o of outputs) {
    const from = maker.get(o)
    if (from !== undefined && done[from] === 0) visit(from)
    else if (from === undefined && !given.has(o)) miss(o, null)
  }
  return errors.length > 0 ? E.left(errors) : E.right(out)
}

/** The first and the last version of ONNX' operators whose meaning is known here. */
export const OPSETS = { first: 6, last: 28 } as const

const versionProblems = (m: ModelProto, opset: number): readonly QuantError[] =>
  opset >= OPSETS.first && opset <= OPSETS.last
    ? []
    : [
        importError(
          m.opsetImport.length === 0
            ? 'the file does not say which version of the operators it uses'
            : `version ${opset} of ONNX' operators is not known; ${OPSETS.first} to ${OPSETS.last} are`,
          'convert it with onnx.version_converter.convert_version(model, 17)',
        ),
      ]

const parse = (bytes: Uint8Array): E.Either<QuantErrors, ModelProto> => {
  try {
    return E.right(fromBinary(ModelProtoSchema, bytes, { readUnknownFields: false }))
  } catch (e) {
    // The reader throws whatever is wrong; here its words become an error like others.
    return E.left([
      importError(
        `these ${bytes.length} bytes are no ONNX model: ${e instanceof Error ? e.message : String(e)}`,
        BROKEN,
      ),
    ])
  }
}

/** Reads a model; every tensor that can't be read and every name that is missing or made twice is an error. */
export const readModel = (bytes: Uint8Array, read: ReadExternal | undefined): E.Either<QuantErrors, Model> => {
  const parsed = parse(bytes)
  if (E.isLeft(parsed)) return parsed
  const proto = parsed.right
  const { graph } = proto
  if (graph === undefined) return E.left([importError('the file holds no graph', BROKEN)])
  const opset = Math.max(
    0,
    ...proto.opsetImport.filter((o) => o.domain === '' || o.domain === 'ai.onnx').map((o) => Number(o.version)),
  )
  const errors: QuantError[] = [...versionProblems(proto, opset)]
  if (graph.sparseInitializer.length > 0)
    errors.push(importError('sparse initializers are not known', 'store these tensors densely'))
  const initializers = new Map<string, Host>()
  for (const t of graph.initializer) {
    const made = hostOf(t, read)
    if (initializers.has(t.name))
      errors.push(importError(`two initializers are named ${JSON.stringify(t.name)}`, BROKEN))
    if (E.isRight(made)) initializers.set(t.name, made.right)
    else errors.push(importError(`initializer ${JSON.stringify(t.name)}: ${made.left}`, BROKEN))
  }
  const nodes = graph.node.map((n, i) => nodeOf(n, i, read, errors))
  errors.push(...twice(graph, nodes))
  // Older files list initializers as inputs too.
  const inputs = graph.input.filter((v) => !initializers.has(v.name)).map(inputOf)
  const outputs = graph.output.map((v) => v.name)
  if (outputs.length === 0) errors.push(importError('the graph has no outputs', BROKEN))
  if (new Set(outputs).size < outputs.length) errors.push(importError('two outputs have one name', BROKEN))
  if (errors.length > 0) return E.left(errors)
  const given = new Set([...initializers.keys(), ...inputs.map((i) => i.name)])
  return E.map((sorted: readonly ModelNode[]): Model => ({
    nodes: sorted,
    initializers,
    inputs,
    outputs,
    opset,
    producer: proto.producerName,
  }))(ordered(nodes, given, outputs))
}

/** Names of inputs and of open sizes that a model does not have. */
export const unknownNames = (
  model: Model,
  o: { readonly inputs?: object; readonly sizes?: object },
): readonly QuantError[] => [
  ...Object.keys(o.inputs ?? {})
    .filter((name) => !model.inputs.some((i) => i.name === name))
    .map((name) =>
      importError(
        `there is no input ${JSON.stringify(name)}`,
        `its inputs are ${model.inputs.map((i) => i.name).join(', ')}`,
        'input',
        name,
      ),
    ),
  ...strangers('importOnnx', 'sizes', o.sizes, {
    known: [...new Set(model.inputs.flatMap((i) => (i.sizes ?? []).filter((n) => typeof n === 'string')))],
    what: 'size that this model leaves open',
  }),
]
