/**
 * A program for one network: parameters and state are given, so phases are decided, checks that they decide are gone, and all that they fix is
 * folded into constants. Metadata is kept. Whatever leaves quantrace (ONNX, integer programs, C) reads this; it knows nothing of them.
 */
import * as E from 'fp-ts/lib/Either.js'
import type { Carried, NodeId, Quant, TracedZeroPoint } from '../data/quant.js'
import { float, gridOf, isFloatGrid, mayBeFraction, nodesOfGrid, quantOf } from '../data/quant.js'
import type { QuantError, QuantErrors } from '../data/error.js'
import { sameShape, showShape, sizeOf, type Shape } from '../data/shape.js'
import { isTensor, type Tensor } from '../data/tensor.js'
import { at, mapTree } from '../data/tree.js'
import { newBuilder, type Builder } from './builder.js'
import type { Graph, Node } from './graph.js'
import type { Attrs, OpTable, Value } from './op.js'
import type { Program, ProgramInput, ProgramOutput } from './program.js'
import { sizeProblem } from './sizes.js'
import { getOp, phaseOp, scanOp } from './structural.js'

/** What fixes a program: the trees that `run` takes beside the inputs. */
export type Fixed = { readonly params: unknown; readonly state: unknown }

/** How far to go. */
export type SpecializeOptions = {
  /**
   * Nodes that stay although their operands are fixed: an exporter keeps the quantizers of weights, for instance. A folded weight is a plain
   * constant, since whoever runs the program may give another one: products stay on integers where quantizers are kept.
   */
  readonly keep?: (node: Node) => boolean
  /** Write loops out, step by step (default false: a loop stays one node): for formats that have none. */
  readonly unroll?: boolean
  /** Scale and zero point of quant tensors that are inputs, by path: fixed too, so that a plain tensor is left, the value. */
  readonly quantInputs?: { readonly [path: string]: { readonly scale: Tensor; readonly zeroPoint: Tensor } }
}

/**
 * An ordinary program without state. Its parameters are the folded constants, by keys of their own (`c0`, `c1`, …), so that it runs, prints and
 * is drawn like any other: `run(program, { params: constants, state: {}, inputs })`.
 */
export type Specialized<I = unknown, O = unknown> = {
  readonly program: Program<{ readonly [key: string]: Tensor }, { readonly [key: string]: never }, I, O>
  readonly constants: { readonly [key: string]: Tensor }
  /** The constant behind a node of the program: a parameter's tensor, or the one number of a `const` node. */
  readonly valueOf: (node: NodeId) => Tensor | undefined
}

const NOTHING: Tensor = { shape: [], data: new Float32Array(1) }

/** A value while the program is walked: fixed, with where it comes from, or a node of the new graph. */
type Fixture = { readonly tensor: Tensor; readonly path: string }
type Seen =
  | { readonly fixed: null; readonly node: Value }
  | {
      readonly fixed: Fixture
      /** The constant, once somebody reads it. */
      node: Value | null
      /** Behind a kept node: the value as it is computed from that, for operands; metadata reads the constant. */
      kept: Value | null
    }

type Walk = {
  readonly b: Builder
  readonly keep: (node: Node) => boolean
  readonly unroll: boolean
  readonly table: OpTable
  readonly constants: Record<string, Tensor>
  readonly tensors: Map<NodeId, Tensor>
  readonly keys: Map<NodeId, string>
  readonly errors: QuantError[]
}

/** Which nodes of a graph feed its outputs, or a check, or the metadata of one that does. */
const liveIn = (graph: Graph): Uint8Array => {
  const live = new Uint8Array(graph.nodes.length)
  for (const id of graph.outputs) live[id] = 1
  // Also inputs that nobody reads are declared again, with the metadata that they carry.
  for (const id of graph.inputs) live[id] = 1
  for (let i = graph.nodes.length - 1; i >= 0; i--) {
    const node = graph.nodes[i]
    if (live[i] === 0 && node.op.guards !== true) continue
    live[i] = 1
    for (const id of node.inputs) live[id] = 1
    const q = gridOf(node.carried)
    if (q !== null) for (const id of nodesOfGrid(q)) live[id] = 1
  }
  return live
}

/** The one number that fills a tensor, or null. */
const uniform = ({ data }: Tensor): number | null => {
  if (data.length === 0) return null
  for (let i = 1; i < data.length; i++) if (!Object.is(data[i], data[0])) return null
  return data[0]
}

/** The node of a value; a constant becomes one when somebody reads it. */
const nodeOf = (w: Walk, seen: Seen): Value => {
  if (seen.fixed === null) return seen.node
  if (seen.node !== null) return seen.node
  const { tensor, path } = seen.fixed
  const fill = uniform(tensor)
  const made = w.b.scoped(path, () => {
    if (fill !== null) return w.b.constant(fill, tensor.shape)
    const key = `c${Object.keys(w.constants).length}`
    w.constants[key] = tensor
    const v = w.b.input('param', key, tensor.shape)
    w.keys.set(v.id, key)
    return v
  })
  w.tensors.set(made.id, tensor)
  seen.node = made
  return made
}

const zeroKind = (w: Walk, id: NodeId, q: Quant): TracedZeroPoint => {
  const zeroPoint = w.tensors.get(id)
  if (zeroPoint === undefined) return q.zero
  if (zeroPoint.data.every((z) => z === 0)) return 'zero'
  if (!mayBeFraction(q.zero)) return q.zero
  return zeroPoint.data.every((z) => Number.isInteger(z) && z >= q.lo && z <= q.hi) ? 'integer' : 'any'
}

/** The node of a zero point: a single 0 where equal scales turn out to have made it. */
const zeroNode = (w: Walk, id: NodeId, q: Quant): NodeId =>
  q.zero === 'equalScales' && w.tensors.get(id)?.data.every((z) => Object.is(z, 0)) === true
    ? w.b.constant(0, [1]).id
    : id

/** Metadata with its ids in the new graph; a zero point that is known now is said to be 0 where it is. */
const carriedIn = (w: Walk, seen: readonly Seen[], c: Carried): Carried => {
  if (c.tag !== 'carries' && c.tag !== 'claimed') return c
  const [scale, zeroPoint, bitWidth] = [c.quant.scale, c.quant.zeroPoint, c.quant.bitWidth].map(
    (id) => nodeOf(w, seen[id]).id,
  )
  if (isFloatGrid(c.quant)) return { ...c, quant: { ...c.quant, scale, zeroPoint, bitWidth } }
  const zero = zeroKind(w, zeroPoint, c.quant)
  return { ...c, quant: { ...c.quant, scale, zeroPoint: zeroNode(w, zeroPoint, c.quant), bitWidth, zero } }
}

const tooLargeToFold = (problem: string): QuantError => ({
  tag: 'ShapeError',
  op: 'specialize',
  path: '',
  message: `this program can't be specialized: ${problem}`,
  fix: 'use smaller shapes or a smaller batch',
})

const evaluated = (w: Walk, node: Node, args: readonly Tensor[]): Seen => {
  const out: Tensor = { shape: node.shape, data: new Float32Array(sizeOf(node.shape)) }
  const failure = node.op.evaluate(args, node.attrs, out)
  if (failure !== null) {
    const said = {
      op: node.op.name,
      path: node.path,
      message: failure,
      fix: 'parameters and state decide this check, and it fails: no run of this network would pass it; see the layer named here',
    }
    w.errors.push(
      node.op.finds === 'NonFinite'
        ? { tag: 'NonFinite', node: node.id, ...said }
        : { tag: 'CheckFailed', nodes: [...node.inputs], ...said },
    )
  }
  const through = node.op.guards === true && args.length > 0 && sameShape(args[0].shape, node.shape)
  return { fixed: { tensor: through ? args[0] : out, path: node.path }, node: null, kept: null }
}

const tensorsOf = (seen: readonly Seen[]): readonly Tensor[] | null => {
  const out: Tensor[] = []
  for (const s of seen) {
    if (s.fixed === null) return null
    out.push(s.fixed.tensor)
  }
  return out
}

const phaseOf = (w: Walk, node: Node, args: readonly Seen[]): readonly Seen[] => {
  const counter = args[0].fixed
  if (node.branches === undefined || counter === null) {
    w.errors.push({
      tag: 'StateError',
      first: node.path,
      second: node.path,
      path: node.path,
      message: 'whether this quantizer collects or has learned depends on the inputs, not on the state alone',
      fix: 'trace the network in eval, and specialize that program',
    })
    return []
  }
  return walk(w, node.branches[counter.tensor.data[0] < Number(node.attrs.limit) ? 0 : 1], args.slice(1))
}

const operandOf = (w: Walk, seen: Seen): Value => (seen.fixed === null ? seen.node : (seen.kept ?? nodeOf(w, seen)))

/** One node in the new graph, or its value if that is fixed. */
const one = (w: Walk, node: Node, args: readonly Seen[], seen: readonly Seen[]): Seen => {
  const copied = (): Value => {
    const nodes = args.map((s) => operandOf(w, s))
    return w.b.copy({ ...node, carried: carriedIn(w, seen, node.carried) }, nodes)
  }
  // A loop stays one: its body is a graph of its own.
  const tensors = node.op === scanOp ? null : tensorsOf(args)
  if (tensors === null) return { fixed: null, node: copied() }
  const known = evaluated(w, node, tensors)
  if (known.fixed !== null && (w.keep(node) || args.some((s) => s.fixed !== null && s.kept !== null))) {
    known.kept = copied()
    w.tensors.set(known.kept.id, known.fixed.tensor)
  }
  return known
}

/** An op of the table applied to what is seen, as `one` does it. */
const applied = (
  w: Walk,
  name: string,
  args: readonly Seen[],
  attrs: Attrs,
  like: Pick<Node, 'path' | 'shape'>,
): Seen => {
  const op = w.table[name]
  const node: Node = { id: 0, op, inputs: [], attrs, shape: like.shape, carried: float, path: like.path }
  return one(w, node, args, [])
}

/** A loop, step by step; what it gives, in order. */
const unrolled = (w: Walk, node: Node, args: readonly Seen[]): readonly Seen[] => {
  const [body] = node.branches ?? []
  const [carries, xs, length] = [node.attrs.carries, node.attrs.xs, node.attrs.length].map(Number)
  if (body === undefined) return []
  const shapeOf = (id: NodeId): Shape => body.nodes[id].shape
  const { path } = node
  const stacks: Seen[][] = body.outputs.slice(carries).map(() => [])
  let carry = args.slice(0, carries)
  for (let k = 0; k < length; k++) {
    const t = node.attrs.reverse === true ? length - 1 - k : k
    const slices = args.slice(carries, carries + xs).map((x, i) => {
      const shape = shapeOf(body.inputs[carries + i])
      const one = applied(w, 'slice', [x], { dim: 0, start: t, end: t + 1 }, { path, shape: [1, ...shape] })
      return applied(w, 'reshape', [one], { shape }, { path, shape })
    })
    const outs = walk(w, body, [...carry, ...slices, ...args.slice(carries + xs)])
    if (w.errors.length > 0) return []
    carry = outs.slice(0, carries)
    stacks.forEach((s, i) => {
      const shape = [1, ...shapeOf(body.outputs[carries + i])]
      s[t] = applied(w, 'reshape', [outs[carries + i]], { shape }, { path, shape })
    })
  }
  const joined = stacks.map((s, i) => {
    const shape = [length, ...shapeOf(body.outputs[carries + i])]
    return applied(w, 'concat', s, { dim: 0 }, { path, shape })
  })
  return [...carry, ...joined]
}

/** One output of a phase or a loop. What a loop gave is known to lie on a grid, whatever its steps were written as. */
const gotten = (w: Walk, node: Node, got: Seen, seen: readonly Seen[]): Seen => {
  if (got.fixed === null && quantOf(node.carried) !== null) w.b.declare(got.node, carriedIn(w, seen, node.carried))
  return got
}

/** A quant tensor that is given as data: its bit width stands behind the inputs. */
const declareInputs = (w: Walk, graph: Graph, seen: readonly Seen[]): void => {
  for (const id of graph.inputs) {
    const { node } = seen[id]
    const { carried } = graph.nodes[id]
    if (node !== null && carried.tag !== 'float') w.b.declare(node, carriedIn(w, seen, carried))
  }
}

/** Walks a graph whose inputs are known, phases inlined; returns what became of its outputs. */
const walk = (w: Walk, graph: Graph, inputs: readonly Seen[]): readonly Seen[] => {
  const live = liveIn(graph)
  const places = new Map(graph.inputs.map((id, i) => [id, i] as const))
  const seen = new Array<Seen>(graph.nodes.length)
  const tuples = new Map<NodeId, readonly Seen[]>()
  for (const node of graph.nodes) {
    const place = places.get(node.id)
    if (place !== undefined) {
      seen[node.id] = inputs[place]
      continue
    }
    if (live[node.id] === 0) continue
    const args = node.inputs.map((id) => seen[id])
    if (node.op === phaseOp || (node.op === scanOp && w.unroll)) {
      const outs = node.op === phaseOp ? phaseOf(w, node, args) : unrolled(w, node, args)
      if (w.errors.length > 0) return []
      tuples.set(node.id, outs)
      seen[node.id] = outs[0] ?? args[0]
    } else if (node.op === getOp && tuples.has(node.inputs[0]))
      seen[node.id] = gotten(w, node, tuples.get(node.inputs[0])?.[Number(node.attrs.index)] ?? args[0], seen)
    else seen[node.id] = one(w, node, args, seen)
    if (w.errors.length > 0) return []
  }
  declareInputs(w, graph, seen)
  return graph.outputs.map((id) => seen[id])
}

const inputProblem = (i: ProgramInput, message: string): QuantError => ({
  tag: 'InputError',
  input: i.path,
  path: i.path,
  message,
  fix:
    i.kind === 'slot' || i.kind === 'hyper'
      ? 'give the program of a forward pass, traced in eval'
      : 'give params and state of the network that this program was traced from',
})

/** The given leaf of a parameter or of state, or what is wrong with it. */
const leafOf = (i: ProgramInput, given: Fixed): Tensor | QuantError => {
  if (i.kind === 'slot' || i.kind === 'hyper')
    return inputProblem(i, `the program takes the ${i.kind} ${i.path} of an optimizer, which no network has`)
  const t = at(i.kind === 'param' ? given.params : given.state, i.path)
  return fitting(i, t)
}

const fitting = (i: ProgramInput, t: unknown): Tensor | QuantError => {
  const name =
    i.kind === 'data' ? `${i.part} of ${i.path}` : `${i.kind === 'param' ? 'parameter' : 'leaf of state'} ${i.path}`
  if (!isTensor(t)) return inputProblem(i, `there is no ${name}`)
  return sameShape(t.shape, i.shape) && t.data.length === sizeOf(i.shape)
    ? t
    : inputProblem(i, `${name} has shape ${showShape(t.shape)}, but the program has ${showShape(i.shape)}`)
}

const isIndex = (x: unknown): x is number => typeof x === 'number'

/** What the program takes and returns, once its graph is built: data first, then constants in the order in which they were met. */
const assembled = (
  w: Walk,
  program: Program,
  data: ReadonlyMap<ProgramInput, Value>,
  outs: readonly Seen[],
): Program => {
  const given = program.inputs.filter((i) => i.kind === 'data' && data.has(i))
  const results = program.outputs.filter((o) => o.kind === 'result')
  const nodes = outs.map((s, k) => (k < results.length ? operandOf(w, s) : nodeOf(w, s)))
  const partsFixed = new Set(
    program.inputs.filter((i) => i.part === 'scale' && i.kind === 'data' && !data.has(i)).map((i) => i.path),
  )
  let next = results.length
  const outputs = results.map((o, k): ProgramOutput => {
    if (o.quant === undefined) return { ...o, node: nodes[k].id }
    // Where equal scales were found to have made it, the zero point is a single 0 now.
    const [before, after] = [quantOf(program.graph.nodes[o.node].carried), quantOf(nodes[k].carried)]
    if (before?.zero === 'equalScales' && after?.zero === 'zero') nodes[next + 1] = w.b.value(after.zeroPoint)
    const [scale, zeroPoint, bitWidth] = [nodes[next++].id, nodes[next++].id, nodes[next++].id]
    return { ...o, node: nodes[k].id, quant: { ...o.quant, scale, zeroPoint, bitWidth } }
  })
  const inputs = [
    ...given.map((i): ProgramInput => {
      const { quant, ...plain } = i
      const node = data.get(i)?.id ?? i.node
      return partsFixed.has(i.path) || quant === undefined
        ? { ...plain, part: partsFixed.has(i.path) ? 'tensor' : i.part, node }
        : { ...i, node }
    }),
    ...[...w.keys].map(([node, key]): ProgramInput => ({
      kind: 'param',
      path: key,
      node,
      shape: w.constants[key].shape,
      learned: false,
      part: 'tensor',
    })),
  ]
  return {
    version: 1,
    mode: program.mode,
    strict: program.strict,
    graph: w.b.finish(nodes),
    inputs,
    outputs,
    structure: {
      data: mapTree(isIndex, program.structure.data, (i) => given.indexOf(program.inputs[i])),
      params: Object.fromEntries([...w.keys.values()].map((key, k) => [key, given.length + k])),
      state: {},
      results: mapTree(isIndex, program.structure.results, (i) => results.indexOf(program.outputs[i])),
      nextState: {},
      grads: null,
    },
  }
}

/** The graph with the results and their metadata as its outputs. */
const resultsOnly = (program: Program): Graph => {
  const results = program.outputs.filter((o) => o.kind === 'result')
  const parts = results.flatMap(({ quant: q }) => (q === undefined ? [] : nodesOfGrid(q)))
  return { ...program.graph, outputs: [...results.map((o) => o.node), ...parts] }
}

/**
 * The program of one network: `(program, params, state) → program` with every phase decided by its counter, everything that depends on parameters and
 * state alone computed, by the ops' own rules, and checks among it made now. What remains are the operations on data.
 * Next state and gradients are left out: this is what the network computes, not how it learns. Errors: an InputError for each leaf that is missing or
 * has another shape; CheckFailed where the numbers fail a check; StateError if a phase depends on data.
 *
 * @example
 * const { program, constants } = orThrow(specializeProgram(program, { params, state }, ops))
 */
export const specializeProgram = <P, S, I, O>(
  program: Program<P, S, I, O>,
  fixed: Fixed,
  table: OpTable,
  options: SpecializeOptions = {},
): E.Either<QuantErrors, Specialized<I, O>> => {
  const large = sizeProblem(program, Infinity)
  if (large !== null) return E.left([tooLargeToFold(large)])
  const b = newBuilder({ table, mode: program.mode, strict: program.strict, metadata: false })
  const keep = options.keep ?? (() => false)
  const unroll = options.unroll === true
  const w: Walk = { b, keep, unroll, table, constants: {}, tensors: new Map(), keys: new Map(), errors: [] }
  const data = new Map<ProgramInput, Value>()
  const given = program.inputs.map((i): Seen => {
    const quant = options.quantInputs?.[i.path]
    const part = i.part === 'scale' || i.part === 'zeroPoint' ? quant?.[i.part] : undefined
    if (i.kind === 'data' && part === undefined) {
      const node = b.input('data', i.path, i.shape, undefined, i.dtype)
      data.set(i, node)
      return { fixed: null, node }
    }
    const t = part === undefined ? leafOf(i, fixed) : fitting(i, part)
    if (!isTensor(t)) w.errors.push(t)
    const above = i.path.split('.').slice(0, -1).join('.')
    return { fixed: { tensor: isTensor(t) ? t : NOTHING, path: above }, node: null, kept: null }
  })
  if (w.errors.length > 0) return E.left(w.errors)
  const byNode = new Map(program.inputs.map((i, k) => [i.node, given[k]] as const))
  const outs = walk(
    w,
    resultsOnly(program),
    program.graph.inputs.map((id) => byNode.get(id) ?? given[0]),
  )
  if (w.errors.length > 0) return E.left(w.errors)
  const made = assembled(w, program, data, outs)
  return E.right({
    program: made as Specialized<I, O>['program'],
    constants: w.constants,
    valueOf: (id) => w.tensors.get(id),
  })
}
