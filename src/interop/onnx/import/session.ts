/** Walks an ONNX graph, node by node, with a rule for each; collects errors and the leaves that rules ask for. */
import { isFailure, type QuantError } from '../../../data/error.js'
import { nearestName } from '../../../data/fields.js'
import { MOST_ELEMENTS, showShape, sizeOf } from '../../../data/shape.js'
import { isInvalid } from '../../../graph/builder.js'
import type { Value } from '../../../graph/op.js'
import { isValue } from '../../../graph/trace.js'
import type { Entry, Importing, ImportRule } from './entry.js'
import { folds } from './fold.js'
import { DataType, type Host } from './host.js'
import { importError, type Model, type ModelNode } from './model.js'
import { importing, REEXPORT, refusing, type Memory, type Visit, type Walk } from './visit.js'
import { lyingOver } from './values.js'

export type { Leaves, Walk } from './visit.js'

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
      : x.kit.scoped(pathOf(x.node), () =>
          resultsOf(rule(x)).map((e) => (e.is === 'value' ? { ...e, value: lyingOver(e.value) } : e)),
        )
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
const attempted = (visit: Visit, rule: ImportRule, names: Map<string, Entry>): unknown => {
  const { node, asked } = visit
  try {
    const made = apply(importing(visit), rule, asked)
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
  const here = { walk, model, names, memory }
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
    const faults = faultsOf(walk, node, before, attempted({ ...here, node, asked: new Set() }, rule, names))
    if (faults.length > 0) spoil(node, walk.refuse(faults))
  }
  return importing({ ...here, node: RESULT, asked: new Set() })
}
