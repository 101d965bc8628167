/** The reference backend: each node's own `evaluate` in order, over Float32Array. The oracle of every faster backend. */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantError, QuantErrors, QuantWarning } from '../../data/error.js'
import type { NodeId } from '../../data/quant.js'
import { sizeOf } from '../../data/shape.js'
import type { Tensor } from '../../data/tensor.js'
import type { Graph, Node } from '../../graph/graph.js'
import { getOp, inputOp, phaseOp, scanOp } from '../../graph/structural.js'
import type { Program, ProgramInput } from '../../graph/program.js'
import type { Backend, Executable, RunOptions } from '../backend.js'
import { tooLarge, withMemory } from '../memory.js'
import { failedCheck, stillCollecting } from '../messages.js'
import { residentByRunning } from '../resident.js'

/** A graph whose dead nodes are known. */
export type Live = {
  readonly graph: Graph
  readonly live: Uint8Array
  readonly branches: ReadonlyMap<NodeId, readonly Live[]>
}

/** Says which nodes of a graph are needed. */
export const liveNodes = (graph: Graph): Live => {
  const live = new Uint8Array(graph.nodes.length)
  for (const id of graph.outputs) live[id] = 1
  const branches = new Map<NodeId, readonly Live[]>()
  for (let i = graph.nodes.length - 1; i >= 0; i--) {
    const node = graph.nodes[i]
    // A check guards the run even where nobody reads its result: Brevitas raises there too.
    if (live[i] === 0 && node.op.guards !== true) continue
    live[i] = 1
    for (const id of node.inputs) live[id] = 1
    if (node.branches !== undefined) branches.set(i, node.branches.map(liveNodes))
  }
  return { graph, live, branches }
}

/** What one evaluation of a graph needs besides its inputs. */
type Context = { readonly options: RunOptions; readonly warnings: QuantWarning[] }

/** What stands for a node's value from there on: that value, or another of its shape. */
export type Substitute = (node: Node, value: Tensor) => Tensor

/** Who is told of the values of a graph, and of those of the steps of its loops; and who may put others in their places. */
type Tell = {
  readonly node?: RunOptions['observe']
  readonly step?: RunOptions['observeStep']
  readonly stand?: Substitute
}
/** Nobody is. */
export const NOBODY: Tell = {}

const finite = (t: Tensor): boolean => {
  for (let i = 0; i < t.data.length; i++) if (!Number.isFinite(t.data[i])) return false
  return true
}

const hasNaN = (t: Tensor): boolean => {
  for (let i = 0; i < t.data.length; i++) if (Number.isNaN(t.data[i])) return true
  return false
}

const nonFinite = (node: Node, out: Tensor, what: string, fix: string): QuantError => {
  const at = out.data.findIndex((v) => !Number.isFinite(v))
  return {
    tag: 'NonFinite',
    op: node.op.name,
    node: node.id,
    path: node.path,
    message: `%${node.id} = ${node.op.name} is the first node that makes ${what}: element ${at} of ${out.data.length} is ${out.data[at]}`,
    fix,
  }
}

/**
 * What a node made of nothing like it, or null: a NaN of operands without one, be they infinite (Inf/Inf, Inf - Inf,
 * 0*Inf), or an infinity of finite operands. What an operand has already is not the node's doing, and a constant may be
 * infinite: a mask is.
 */
const madeNonFinite = (node: Node, args: readonly Tensor[], out: Tensor): QuantError | null => {
  if (finite(out)) return null
  if (args.length > 0 && args.every(finite))
    return nonFinite(
      node,
      out,
      'a NaN or an infinity from finite operands',
      'look at its operands: a division by a zero scale, an overflow, a logarithm of 0',
    )
  return hasNaN(out) && !args.some(hasNaN)
    ? nonFinite(
        node,
        { shape: out.shape, data: out.data.map((v) => (Number.isNaN(v) ? v : 0)) },
        args.length === 0 ? 'a NaN: a constant' : 'a NaN from operands that have none, but are infinite',
        'look at its operands: an infinity over or minus another (Inf/Inf, Inf - Inf), or times 0',
      )
    : null
}

/** Infinities of inputs pass: a mask may hold them. */
const nanInput = (i: ProgramInput, { data }: Tensor): QuantError => ({
  tag: 'NonFinite',
  op: 'input',
  node: i.node,
  path: i.kind === 'data' ? '' : i.path,
  message: `%${i.node}, the ${i.kind} ${i.path === '' ? 'input' : i.path}, was given with a NaN: element ${data.findIndex(Number.isNaN)} of ${data.length}`,
  fix:
    i.kind === 'data'
      ? 'look at where the data come from: a 0/0, a field that could not be read'
      : 'look at the steps that led here: a smaller learning rate, or a debug run of the first of them',
})

/** A phase or a loop: gives what it gives, by `get`. Null where its branches are not there: nobody reads it. */
const evaluateNested = (
  l: Live,
  node: Node,
  args: readonly Tensor[],
  ctx: Context,
  tell: Tell,
): E.Either<QuantError, readonly Tensor[]> | null => {
  const branches = l.branches.get(node.id)
  if (node.op === scanOp) {
    const [body] = branches ?? []
    return body === undefined ? null : evaluateScan(node, body, args, ctx, tell)
  }
  const counter = args[0].data[0]
  const collecting = counter < Number(node.attrs.limit)
  if (collecting && node.attrs.warnSteps !== null)
    ctx.warnings.push(stillCollecting(node.path, counter, Number(node.attrs.warnSteps)))
  return branches === undefined ? null : evaluate(branches[collecting ? 0 : 1], args.slice(1), ctx, NOBODY)
}

/** One node by its own rule, or why the run ends with it. */
const evaluateOp = (node: Node, args: readonly Tensor[], ctx: Context): Tensor | QuantError => {
  const out = { shape: node.shape, data: new Float32Array(sizeOf(node.shape)) }
  const failure = node.op.evaluate(args, node.attrs, out)
  if (failure !== null) return failedCheck(node, failure)
  return (ctx.options.debugNonFinite === true ? madeNonFinite(node, args, out) : null) ?? out
}

/** Evaluates the live nodes in order; returns the values of the outputs, or the error that ended the run. */
export const evaluate = (
  l: Live,
  inputs: readonly Tensor[],
  ctx: Context,
  tell: Tell,
): E.Either<QuantError, readonly Tensor[]> => {
  const { graph, live } = l
  const values = new Array<Tensor>(graph.nodes.length)
  const tuples = new Map<NodeId, readonly Tensor[]>()
  for (let i = 0; i < graph.inputs.length; i++) values[graph.inputs[i]] = inputs[i]
  for (const node of graph.nodes) {
    if (live[node.id] === 0 || node.op === inputOp) continue
    if (node.op === scanOp || node.op === phaseOp) {
      const done = evaluateNested(
        l,
        node,
        node.inputs.map((id) => values[id]),
        ctx,
        tell,
      )
      if (done === null) continue
      if (E.isLeft(done)) return done
      tuples.set(node.id, done.right)
      values[node.id] = done.right[0]
      continue
    }
    if (node.op === getOp) values[node.id] = (tuples.get(node.inputs[0]) ?? [])[Number(node.attrs.index)]
    else {
      const made = evaluateOp(
        node,
        node.inputs.map((id) => values[id]),
        ctx,
      )
      if ('tag' in made) return E.left(made)
      values[node.id] = tell.stand === undefined ? made : tell.stand(node, made)
    }
    tell.node?.(node, values[node.id])
  }
  return E.right(graph.outputs.map((id) => values[id]))
}

/** Slice `t` of the first axis, a view. */
export const sliceOf = ({ shape, data }: Tensor, t: number): Tensor => {
  const own = shape.slice(1)
  const size = sizeOf(own)
  return { shape: own, data: data.subarray(t * size, (t + 1) * size) }
}

/** Runs a loop step by step: the last carries, then the stacks. */
export const evaluateScan = (
  node: Node,
  body: Live,
  args: readonly Tensor[],
  ctx: Context,
  { step }: Tell,
): E.Either<QuantError, readonly Tensor[]> => {
  const [carries, xs, length] = [node.attrs.carries, node.attrs.xs, node.attrs.length].map(Number)
  const { outputs, nodes } = body.graph
  const stacks = outputs.slice(carries).map((id): Tensor => {
    const shape = [length, ...nodes[id].shape]
    return { shape, data: new Float32Array(sizeOf(shape)) }
  })
  let carry = args.slice(0, carries)
  const shared = args.slice(carries + xs)
  for (let k = 0; k < length; k++) {
    const t = node.attrs.reverse === true ? length - 1 - k : k
    const slices = args.slice(carries, carries + xs).map((x) => sliceOf(x, t))
    const given = [...carry, ...slices, ...shared]
    const inner: Tell = step === undefined ? NOBODY : { node: (n, v) => step(node, t, n, v) }
    given.forEach((v, i) => inner.node?.(nodes[body.graph.inputs[i]], v))
    const done = evaluate(body, given, ctx, inner)
    if (E.isLeft(done)) return done
    carry = done.right.slice(0, carries)
    stacks.forEach((s, i) => sliceOf(s, t).data.set(done.right[carries + i].data))
  }
  return E.right([...carry, ...stacks])
}

/** The values of a program's outputs, where others stand for some of its values. */
export const runSubstituting = (
  program: Program,
  inputs: readonly Tensor[],
  stand: Substitute,
): E.Either<QuantErrors, readonly Tensor[]> => {
  const large = tooLarge(program, 'reference')
  if (large !== null) return E.left(large)
  return withMemory('reference', () =>
    E.mapLeft((e: QuantError): QuantErrors => [e])(
      evaluate(liveNodes(program.graph), inputs, { options: {}, warnings: [] }, { stand }),
    ),
  )
}

/** Plain TypeScript, exact float32 order, one freshly allocated tensor per node and run. */
export const reference: Backend = {
  name: 'reference',
  prepare: (program) => {
    const large = tooLarge(program, 'reference')
    const live = liveNodes(program.graph)
    const executable: Executable = {
      run: (inputs, options = {}) => {
        if (large !== null) return E.left(large)
        if (options.debugNonFinite === true) {
          const bad = inputs.findIndex((t) => t.data.some(Number.isNaN))
          if (bad >= 0) return E.left([nanInput(program.inputs[bad], inputs[bad])])
        }
        const warnings: QuantWarning[] = []
        return withMemory('reference', () => {
          const done = evaluate(
            live,
            inputs,
            { options, warnings },
            { node: options.observe, step: options.observeStep },
          )
          return E.isLeft(done) ? E.left<QuantErrors>([done.left]) : E.right({ outputs: done.right, warnings })
        })
      },
      resident: (commits = []) =>
        large !== null
          ? E.left(large)
          : withMemory('reference', () => residentByRunning(program, commits, (inputs) => executable.run(inputs))),
      plans: () => 1,
      dispose: () => undefined,
    }
    return E.right(executable)
  },
}
