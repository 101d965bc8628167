/**
 * Programs as JSON text, format version 1, and back. What comes in is not trusted: every field is checked (see readGraph.ts).
 * What metadata claims must be possible; that a value carries its grid must be what the ops' rules say, else it is only
 * claimed (see confirm.ts).
 */
import * as E from 'fp-ts/lib/Either.js'
import { freeze } from 'immer'
import type { Carried, NodeId, Quant } from '../data/quant.js'
import { float, gridOf, isFloatGrid, quantOf } from '../data/quant.js'
import type { QuantErrors } from '../data/error.js'
import { argumentProblems, record, required, text as textField } from '../data/fields.js'
import { sameShape, showShape } from '../data/shape.js'
import type { Tree } from '../data/tree.js'
import type { Graph, Node } from './graph.js'
import type { OpTable } from './op.js'
import { demandProgram } from './program.js'
import type { Program, ProgramInput, ProgramLayer, ProgramOutput, QuantParts, Structure } from './program.js'
import { storedInputProblem } from './storedInputs.js'
import { readGraph, type Reading } from './readGraph.js'
import {
  readAttrs,
  readers,
  readFormat,
  readGroup,
  treeReader,
  ZERO_POINTS,
  type Doubts,
  type Read,
  type Readers,
} from './readers.js'
import { inputOp } from './structural.js'
import { encodeAttrs, encodeNumber } from './writers.js'

const FORMAT = 'quantrace-program'
const VERSION = 1

/** In the order in which `readGraph` reads it, whatever the order of the rule that made it: what is read is stored again as the same text. */
const encodeCarried = (c: Carried): unknown => {
  const q = gridOf(c)
  if (q === null) return c
  const { scale, zeroPoint, bitWidth, bits, signed, training, group } = q
  const kind = isFloatGrid(q)
    ? { format: q.format }
    : {
        zero: q.zero,
        lo: encodeNumber(q.lo),
        hi: encodeNumber(q.hi),
        slack: encodeNumber(q.slack),
        ...(q.learned === true ? { learned: true } : {}),
      }
  return {
    ...c,
    quant: {
      scale,
      zeroPoint,
      bitWidth,
      bits,
      signed,
      training,
      ...kind,
      ...(group === undefined ? {} : { group }),
    },
  }
}

const encodeNode = (n: Node): unknown => ({
  op: n.op.name,
  in: n.inputs,
  shape: n.shape,
  ...(Object.keys(n.attrs).length === 0 ? {} : { attrs: encodeAttrs(n.attrs) }),
  ...(n.carried.tag === 'float' ? {} : { carried: encodeCarried(n.carried) }),
  ...(n.path === '' ? {} : { path: n.path }),
  ...(n.branches === undefined ? {} : { branches: n.branches.map(encodeGraph) }),
  ...(n.location === undefined ? {} : { location: n.location }),
  ...(n.backwardOf === undefined ? {} : { backwardOf: n.backwardOf }),
  ...(n.cotangent === undefined ? {} : { cotangent: n.cotangent }),
})

const encodeGraph = (g: Graph): unknown => ({ nodes: g.nodes.map(encodeNode), inputs: g.inputs, outputs: g.outputs })

/** A program as JSON text. Ops are stored by name: `parseProgram` finds them in the table that it is given. */
export const programToJSON = (program: Program): string => {
  demandProgram('programToJSON', program)
  const { mode, strict, graph, inputs, outputs, structure, layers } = program
  return JSON.stringify({
    format: FORMAT,
    version: VERSION,
    mode,
    strict,
    inputs,
    outputs,
    structure,
    ...(layers === undefined ? {} : { layers }),
    graph: encodeGraph(graph),
  })
}

/** The static part of the metadata of an input or output. */
type Declared = Pick<Quant, 'bits' | 'signed' | 'training'>

const readDeclared = (r: Readers, x: unknown, where: string): Declared => {
  const q = r.record(x, where)
  return {
    bits: r.whole(q.bits, `${where}.bits`),
    signed: r.flag(q.signed, `${where}.signed`),
    training: r.flag(q.training, `${where}.training`),
  }
}

/** Is what is said of an output what its node carries? */
const isCarried = (said: QuantParts, carried: Carried = float): boolean => {
  const q = gridOf(carried)
  if (q === null) return false
  const known: { readonly [key: string]: unknown } = { ...q }
  return Object.entries(said).every(([k, v]) => JSON.stringify(known[k]) === JSON.stringify(v))
}

const readInput =
  (r: Readers, graph: Graph): Read<ProgramInput> =>
  (x, where) => {
    const raw = r.record(x, where)
    const kind = r.oneOf(['data', 'param', 'state'])(raw.kind, `${where}.kind`)
    const node = r.whole(raw.node, `${where}.node`)
    const shape = r.shape(raw.shape, `${where}.shape`)
    const found = graph.nodes[node]
    if (found === undefined || found.op !== inputOp || found.attrs.kind !== kind || !sameShape(found.shape, shape))
      r.doubt(where, `node ${node} is not a ${kind} input of shape ${showShape(shape)}`)
    const base = {
      kind,
      path: r.text(raw.path, `${where}.path`),
      node,
      shape,
      learned: r.flag(raw.learned, `${where}.learned`),
      part: r.oneOf(['tensor', 'value', 'scale', 'zeroPoint'])(raw.part, `${where}.part`),
      ...(raw.dtype === undefined ? {} : { dtype: r.oneOf(['integer', 'boolean'])(raw.dtype, `${where}.dtype`) }),
      ...(raw.means === undefined ? {} : { means: r.text(raw.means, `${where}.means`) }),
    }
    if (found !== undefined && found.attrs.dtype !== base.dtype)
      r.doubt(where, 'its node says otherwise what numbers it holds')
    if (raw.quant === undefined) return base
    const q = r.record(raw.quant, `${where}.quant`)
    // Earlier versions stored these two with the node alone.
    const carried = found?.carried ?? float
    const { zero = quantOf(carried)?.zero, valid = carried.tag === 'carries' } = q
    return {
      ...base,
      quant: {
        ...readDeclared(r, q, `${where}.quant`),
        zero: r.oneOf(ZERO_POINTS)(zero, `${where}.quant.zero`),
        valid: r.flag(valid, `${where}.quant.valid`),
      },
    }
  }

const readOutput = (r: Readers, graph: Graph): Read<ProgramOutput> => {
  const given = new Set(graph.outputs)
  return (x, where) => {
    const raw = r.record(x, where)
    const id: Read<NodeId> = (n, at) =>
      given.has(r.whole(n, at)) ? r.whole(n, at) : (r.doubt(at, 'this node is not among the outputs of the graph'), 0)
    const base = {
      kind: r.oneOf(['result', 'state', 'grad'])(raw.kind, `${where}.kind`),
      path: r.text(raw.path, `${where}.path`),
      node: id(raw.node, `${where}.node`),
    }
    if (raw.quant === undefined) return base
    const q = r.record(raw.quant, `${where}.quant`)
    const part = (key: string): NodeId => id(q[key], `${where}.quant.${key}`)
    const quant = {
      scale: part('scale'),
      zeroPoint: part('zeroPoint'),
      bitWidth: part('bitWidth'),
      ...readDeclared(r, q, `${where}.quant`),
      ...(q.format === undefined ? {} : { format: readFormat(r, q.format, `${where}.quant.format`) }),
      ...(q.learned === true ? { learned: true as const } : {}),
      ...readGroup(r, q.group, `${where}.quant.group`),
    }
    if (!isCarried(quant, graph.nodes[base.node]?.carried))
      r.doubt(`${where}.quant`, `this is not what node ${base.node} carries`)
    return { ...base, quant }
  }
}

const readStructure = (
  r: Readers,
  x: unknown,
  inputs: readonly ProgramInput[],
  outputs: readonly ProgramOutput[],
): Structure => {
  const raw = r.record(x, 'structure')
  const tree = (key: string, of: readonly (ProgramInput | ProgramOutput)[], kind: string, hole = false): Tree<number> =>
    treeReader(r, (i) => of[i]?.kind === kind || (hole && i === -1))(raw[key], `structure.${key}`)
  return {
    data: tree('data', inputs, 'data'),
    params: tree('params', inputs, 'param'),
    state: tree('state', inputs, 'state'),
    results: tree('results', outputs, 'result'),
    nextState: tree('nextState', outputs, 'state'),
    grads: raw.grads === null ? null : tree('grads', outputs, 'grad', true),
  }
}

const readLayer =
  (r: Readers): Read<ProgramLayer> =>
  (x, where) => {
    const raw = r.record(x, where)
    const pair: Read<readonly [string, string]> = (p, at) => {
      const [option, code] = r.list(r.text)(p, at)
      return [option ?? '', code ?? '']
    }
    const twin = raw.twin === undefined ? null : r.record(raw.twin, `${where}.twin`)
    return {
      path: r.text(raw.path, `${where}.path`),
      layer: r.text(raw.layer, `${where}.layer`),
      given: r.list(pair)(raw.given, `${where}.given`),
      takes: r.list(r.text)(raw.takes, `${where}.takes`),
      quantizers: Object.fromEntries(
        Object.entries(r.record(raw.quantizers, `${where}.quantizers`)).map(([place, q]) => [
          place,
          q === null ? null : readAttrs(r, q, `${where}.quantizers.${place}`),
        ]),
      ),
      ...(twin === null
        ? {}
        : {
            twin: {
              layer: r.text(twin.layer, `${where}.twin.layer`),
              given: r.list(pair)(twin.given, `${where}.twin.given`),
            },
          }),
    }
  }

const readProgram = (r: Readers, doubts: Doubts, table: OpTable, x: unknown): Program => {
  const raw = r.record(x, '')
  if (raw.format !== FORMAT)
    r.doubt('format', `this is not a stored program (format ${JSON.stringify(FORMAT)} was expected)`)
  else if (raw.version !== VERSION) r.doubt('version', `only version ${VERSION} can be read`)
  const mode = r.oneOf(['train', 'eval'])(raw.mode, 'mode')
  const strict = r.flag(raw.strict, 'strict')
  const reading: Reading = { r, doubts, how: { table, mode, strict } }
  const graph: Graph =
    doubts.length > 0 ? { nodes: [], inputs: [], outputs: [] } : readGraph(reading, raw.graph, 'graph', 0)
  const inputs = r.list(readInput(r, graph))(raw.inputs, 'inputs')
  const outputs = r.list(readOutput(r, graph))(raw.outputs, 'outputs')
  // A run hands over its tensors in the order of the graph's inputs.
  if (inputs.length !== graph.inputs.length || inputs.some((i, k) => i.node !== graph.inputs[k]))
    r.doubt('inputs', 'the inputs of the program are not those of its graph')
  inputs.forEach((_, k) => {
    const problem = storedInputProblem(graph, inputs, k)
    if (problem !== null) r.doubt(`inputs[${k}]`, problem)
  })
  const structure = readStructure(r, raw.structure, inputs, outputs)
  return {
    version: VERSION,
    mode,
    strict,
    graph,
    inputs,
    outputs,
    structure,
    ...(raw.layers === undefined ? {} : { layers: r.list(readLayer(r))(raw.layers, 'layers') }),
  }
}

const parseError = (where: string, message: string): E.Either<QuantErrors, never> =>
  E.left([
    {
      tag: 'ParseError',
      where,
      path: '',
      message: `program${where === '' ? '' : ` at ${where}`}: ${message}`,
      fix: 'store the program again with programToJSON, and give parseProgram every op that it uses',
    },
  ])

const PARSE = {
  ops: required({ ...record, says: 'a record of ops by name', like: 'ops' }),
  text: required({ ...textField, says: 'JSON text', like: 'programToJSON(program)' }),
}

/**
 * Reads a stored program; `ops` holds every op that it may use, your own included. Never throws: what is wrong is a `ParseError`.
 */
export const parseProgram =
  (ops: OpTable) =>
  (text: string): E.Either<QuantErrors, Program> => {
    const bad = argumentProblems('parseProgram', { ops, text }, PARSE)
    if (bad.length > 0) return E.left(bad)
    const json = E.tryCatch(
      (): unknown => JSON.parse(text),
      (e) => (e instanceof Error ? e.message : String(e)),
    )
    if (E.isLeft(json)) return parseError('', `no JSON: ${json.left}`)
    const doubts: Doubts = []
    const program = readProgram(readers(doubts), doubts, ops, json.right)
    const [first] = doubts
    return first === undefined ? E.right(freeze(program, true)) : parseError(first.where, first.message)
  }
