/**
 * Reverse mode as graph → graph: the backward pass is traced behind the forward nodes, so it can be printed, stored
 * and drawn like any other program. Each op's own rule does the differentiating.
 */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantErrors } from '../data/error.js'
import { attempt } from '../data/fields.js'
import type { NodeId } from '../data/quant.js'
import type { Tree } from '../data/tree.js'
import { at, mapTree } from '../data/tree.js'
import { isInvalid, newBuilder, type Builder } from '../graph/builder.js'
import { frozen } from '../graph/frozen.js'
import type { Graph } from '../graph/graph.js'
import type { OpTable, Value } from '../graph/op.js'
import type { Program, ProgramInput, ProgramOutput } from '../graph/program.js'
import { backward } from './backward.js'
import type { Cotangents } from './cotangents.js'
import { withSteps } from './scanVjp.js'

/** What to differentiate, and with respect to what. */
export type VjpOptions = {
  /** Path of the result to start from; default the only one. `grads.params.fc.weight` starts from a gradient: second order. */
  readonly output?: string
  /** Also give gradients with respect to data inputs (default false). */
  readonly inputs?: boolean
  /** `given`: the cotangent becomes a further data input named `cotangent`. `one`: the result must be a scalar, its cotangent is 1. */
  readonly cotangent?: 'given' | 'one'
}

const GRADS = 'grads.'

/** The output to start from: a result by its path, the only one, or a gradient of an earlier vjp. */
const targetOf = (
  program: Program,
  results: readonly ProgramOutput[],
  output: string | undefined,
): ProgramOutput | undefined => {
  if (output === undefined) return results.length === 1 ? results[0] : undefined
  const index = output.startsWith(GRADS) ? at(program.structure.grads, output.slice(GRADS.length)) : undefined
  return typeof index === 'number' ? program.outputs[index] : results.find((o) => o.path === output)
}

const wrong = (message: string, fix: string): E.Either<QuantErrors, never> =>
  E.left([{ tag: 'InputError', input: 'output', path: '', message, fix }])

/**
 * The program that runs `program` and then its backward pass from one result. Its structure has `grads`: trees of the
 * gradients with respect to `params`, `state` (learned leaves, at the values that this forward assigned) and, if asked
 * for, `inputs`. Where no path leads to a leaf the gradient is 0.
 */
export const vjpProgram =
  (table: OpTable) =>
  (program: Program, options: VjpOptions = {}): E.Either<QuantErrors, Program> =>
    // A loop gives up at its first error: its steps can't go on without the value.
    E.flatten(attempt(() => differentiated(table, program, options)))

const noTarget = (results: readonly ProgramOutput[], name: string | undefined): E.Either<QuantErrors, never> =>
  wrong(
    `grad, vjp: ${name === undefined ? 'there is no single result' : `there is no result ${name}`}; the program has ${results.map((o) => o.path || '(unnamed)').join(', ')}`,
    `name one of them: { output: '${results[0]?.path ?? ''}' }`,
  )

/** The nodes of a program in a builder, tied to those that they come from; gives their values. */
const copied = (b: Builder, { graph }: Program): readonly Value[] => {
  const values: Value[] = []
  for (const node of graph.nodes) {
    const args: Value[] = []
    for (const i of node.inputs) args.push(values[i])
    values.push(b.copy(withSteps(node), args))
    b.tie(node.id, node)
  }
  return values
}

/** The inputs that a gradient is wanted for. */
const wantedOf = (program: Program, { inputs }: VjpOptions): readonly ProgramInput[] =>
  program.inputs.filter((i) => {
    if (i.kind === 'param' || (i.kind === 'state' && i.learned)) return true
    return i.kind === 'data' && i.dtype === undefined && inputs === true && (i.part === 'tensor' || i.part === 'value')
  })

/** The nodes at which an input's gradient arrives: its own, and those that assign it a new value. */
const arrivals = (graph: Graph): ((i: ProgramInput) => readonly NodeId[]) => {
  const versions = new Map<string, NodeId[]>()
  for (const n of graph.nodes)
    if (n.op.updates === true) versions.set(String(n.attrs.leaf), [...(versions.get(String(n.attrs.leaf)) ?? []), n.id])
  return (i) => [i.node, ...(i.kind === 'state' ? (versions.get(i.path) ?? []) : [])]
}

/** Runs the backward pass from `target` on; gives each input's gradient, which is 0 where no path leads to it. */
const gradients = (
  b: Builder,
  graph: Graph,
  values: readonly Value[],
  wanted: readonly ProgramInput[],
  cts: Cotangents,
): ((i: ProgramInput) => Value) => {
  const nodesOf = arrivals(graph)
  const leaves = new Set(wanted.flatMap((i) => (i.kind === 'state' ? [i.path] : [])))
  const found = new Map<string, Value>()
  backward(b, graph, (id) => values[id], cts, { wanted: new Set(wanted.flatMap(nodesOf)), leaves, found, backward })
  return (i) =>
    b.differentiating(i.node, () => {
      let sum: Value | null = null
      const add = (c: Value | undefined): void => {
        if (c !== undefined) sum = sum === null ? c : b.emit('add', [sum, c])
      }
      for (const id of nodesOf(i)) add(cts.get(id))
      if (i.kind === 'state') add(found.get(i.path))
      return sum ?? b.constant(0, i.shape)
    })
}

const isIndex = (x: unknown): x is number => typeof x === 'number'

/** The trees of gradients; `indexOf`: the output that holds an input's. */
const gradTrees = (
  { inputs, structure }: Program,
  indexOf: ReadonlyMap<ProgramInput, number>,
  ofData: boolean,
): NonNullable<Program['structure']['grads']> => {
  const tree = (t: Tree<number>): Tree<number> => prune(mapTree(isIndex, t, (i) => indexOf.get(inputs[i]) ?? -1))
  return {
    params: tree(structure.params),
    state: tree(structure.state),
    ...(ofData ? { inputs: tree(structure.data) } : {}),
  }
}

/** What the program takes, where a cotangent is given beside its inputs: these stand under `inputs` then. */
const withCotangent = (
  { inputs, structure }: Program,
  seed: Value | null,
): Pick<Program, 'inputs'> & { readonly data: Tree<number> } => {
  if (seed === null) return { inputs, data: structure.data }
  const nested = (i: ProgramInput): ProgramInput =>
    i.kind === 'data' ? { ...i, path: i.path === '' ? 'inputs' : `inputs.${i.path}` } : i
  const cotangent: ProgramInput = {
    kind: 'data',
    path: 'cotangent',
    node: seed.id,
    shape: seed.shape,
    learned: false,
    part: 'tensor',
  }
  return {
    inputs: [...inputs.map(nested), cotangent],
    data: { inputs: structure.data, cotangent: inputs.length },
  }
}

const differentiated = (table: OpTable, program: Program, options: VjpOptions): E.Either<QuantErrors, Program> => {
  const results = program.outputs.filter((o) => o.kind === 'result')
  const target = targetOf(program, results, options.output)
  if (target === undefined) return noTarget(results, options.output)
  const b = newBuilder({ table, mode: program.mode, metadata: false })
  const values = copied(b, program)
  const seedFor = values[target.node]
  const given = options.cotangent === 'given'
  if (!given && seedFor.shape.some((n) => n !== 1))
    return wrong(
      `grad: the result ${target.path || '(unnamed)'} has shape [${seedFor.shape.join()}], not one element`,
      'reduce it to a scalar (mean, sum, crossEntropy), or use vjp with a cotangent',
    )
  const seed = b.differentiating(seedFor.id, () =>
    given ? b.input('data', 'cotangent', seedFor.shape) : b.constant(1, seedFor.shape),
  )
  const wanted = wantedOf(program, options)
  const gradOf = gradients(b, program.graph, values, wanted, new Map([[target.node, seed]]))
  const outputs: ProgramOutput[] = [...program.outputs]
  const indexOf = new Map<ProgramInput, number>()
  for (const i of wanted) {
    const g = gradOf(i)
    if (!isInvalid(g)) indexOf.set(i, outputs.push({ kind: 'grad', path: i.path, node: g.id }) - 1)
  }
  if (b.errors.length > 0) return E.left(b.errors)
  const grads = gradTrees(program, indexOf, options.inputs === true)
  const { inputs, data } = withCotangent(program, given ? seed : null)
  const graph = b.finish([
    ...program.graph.outputs.map((id) => values[id]),
    ...outputs.slice(program.outputs.length).map((o) => b.value(o.node)),
  ])
  const structure = { ...program.structure, data, grads }
  return E.right(frozen<Program>({ ...program, graph, inputs, outputs, structure }))
}

/** Drops leaves without a gradient, and the records that this empties; arrays keep their places. */
const prune = (tree: Tree<number>): Tree<number> => {
  if (typeof tree === 'number') return tree
  if (Array.isArray(tree)) return tree.map(prune)
  return Object.fromEntries(Object.entries(tree).flatMap(([k, t]) => (t === -1 ? [] : [[k, prune(t)] as const])))
}
