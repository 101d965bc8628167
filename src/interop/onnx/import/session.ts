/** Walks an ONNX graph, node by node, with a rule for each; collects errors and the leaves that rules ask for. */
import { isFailure, failure, type QuantError } from '../../../data/error.js'
import { nearestName } from '../../../data/fields.js'
import { quantOf, type NodeId } from '../../../data/quant.js'
import { MOST_ELEMENTS, showShape, sizeOf } from '../../../data/shape.js'
import type { Tensor } from '../../../data/tensor.js'
import { isInvalid } from '../../../graph/builder.js'
import type { Kit, Value } from '../../../graph/op.js'
import { isValue } from '../../../graph/trace.js'
import { dequantize } from '../../../nn/functions/index.js'
import type { Entry, Importing, ImportRule, Known, Role } from './entry.js'
import { folds } from './fold.js'
import { DataType, float32, listOf, uniform, type Host } from './host.js'
import { importError, type Attribute, type Model, type ModelNode } from './model.js'
import { typeOf, valueOf } from './values.js'

/** Gives the value of a leaf: made when the model is first looked at, found in parameters and state when it is traced. */
export type Leaves = (known: Known, role: Role, kit: Kit) => Value

/** One walk. */
export type Walk = {
  readonly kit: Kit
  readonly leaves: Leaves
  readonly rules: { readonly [op: string]: ImportRule | undefined }
  /** Takes note of errors, at least one, and gives the value that stands for what failed. */
  readonly refuse: (errors: readonly QuantError[]) => Value
  /** Errors that ops of the trace have recorded so far; those of a node are taken over under its name. */
  readonly recorded: QuantError[] | null
  /** Tensors that are computed once for the model. */
  readonly cache: Map<string, Host>
}

/** The key of an operator in the table of rules: its name, behind its domain if it has one. */
export const keyOf = (node: Pick<ModelNode, 'op' | 'domain'>): string =>
  node.domain === '' ? node.op : `${node.domain}.${node.op}`

/** The layer path of a node: its name as PyTorch and we write them, `/conv1/Conv`, without its operator. */
export const pathOf = (node: ModelNode): string => {
  const parts = node.name
    .split(/[/.]+/)
    .map((p) => p.replace(/[^A-Za-z0-9_-]/g, '_'))
    .filter((p) => p !== '')
  const last = parts[parts.length - 1] ?? ''
  const own = last === node.op || last.startsWith(`${node.op}_`)
  return parts.slice(0, own && parts.length > 1 ? -1 : parts.length).join('.')
}

const kinds: { readonly [K in Attribute['is']]: string } = {
  number: 'a number',
  text: 'a text',
  numbers: 'a list of numbers',
  texts: 'a list of texts',
  tensor: 'a tensor',
  other: 'something else',
}

const refusing =
  (node: ModelNode) =>
  (why: string, fix: string): never => {
    throw failure([importError(`${node.op} (node ${node.name}): ${why}`, fix, node.op, node.name)])
  }

const REEXPORT = 'export the model again, or mend that node with the onnx package'

/** The attributes of a node, each asked for by its kind; what nobody asks for is not known. */
const attributesOf = (node: ModelNode, asked: Set<string>) => {
  const refuse = refusing(node)
  const get = (name: string, is: Attribute['is']): Attribute | null => {
    asked.add(name)
    const a = node.attributes.get(name)
    if (a === undefined) return null
    return a.is === is ? a : refuse(`attribute ${name} is ${kinds[a.is]}; it must be ${kinds[is]}`, REEXPORT)
  }
  return {
    number: (name: string, otherwise: number): number => {
      const a = get(name, 'number')
      return a?.is === 'number' ? a.value : otherwise
    },
    text: (name: string, otherwise: string): string => {
      const a = get(name, 'text')
      return a?.is === 'text' ? a.value : otherwise
    },
    list: (name: string): readonly number[] | null => {
      const a = get(name, 'numbers')
      return a?.is === 'numbers' ? a.value : null
    },
    tensor: (name: string): Host | null => {
      const a = get(name, 'tensor')
      return a?.is === 'tensor' ? a.value : null
    },
  }
}

/** The numbers of a leaf or of a constant; of anything computed they are not known. */
const numbersOf = (v: Value, leaves: ReadonlyMap<NodeId, Tensor>, constants: ReadonlyMap<NodeId, number>) => {
  const c = constants.get(v.id)
  return leaves.get(v.id)?.data ?? (c === undefined ? null : Float32Array.of(c))
}

/** What a rule sees of its node. */
const importing = (
  walk: Walk,
  model: Model,
  node: ModelNode,
  names: ReadonlyMap<string, Entry>,
  memory: Memory,
  asked: Set<string>,
): Importing => {
  const refuse = refusing(node)
  const { kit } = walk
  const attributes = attributesOf(node, asked)
  const has = (i: number): boolean => (node.inputs[i] ?? '') !== ''
  const entry = (i: number): Entry =>
    names.get(node.inputs[i] ?? '') ?? refuse(`operand ${i} is missing`, 'check the model with onnx.checker')
  const leaf = (known: Known, role: Role): Value => {
    const fill = uniform(known.host)
    if (fill !== null && (role === 'constant' || (role === 'zero' && fill === 0))) {
      const c = kit.constant(fill, role === 'zero' ? [] : known.host.shape)
      memory.constants.set(c.id, fill)
      return c
    }
    const v = walk.leaves(known, role, kit)
    memory.leaves.set(v.id, { shape: known.host.shape, data: float32(known.host) })
    return v
  }
  const x: Importing = {
    kit,
    opset: model.opset,
    node,
    has,
    entry,
    type: (i) => typeOf(entry(i)),
    leaf,
    value: (i, role = 'constant') => valueOf(x, entry(i), role),
    plain: (i, role = 'constant') => {
      const v = valueOf(x, entry(i), role)
      return quantOf(v.carried) === null ? v : dequantize(v, `${node.op} of ONNX takes and gives plain floats`)
    },
    known: (i) => {
      const e = has(i) ? entry(i) : null
      return e?.is === 'known' ? e.host : null
    },
    numbers: (i, what) => {
      const e = entry(i)
      return e.is === 'known'
        ? listOf(e.host)
        : refuse(`its ${what} depends on data`, 'only sizes and constants may say how a graph is shaped')
    },
    ...attributes,
    has_: (name) => {
      asked.add(name)
      return node.attributes.has(name)
    },
    setting: (name, i) => {
      const given = attributes.list(name)
      return has(i) ? x.numbers(i, name) : given
    },
    transposed: (v) => memory.transposes.get(v.id) ?? null,
    noteTranspose: (v, of) => void memory.transposes.set(v.id, of),
    note: (v, data) => void memory.leaves.set(v.id, { shape: v.shape, data }),
    cached: (key, make) => {
      const known = walk.cache.get(key) ?? make()
      walk.cache.set(key, known)
      return known
    },
    numbersOf: (v) => numbersOf(v, memory.leaves, memory.constants),
    refuse,
  }
  return x
}

/** What is known of nodes beside the graph: numbers of leaves and constants, and whose transpose a value is. */
type Memory = {
  readonly leaves: Map<NodeId, Tensor>
  readonly constants: Map<NodeId, number>
  readonly transposes: Map<NodeId, Value>
}

const resultsOf = (made: ReturnType<ImportRule>): readonly Entry[] => {
  if (isValue(made)) return [{ is: 'value', value: made, type: DataType.FLOAT }]
  return Array.isArray(made) ? (made as readonly Entry[]) : [made as Entry]
}

const unknownOperator = (node: ModelNode, known: readonly string[]): QuantError => {
  const near = nearestName(keyOf(node), known)
  return importError(
    `${node.op} (node ${node.name}): ${node.domain === '' ? 'this operator is not known' : `no operator of the domain ${node.domain} by this name is known`}`,
    `${near === undefined ? '' : `did you mean ${near}? Else `}give a rule of your own: rules: { '${keyOf(node)}': (x) => … }`,
    node.op,
    node.name,
  )
}

/** An error of a node as one that names it. */
const ofNode = (node: ModelNode, e: QuantError): QuantError =>
  e.tag === 'ImportError' ? e : importError(`${node.op} (node ${node.name}): ${e.message}`, e.fix, node.op, node.name)

const EMPTY: Host = { type: DataType.FLOAT, shape: [0], data: new Float32Array(0) }

/** What one node makes, or the errors that it gave. */
const apply = (x: Importing, rule: ImportRule, asked: ReadonlySet<string>): readonly Entry[] => {
  const all = x.node.inputs.map((n, i) => (n === '' ? null : x.entry(i)))
  const hosts = all.map((e) => {
    if (e === null) return EMPTY
    return e.is === 'known' ? e.host : null
  })
  const fold = x.node.domain === '' ? folds[x.node.op] : undefined
  const folded = fold !== undefined && hosts.every((h) => h !== null) ? fold(x, hosts) : null
  const made =
    folded !== null
      ? folded.map((host, i): Entry => ({ is: 'known', host, leaf: x.node.outputs[i] ?? '' }))
      : resultsOf(x.kit.scoped(pathOf(x.node), () => rule(x)))
  const large = made.find((e) => e.is === 'value' && !(sizeOf(e.value.shape) <= MOST_ELEMENTS))
  if (large?.is === 'value')
    x.refuse(
      `its result ${showShape(large.value.shape)} has more elements than a tensor may have`,
      'give smaller inputs',
    )
  const unread = [...x.node.attributes.keys()].filter((name) => !asked.has(name))
  if (unread.length > 0) x.refuse(`attribute ${unread.join(', ')} is not known to version ${x.opset} here`, REEXPORT)
  return made
}

/**
 * What a node failed by: what its ops recorded, of which all that its rule threw afterwards is a consequence; or what the rule threw. Numbers of
 * a broken file can lead a rule anywhere, so that whatever else is thrown while a file is looked at is the file's fault too.
 */
const faultsOf = (walk: Walk, node: ModelNode, before: number, thrown: unknown): readonly QuantError[] => {
  const recorded = walk.recorded?.splice(before) ?? []
  if (recorded.length > 0) return recorded.map((e) => ofNode(node, e))
  if (isFailure(thrown)) return thrown.errors.map((e) => ofNode(node, e))
  if (thrown === null) return []
  if (walk.recorded === null || !(thrown instanceof Error)) throw thrown
  return [importError(`${node.op} (node ${node.name}) can't be read: ${thrown.message}`, REEXPORT, node.op, node.name)]
}

/** What stands for the graph as a whole, where its results are asked for. */
const RESULT: ModelNode = { name: 'result', op: 'result', domain: '', inputs: [], outputs: [], attributes: new Map() }

/** Puts the results of a node under their names; gives what was thrown, or null. */
const attempted = (
  walk: Walk,
  model: Model,
  node: ModelNode,
  rule: ImportRule,
  names: Map<string, Entry>,
  memory: Memory,
): unknown => {
  const asked = new Set<string>()
  try {
    const made = apply(importing(walk, model, node, names, memory, asked), rule, asked)
    node.outputs.forEach((o, i) => {
      if (o === '') return
      if (made[i] === undefined) refusing(node)(`it has no result number ${i} here`, REEXPORT)
      names.set(o, made[i])
    })
    return null
  } catch (e) {
    return e
  }
}

/** Walks all nodes; `names` holds the inputs and is filled with every result. Gives what can trace those that nobody traced yet. */
export const walkModel = (walk: Walk, model: Model, names: Map<string, Entry>): Importing => {
  const memory: Memory = { leaves: new Map(), constants: new Map(), transposes: new Map() }
  const known = Object.keys(walk.rules)
  for (const [name, host] of model.initializers) names.set(name, { is: 'known', host, leaf: name })
  const spoil = (node: ModelNode, value: Value): void => {
    for (const o of node.outputs) names.set(o, { is: 'value', value, type: DataType.FLOAT })
  }
  for (const node of model.nodes) {
    const rule = Object.hasOwn(walk.rules, keyOf(node)) ? walk.rules[keyOf(node)] : undefined
    if (rule === undefined) {
      spoil(node, walk.refuse([unknownOperator(node, known)]))
      continue
    }
    const given = node.inputs.map((n) => names.get(n))
    const failed = given.find((e) => e?.is === 'value' && isInvalid(e.value))
    if (failed?.is === 'value') {
      spoil(node, failed.value)
      continue
    }
    const before = walk.recorded?.length ?? 0
    const faults = faultsOf(walk, node, before, attempted(walk, model, node, rule, names, memory))
    if (faults.length > 0) spoil(node, walk.refuse(faults))
  }
  return importing(walk, model, RESULT, names, memory, new Set())
}
