/** What every ONNX file must be, whoever wrote it: names, order, versions, attributes. Knows ONNX; knows nothing of our ops. */
import { fromBinary } from '@bufbuild/protobuf'
import {
  AttributeProto_AttributeType as Kind,
  ModelProtoSchema,
  type AttributeProto,
  type GraphProto,
  type ModelProto,
  type ValueInfoProto,
} from '../../../src/interop/onnx/proto/onnx_pb.js'

/** A file as a message; it must have a graph. */
export const readFile = (bytes: Uint8Array): ModelProto & { readonly graph: GraphProto } => {
  const model = fromBinary(ModelProtoSchema, bytes)
  const { graph } = model
  if (graph === undefined) throw new Error('there is no graph')
  return Object.assign(model, { graph })
}

/** The sizes that a declaration says: numbers, or names of open ones. */
export const sizesOf = (v: ValueInfoProto): readonly (number | string)[] => {
  const type = v.type?.value
  if (type?.case !== 'tensorType') throw new Error(`${v.name} has no tensor type`)
  return (type.value.shape?.dim ?? []).map(({ value }) =>
    value.case === 'dimParam' ? value.value : Number(value.value ?? NaN),
  )
}

/** The least version of the file format for a version of the operators, as onnx' helper.py has it. */
const IR: { readonly [opset: number]: bigint } = {
  13: 7n,
  14: 7n,
  15: 8n,
  16: 8n,
  17: 8n,
  18: 8n,
  19: 9n,
  20: 9n,
  21: 10n,
}

/** Attributes that are 0 or 1. */
const FLAGS: ReadonlySet<string> = new Set(
  'ceil_mode count_include_pad keepdims transB saturate signed narrow'.split(' '),
)

/** Operators that came later than opset 13. */
const SINCE: { readonly [op: string]: number | undefined } = { HardSwish: 14, Gelu: 20 }

const twice = (names: readonly string[]): readonly string[] => [
  ...new Set(names.filter((n, i) => names.indexOf(n) < i)),
]

/** Has the attribute the field of its kind, and no other? */
const isWhole = (a: AttributeProto): boolean => {
  const said = [a.i !== 0n, a.f !== 0, a.s.length > 0, a.ints.length > 0]
  const kinds = [Kind.INT, Kind.FLOAT, Kind.STRING, Kind.INTS]
  return kinds.includes(a.type) && said.every((is, k) => !is || kinds[k] === a.type)
}

/** What is wrong with the graph's names: each is made once, before it is read, and read by somebody. */
const nameProblems = ({ node, input, output, initializer }: GraphProto): readonly string[] => {
  const known = new Set([...input, ...initializer].map((v) => v.name))
  const early = node.flatMap((n) => {
    const unknown = n.input.filter((name) => name !== '' && !known.has(name))
    for (const name of n.output) known.add(name)
    return unknown.map((name) => `${n.name} reads ${name} before it is made`)
  })
  const made = [...[...input, ...initializer].map((v) => v.name), ...node.flatMap((n) => n.output)]
  const read = new Set([...node.flatMap((n) => n.input), ...output.map((v) => v.name)])
  const own = new Set(input.map((v) => v.name))
  const from = new Set(node.flatMap((n) => n.output))
  return [
    ...early,
    ...twice(made).map((name) => `${name} is made twice`),
    ...twice(node.map((n) => n.name)).map((name) => `two nodes are ${name}`),
    ...made
      .filter((name) => name === '' || /[^A-Za-z0-9_./:-]/.test(name))
      .map((name) => `a name is ${JSON.stringify(name)}`),
    ...made.filter((name) => !read.has(name) && !own.has(name)).map((name) => `nobody reads ${name}`),
    ...output.filter((v) => !from.has(v.name)).map((v) => `no node makes the output ${v.name}`),
  ]
}

const infoProblems = ({ node, input, output, valueInfo }: GraphProto): readonly string[] => {
  const from = new Set(node.flatMap((n) => n.output))
  const ends = new Set([...input, ...output].map((v) => v.name))
  const names = valueInfo.map((v) => v.name)
  return [
    ...twice(names).map((name) => `the shape of ${name} is said twice`),
    ...names
      .filter((name) => !from.has(name) || ends.has(name))
      .map((name) => `a shape of ${name}, which lies not between`),
  ]
}

const nodeProblems = ({ graph }: ModelProto & { readonly graph: GraphProto }, opset: number): readonly string[] =>
  graph.node.flatMap((n) => [
    ...(n.input.at(-1) === '' ? [`${n.name} ends with an absent operand`] : []),
    ...(n.domain === '' && (SINCE[n.opType] ?? 0) > opset ? [`${n.opType} is not of opset ${opset}`] : []),
    ...n.attribute.filter((a) => !isWhole(a)).map((a) => `${n.name}: ${a.name} is not of its kind`),
    ...n.attribute.filter((a) => FLAGS.has(a.name) && a.i > 1n).map((a) => `${n.name}: ${a.name} is no flag`),
    ...twice(n.attribute.map((a) => a.name)),
  ])

const versionProblems = (model: ModelProto & { readonly graph: GraphProto }, opset: number): readonly string[] => {
  const domains = new Set(['', ...model.graph.node.map((n) => n.domain)])
  const said = model.opsetImport.map((o) => o.domain)
  return [
    ...(IR[opset] === undefined || model.irVersion < IR[opset] ? [`format ${model.irVersion} at opset ${opset}`] : []),
    ...twice(said),
    ...[...domains].filter((d) => !said.includes(d)).map((d) => `no version of ${d}`),
    ...said.filter((d) => !domains.has(d)).map((d) => `nothing is of ${d}`),
  ]
}

/** What is wrong with a file; nothing, if it is a model. */
export const fileProblems = (bytes: Uint8Array): readonly string[] => {
  const model = readFile(bytes)
  const opset = Number(model.opsetImport.find((o) => o.domain === '')?.version ?? 0)
  return [
    ...versionProblems(model, opset),
    ...nameProblems(model.graph),
    ...infoProblems(model.graph),
    ...nodeProblems(model, opset),
  ]
}
