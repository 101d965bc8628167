/**
 * Programs as JSON text, format version 1, and back. What comes in is not trusted: every field is checked, ids must
 * name earlier nodes, and each shape is derived again by the op's own rule. What metadata claims is not derived again.
 */
import * as E from 'fp-ts/lib/Either.js'
import { freeze } from 'immer'
import type { Carried, NodeId, Quant } from '../data/quant.js'
import { quantOf } from '../data/quant.js'
import type { QuantErrors } from '../data/error.js'
import { argumentProblems, record, required, text as textField } from '../data/fields.js'
import { sameShape, showShape, sizeOf, type Shape } from '../data/shape.js'
import type { Tree } from '../data/tree.js'
import type { Graph, Node } from './graph.js'
import type { Attr, Attrs, Op, OpTable } from './op.js'
import { isRefusal } from './op.js'
import { demandProgram } from './program.js'
import type { Program, ProgramInput, ProgramLayer, ProgramOutput, Structure } from './program.js'
import { storedInputProblem } from './storedInputs.js'
import { constOp, getOp, inputOp, phaseOp, structuralOps } from './structural.js'

const FORMAT = 'quantrace-program'
const VERSION = 1
const DEEPEST = 64
const LONGEST_SHAPE = 64

// Writing

/** JSON has no NaN, infinities or -0: these stand as `{ "$": "NaN" }`, which no attribute can be. */
const encodeNumber = (n: number): unknown =>
  Number.isFinite(n) && !Object.is(n, -0) ? n : { $: Object.is(n, -0) ? '-0' : String(n) }
const encodeAttr = (a: Attr): unknown =>
  typeof a === 'number' ? encodeNumber(a) : Array.isArray(a) ? a.map((x: Attr) => encodeAttr(x)) : a

const encodeCarried = (c: Carried): unknown => {
  const q = quantOf(c)
  return q === null
    ? c
    : { ...c, quant: { ...q, lo: encodeNumber(q.lo), hi: encodeNumber(q.hi), slack: encodeNumber(q.slack) } }
}

const encodeNode = (n: Node): unknown => ({
  op: n.op.name,
  in: n.inputs,
  shape: n.shape,
  ...(Object.keys(n.attrs).length === 0
    ? {}
    : { attrs: Object.fromEntries(Object.entries(n.attrs).map(([k, a]) => [k, encodeAttr(a)])) }),
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

// Reading: each reader notes what is wrong and returns something harmless, so that the first error ends a loop.

/** What is wrong with a text, as found. */
type Doubts = { readonly where: string; readonly message: string }[]
type Raw = { readonly [key: string]: unknown }
type Read<A> = (x: unknown, where: string) => A

const readers = (doubts: Doubts) => {
  const doubt = (where: string, message: string): void => void doubts.push({ where, message })
  const record: Read<Raw> = (x, where) => {
    if (typeof x !== 'object' || x === null || Array.isArray(x)) return (doubt(where, 'a record was expected'), {})
    if (Object.hasOwn(x, '__proto__')) return (doubt(where, 'a key is named __proto__'), {})
    return { ...x }
  }
  const list =
    <A>(read: Read<A>): Read<readonly A[]> =>
    (x, where) => {
      if (!Array.isArray(x)) return (doubt(where, 'a list was expected'), [])
      const out: A[] = []
      for (let i = 0; i < x.length && doubts.length === 0; i++) out.push(read(x[i], `${where}[${i}]`))
      return out
    }
  const text: Read<string> = (x, where) => (typeof x === 'string' ? x : (doubt(where, 'a text was expected'), ''))
  const flag: Read<boolean> = (x, where) =>
    typeof x === 'boolean' ? x : (doubt(where, 'true or false was expected'), false)
  const whole: Read<number> = (x, where) =>
    typeof x === 'number' && Number.isSafeInteger(x) && x >= 0
      ? x
      : (doubt(where, 'a non-negative integer was expected'), 0)
  const oneOf =
    <A extends string>(words: readonly A[]): Read<A> =>
    (x, where) => {
      const found = words.find((w) => w === x)
      return found ?? (doubt(where, `one of ${words.join(', ')} was expected`), words[0])
    }
  const shape: Read<Shape> = (x, where) => {
    const s = list(whole)(x, where)
    if (s.length > LONGEST_SHAPE || !Number.isSafeInteger(sizeOf(s))) doubt(where, 'the shape is too large')
    return s
  }
  const number: Read<number> = (x, where) => {
    if (typeof x === 'number') return x
    const word = oneOf(['NaN', 'Infinity', '-Infinity', '-0'])(record(x, where).$, where)
    return Number(word)
  }
  return { doubt, record, list, text, flag, whole, oneOf, shape, number }
}
type Readers = ReturnType<typeof readers>

const attrReader =
  (r: Readers, depth = 0): Read<Attr> =>
  (x, where) => {
    if (x === null || typeof x === 'string' || typeof x === 'boolean') return x
    if (!Array.isArray(x)) return r.number(x, where)
    return depth > DEEPEST ? (r.doubt(where, 'nested too deeply'), null) : r.list(attrReader(r, depth + 1))(x, where)
  }

const readAttrs = (r: Readers, x: unknown, where: string): Attrs => {
  if (x === undefined) return {}
  const attr = attrReader(r)
  return Object.fromEntries(Object.entries(r.record(x, where)).map(([k, v]) => [k, attr(v, `${where}.${k}`)]))
}

const ZERO_POINTS = ['zero', 'integer', 'any'] as const

const readQuant = (r: Readers, x: unknown, where: string): Quant => {
  const q = r.record(x, where)
  const id = (key: string): NodeId => r.whole(q[key], `${where}.${key}`)
  return {
    scale: id('scale'),
    zeroPoint: id('zeroPoint'),
    bitWidth: id('bitWidth'),
    bits: r.whole(q.bits, `${where}.bits`),
    signed: r.flag(q.signed, `${where}.signed`),
    training: r.flag(q.training, `${where}.training`),
    zero: r.oneOf(ZERO_POINTS)(q.zero, `${where}.zero`),
    lo: r.number(q.lo, `${where}.lo`),
    hi: r.number(q.hi, `${where}.hi`),
    slack: r.number(q.slack, `${where}.slack`),
  }
}

const readCarried = (r: Readers, x: unknown, where: string): Carried => {
  if (x === undefined) return { tag: 'float' }
  const c = r.record(x, where)
  const tag = r.oneOf(['float', 'carries', 'claimed', 'stripped'])(c.tag, `${where}.tag`)
  if (tag === 'float') return { tag }
  if (tag === 'carries') return { tag, quant: readQuant(r, c.quant, `${where}.quant`) }
  const why = r.text(c.why, `${where}.why`)
  if (tag === 'stripped') return { tag, why }
  const quant = readQuant(r, c.quant, `${where}.quant`)
  return c.exact === undefined ? { tag, quant, why } : { tag, quant, why, exact: r.flag(c.exact, `${where}.exact`) }
}

/** What is wrong with how an op is called, beyond its shape rule: its examples tell what every call has. */
const misuse = (op: Op, count: number, attrs: Attrs): string | null => {
  const [first, ...rest] = op.examples
  if (first === undefined) return null
  const fewest = Math.min(...op.examples.map((e) => e.args.length))
  if (count === 0 && fewest > 0) return `${op.name} has no operands`
  const missing = Object.keys(first.attrs).find((k) => rest.every((e) => k in e.attrs) && !Object.hasOwn(attrs, k))
  return missing === undefined ? null : `${op.name} has no attribute ${missing}`
}

const INPUT_KINDS: readonly Attr[] = ['data', 'param', 'state', 'branch']
const NON_FINITE: readonly Attr[] = ['NaN', 'Infinity', '-Infinity', '-0']

/** The shape that a structural node must have, or what is wrong with it; `stored` stands where nothing can be derived. */
const structuralShape = (
  op: Op,
  inputs: readonly Node[],
  attrs: Attrs,
  branches: readonly Graph[],
  stored: Shape,
): Shape | string => {
  const [first] = inputs
  if (op === inputOp)
    return inputs.length === 0 && INPUT_KINDS.includes(attrs.kind) && typeof attrs.name === 'string'
      ? stored
      : 'an input has a kind, a name and no operands'
  if (op === constOp)
    return inputs.length === 0 && (typeof attrs.value === 'number' || NON_FINITE.includes(attrs.value))
      ? stored
      : 'a constant has a number and no operands'
  if (op === getOp) {
    const outs =
      inputs.length === 1 ? first.branches?.[0].outputs.map((id) => first.branches?.[0].nodes[id]?.shape) : undefined
    return (
      (typeof attrs.index === 'number' ? outs?.[attrs.index] : undefined) ??
      'get has a phase as its only operand, and the index of one of its outputs'
    )
  }
  if (op !== phaseOp) return `${op.name} is not a structural op of this version`
  const [counter, ...args] = inputs
  const takes = (g: Graph): boolean =>
    g.inputs.length === args.length && g.inputs.every((id, i) => sameShape(g.nodes[id].shape, args[i].shape))
  const gives = branches.map((g) => g.outputs.map((id) => g.nodes[id].shape))
  const agree =
    branches.length === 2 &&
    branches.every(takes) &&
    gives[0].length > 0 &&
    gives[0].length === gives[1].length &&
    gives[0].every((s, i) => sameShape(s, gives[1][i]))
  const timed = typeof attrs.limit === 'number' && (attrs.warnSteps === null || typeof attrs.warnSteps === 'number')
  return agree && timed && counter !== undefined && sizeOf(counter.shape) === 1
    ? gives[0][0]
    : 'a phase has a counter, a limit, and two branches that take its operands and return the same shapes'
}

const isStructural = (op: Op): boolean => Object.values(structuralOps).some((s) => s === op)

/** The shape that a node must have, or what is wrong with it. Rules trust their callers, so a rule that throws has refused. */
const derivedShape = (
  op: Op,
  inputs: readonly Node[],
  attrs: Attrs,
  branches: readonly Graph[],
  stored: Shape,
): Shape | string => {
  if (isStructural(op)) return structuralShape(op, inputs, attrs, branches, stored)
  const wrong = misuse(op, inputs.length, attrs)
  if (wrong !== null) return wrong
  try {
    const shape = op.shape(
      inputs.map((n) => n.shape),
      attrs,
    )
    return isRefusal(shape)
      ? `${op.name}: ${shape.refuse}`
      : Array.isArray(shape)
        ? shape
        : `${op.name} does not fit its operands`
  } catch {
    return `${op.name} does not fit its operands and attributes`
  }
}

/** Everything that reading a graph needs besides its text. */
type Reading = { readonly r: Readers; readonly doubts: Doubts; readonly ops: OpTable }

/** How a node is tied to others by differentiation. */
const readTies = (r: Readers, raw: Raw, where: string): Pick<Node, 'backwardOf' | 'cotangent'> => ({
  ...(raw.backwardOf === undefined ? {} : { backwardOf: r.whole(raw.backwardOf, `${where}.backwardOf`) }),
  ...(raw.cotangent === undefined ? {} : { cotangent: r.whole(raw.cotangent, `${where}.cotangent`) }),
})

const readNode = (
  { r, doubts, ops }: Reading,
  x: unknown,
  where: string,
  earlier: readonly Node[],
  depth: number,
): Node | null => {
  const raw = r.record(x, where)
  const id = earlier.length
  const name = r.text(raw.op, `${where}.op`)
  const table: OpTable = Object.hasOwn(structuralOps, name) ? structuralOps : ops
  const op = Object.hasOwn(table, name) ? table[name] : null
  if (op === null) return (r.doubt(`${where}.op`, `no op named ${JSON.stringify(name)} is in the op table`), null)
  const inputs = r.list(r.whole)(raw.in, `${where}.in`)
  if (inputs.some((i) => i >= id)) r.doubt(`${where}.in`, `node ${id} uses a node that does not stand before it`)
  const attrs = readAttrs(r, raw.attrs, `${where}.attrs`)
  const shape = r.shape(raw.shape, `${where}.shape`)
  const carried = readCarried(r, raw.carried, `${where}.carried`)
  const path = raw.path === undefined ? '' : r.text(raw.path, `${where}.path`)
  const location = raw.location === undefined ? {} : { location: r.text(raw.location, `${where}.location`) }
  const ties = readTies(r, raw, where)
  if ((op === phaseOp) !== (raw.branches !== undefined)) r.doubt(where, 'a phase, and nothing else, has branches')
  if (depth > DEEPEST) r.doubt(where, 'phases are nested too deeply')
  if (doubts.length > 0) return null
  const branches =
    raw.branches === undefined
      ? []
      : r.list((g, at) => readGraph({ r, doubts, ops }, g, at, depth + 1))(raw.branches, `${where}.branches`)
  if (doubts.length > 0) return null
  const derived = derivedShape(
    op,
    inputs.map((i) => earlier[i]),
    attrs,
    branches,
    shape,
  )
  if (typeof derived === 'string') return (r.doubt(where, derived), null)
  if (!sameShape(derived, shape))
    return (
      r.doubt(`${where}.shape`, `${op.name} gives ${showShape(derived)}, but ${showShape(shape)} is stored`),
      null
    )
  return {
    id,
    op,
    inputs,
    attrs,
    shape,
    carried,
    path,
    ...(branches.length === 2 ? { branches: [branches[0], branches[1]] as const } : {}),
    ...location,
    ...ties,
  }
}

const readGraph = (reading: Reading, x: unknown, where: string, depth: number): Graph => {
  const { r, doubts } = reading
  const raw = r.record(x, where)
  const nodes: Node[] = []
  r.list((n, at) => {
    const node = readNode(reading, n, at, nodes, depth)
    if (node !== null) nodes.push(node)
  })(raw.nodes, `${where}.nodes`)
  const id: Read<NodeId> = (n, at) => {
    const i = r.whole(n, at)
    if (i >= nodes.length) r.doubt(at, `there is no node ${i}`)
    return i
  }
  const inputs = r.list(id)(raw.inputs, `${where}.inputs`)
  const outputs = r.list(id)(raw.outputs, `${where}.outputs`)
  if (doubts.length > 0) return { nodes: [], inputs: [], outputs: [] }
  const count = nodes.reduce((n, { op }) => n + (op === inputOp ? 1 : 0), 0)
  if (inputs.length !== count || new Set(inputs).size !== count || inputs.some((i) => nodes[i].op !== inputOp))
    r.doubt(`${where}.inputs`, 'the inputs are not the input nodes, each once')
  for (const { carried, id: at, backwardOf = 0, cotangent = 0 } of nodes) {
    if (Math.max(backwardOf, cotangent) >= nodes.length)
      r.doubt(`${where}.nodes[${at}]`, 'backwardOf or cotangent names a node that is not there')
    const q = quantOf(carried)
    if (q !== null && Math.max(q.scale, q.zeroPoint, q.bitWidth) >= nodes.length)
      r.doubt(`${where}.nodes[${at}].carried`, 'the metadata names a node that is not there')
  }
  return { nodes, inputs, outputs }
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
      ...(raw.means === undefined ? {} : { means: r.text(raw.means, `${where}.means`) }),
    }
    if (raw.quant === undefined) return base
    const q = r.record(raw.quant, `${where}.quant`)
    // Earlier versions stored these two with the node alone.
    const carried = found?.carried ?? { tag: 'float' }
    const { zero = quantOf(carried)?.zero, valid = carried.tag === 'carries' } = q
    return {
      ...base,
      quant: {
        bits: r.whole(q.bits, `${where}.quant.bits`),
        signed: r.flag(q.signed, `${where}.quant.signed`),
        training: r.flag(q.training, `${where}.quant.training`),
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
    const parts = { scale: part('scale'), zeroPoint: part('zeroPoint'), bitWidth: part('bitWidth') }
    return {
      ...base,
      quant: {
        ...parts,
        bits: r.whole(q.bits, `${where}.quant.bits`),
        signed: r.flag(q.signed, `${where}.quant.signed`),
        training: r.flag(q.training, `${where}.quant.training`),
      },
    }
  }
}

/** A tree of indices of which each must satisfy `fits`. */
const treeReader =
  (r: Readers, fits: (index: number) => boolean, depth = 0): Read<Tree<number>> =>
  (x, where) => {
    if (typeof x === 'number')
      return fits(x)
        ? x
        : (r.doubt(where, 'the structure names an input or output that is not there, or one of another kind'), 0)
    if (depth > DEEPEST) return (r.doubt(where, 'nested too deeply'), 0)
    const inner = treeReader(r, fits, depth + 1)
    if (Array.isArray(x)) return r.list(inner)(x, where)
    return Object.fromEntries(Object.entries(r.record(x, where)).map(([k, v]) => [k, inner(v, `${where}.${k}`)]))
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

const readProgram = (reading: Reading, x: unknown): Program => {
  const { r } = reading
  const raw = r.record(x, '')
  if (raw.format !== FORMAT)
    r.doubt('format', `this is not a stored program (format ${JSON.stringify(FORMAT)} was expected)`)
  else if (raw.version !== VERSION) r.doubt('version', `only version ${VERSION} can be read`)
  const graph: Graph =
    reading.doubts.length > 0 ? { nodes: [], inputs: [], outputs: [] } : readGraph(reading, raw.graph, 'graph', 0)
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
    mode: r.oneOf(['train', 'eval'])(raw.mode, 'mode'),
    strict: r.flag(raw.strict, 'strict'),
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

const PARSE = { ops: required({ ...record, says: 'a record of ops by name', like: 'ops' }), text: required(textField) }

/** Reads a stored program; `ops` holds every op that it may use, your own included. Never throws: what is wrong is a `ParseError`. */
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
    const program = readProgram({ r: readers(doubts), doubts, ops }, json.right)
    const [first] = doubts
    return first === undefined ? E.right(freeze(program, true)) : parseError(first.where, first.message)
  }
