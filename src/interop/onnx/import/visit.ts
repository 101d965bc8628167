/** What a rule sees of its node: operands, attributes, and what other nodes have noted. */
import { failure, type QuantError } from '../../../data/error.js'
import { quantOf, type NodeId } from '../../../data/quant.js'
import type { Tensor } from '../../../data/tensor.js'
import type { Kit, Value } from '../../../graph/op.js'
import { dequantize } from '../../../nn/functions/index.js'
import type { Entry, Importing, ImportRule, Known, Role } from './entry.js'
import { float32, listOf, uniform, type Host } from './host.js'
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

const kinds: { readonly [K in Attribute['is']]: string } = {
  number: 'a number',
  text: 'a text',
  numbers: 'a list of numbers',
  texts: 'a list of texts',
  tensor: 'a tensor',
  other: 'something else',
}

/** Refuses a node: throws, under its name. */
export const refusing =
  (node: ModelNode) =>
  (why: string, fix: string): never => {
    throw failure([importError(`${node.op} (node ${node.name}): ${why}`, fix, node.op, node.name)])
  }

/** What to do with a file that is broken. */
export const REEXPORT = 'export the model again, or mend that node with the onnx package'

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

/** What is known of nodes beside the graph: numbers of leaves and constants, and whose transpose a value is. */
export type Memory = {
  readonly leaves: Map<NodeId, Tensor>
  readonly constants: Map<NodeId, number>
  readonly transposes: Map<NodeId, Value>
}

/** A node on its way: where the walk stands, and what is known there. */
export type Visit = {
  readonly walk: Walk
  readonly model: Model
  readonly node: ModelNode
  readonly names: ReadonlyMap<string, Entry>
  readonly memory: Memory
  /** The attributes that its rule has asked for. */
  readonly asked: Set<string>
}

/** Makes a leaf of numbers that the file knows: a constant where one number is all of it. */
const leafMaker =
  ({ walk: { kit, leaves }, memory }: Visit): Importing['leaf'] =>
  (known: Known, role: Role): Value => {
    const fill = uniform(known.host)
    if (fill !== null && (role === 'constant' || (role === 'zero' && fill === 0))) {
      const c = kit.constant(fill, role === 'zero' ? [] : known.host.shape)
      memory.constants.set(c.id, fill)
      return c
    }
    const v = leaves(known, role, kit)
    memory.leaves.set(v.id, { shape: known.host.shape, data: float32(known.host) })
    return v
  }

/** The operands of a node. */
const operandsOf = ({ node, names }: Visit, refuse: Importing['refuse']) => {
  const has = (i: number): boolean => (node.inputs[i] ?? '') !== ''
  const entry = (i: number): Entry =>
    names.get(node.inputs[i] ?? '') ?? refuse(`operand ${i} is missing`, 'check the model with onnx.checker')
  return {
    has,
    entry,
    type: (i: number) => typeOf(entry(i)),
    known: (i: number): Host | null => {
      const e = has(i) ? entry(i) : null
      return e?.is === 'known' ? e.host : null
    },
    numbers: (i: number, what: string): readonly number[] => {
      const e = entry(i)
      return e.is === 'known'
        ? listOf(e.host)
        : refuse(`its ${what} depends on data`, 'only sizes and constants may say how a graph is shaped')
    },
  }
}

/** What nodes tell each other beside the graph. */
const memoryOf = ({ walk: { cache }, memory }: Visit) => ({
  transposed: (v: Value) => memory.transposes.get(v.id) ?? null,
  noteTranspose: (v: Value, of: Value) => void memory.transposes.set(v.id, of),
  note: (v: Value, data: Tensor['data']) => void memory.leaves.set(v.id, { shape: v.shape, data }),
  cached: (key: string, make: () => Host): Host => {
    const known = cache.get(key) ?? make()
    cache.set(key, known)
    return known
  },
  numbersOf: (v: Value) => numbersOf(v, memory.leaves, memory.constants),
})

/** What a rule sees of its node. */
export const importing = (visit: Visit): Importing => {
  const { walk, model, node, asked } = visit
  const refuse = refusing(node)
  const attributes = attributesOf(node, asked)
  const operands = operandsOf(visit, refuse)
  const value = (i: number, role: Role = 'constant'): Value => valueOf(x, operands.entry(i), role)
  const x: Importing = {
    kit: walk.kit,
    opset: model.opset,
    node,
    ...operands,
    leaf: leafMaker(visit),
    value,
    plain: (i, role = 'constant') => {
      const v = value(i, role)
      return quantOf(v.carried) === null ? v : dequantize(v, `${node.op} of ONNX takes and gives plain floats`)
    },
    ...attributes,
    has_: (name) => {
      asked.add(name)
      return node.attributes.has(name)
    },
    setting: (name, i) => {
      const given = attributes.list(name)
      return operands.has(i) ? operands.numbers(i, name) : given
    },
    ...memoryOf(visit),
    refuse,
  }
  return x
}
