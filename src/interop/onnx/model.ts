/** An ONNX file around nodes that are written: inputs, outputs, shapes, versions, who made it of what. */
import { create, toBinary } from '@bufbuild/protobuf'
import { crc32 } from '../../data/crc32.js'
import type { NodeId } from '../../data/quant.js'
import type { Graph } from '../../graph/graph.js'
import { programToJSON } from '../../graph/json.js'
import type { Program } from '../../graph/program.js'
import { QONNX } from './ops/quantizers.js'
import { ModelProtoSchema, type NodeProto, type ValueInfoProto } from './proto/onnx_pb.js'
import type { Exporting } from './rule.js'
import { DataType, valueInfo, type Name, type Writer } from './writer.js'

/** Names that the caller chose. */
type Naming = { readonly name?: string; readonly names?: { readonly [path: string]: string } }

/** A graph that is written: the names of its values, and those of its nodes whose first axis is an open batch. */
type Written = {
  readonly x: Exporting
  readonly names: ReadonlyMap<NodeId, Name>
  readonly rows: ReadonlySet<NodeId>
}

const LIBRARY = 'quantrace'

/** The name of an input or an output in the model. */
export const nameOf = (options: Pick<Naming, 'names'>, path: string, otherwise: string): Name =>
  (options.names !== undefined && Object.hasOwn(options.names, path) ? options.names[path] : undefined) ??
  (path === '' ? otherwise : path)

/** Types and shapes of what lies between inputs and outputs, for tools that draw models or plan their memory. */
const shapesBetween = (
  s: Written,
  graph: Graph,
  known: ReadonlySet<Name>,
  written: readonly NodeProto[],
): readonly ValueInfoProto[] => {
  const made = new Set(written.flatMap((n) => n.output))
  const said = new Set(known)
  // A name may stand for several nodes: of a tensor that was cut into groups the model has the whole.
  const last = new Map(graph.nodes.flatMap((node) => [[s.names.get(node.id) ?? '', node.id] as const]))
  return graph.nodes.flatMap((node) => {
    const name = s.names.get(node.id)
    if (name === undefined || last.get(name) !== node.id || !made.has(name) || said.has(name)) return []
    said.add(name)
    return [valueInfo(name, DataType.FLOAT, node.shape, s.rows.has(node.id))]
  })
}

/** The nodes that a result needs: what only a check reads, or what a rule says by other means, is not in the file. */
const neededBy = (results: readonly Name[], { nodes }: Writer): readonly NodeProto[] => {
  const read = new Set(results)
  const needed = nodes.toReversed().filter((n) => {
    if (!read.has(n.output[0])) return false
    for (const name of n.input) read.add(name)
    return true
  })
  return needed.toReversed()
}

/** Versions of the file format that go with versions of the operators. */
const irVersion = (opset: number): bigint => {
  if (opset >= 21) return 10n
  return opset >= 19 ? 9n : 8n
}

/** The bytes of a model whose nodes are written. */
export const modelOf = (s: Written, program: Program, options: Naming, hash: string): Uint8Array => {
  const { x } = s
  // Nodes that compute nothing in ONNX (checks) share the name of what they hand on.
  const names = program.outputs.map((o) => x.name(o.node))
  const outputs = program.outputs.map((o, i) => {
    const name = nameOf(options, o.path, 'output')
    const made = names[i]
    const shared = names.filter((n) => n === made).length > 1
    if (shared || !x.w.rename(made, name)) x.w.copy(made, name)
    return valueInfo(name, DataType.FLOAT, program.graph.nodes[o.node].shape, x.openBatch)
  })
  const inputs = program.inputs.flatMap((i) =>
    i.kind === 'data' ? [valueInfo(nameOf(options, i.path, 'input'), DataType.FLOAT, i.shape, x.openBatch)] : [],
  )
  const nodes = neededBy(
    outputs.map((v) => v.name),
    x.w,
  )
  const read = new Set(nodes.flatMap((n) => n.input))
  const between = shapesBetween(s, program.graph, new Set([...inputs, ...outputs].map((v) => v.name)), nodes)
  const domains = [...x.w.domains].map((domain) => ({ domain, version: domain === QONNX ? 2n : 1n }))
  const model = create(ModelProtoSchema, {
    irVersion: irVersion(x.opset),
    producerName: LIBRARY,
    opsetImport: [{ domain: '', version: BigInt(x.opset) }, ...domains],
    graph: {
      name: options.name ?? LIBRARY,
      node: [...nodes],
      initializer: x.w.initializers.filter((t) => read.has(t.name)),
      input: inputs,
      output: outputs,
      valueInfo: [...between],
    },
    metadataProps: [
      { key: 'library', value: LIBRARY },
      { key: 'program', value: hash },
    ],
  })
  return toBinary(ModelProtoSchema, model)
}

/** Tells of a model which traced program it was: the CRC-32 of its stored form, which `programToJSON` gives. */
export const hashOf = (program: Program): string =>
  `crc32:${crc32(new TextEncoder().encode(programToJSON(program)))
    .toString(16)
    .padStart(8, '0')}`
