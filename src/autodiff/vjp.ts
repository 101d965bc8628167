/**
 * Reverse mode as graph → graph: the backward pass is traced behind the forward nodes, so it can be printed, stored
 * and drawn like any other program. Each op's own rule does the differentiating.
 */
import * as E from 'fp-ts/lib/Either.js'
import { freeze } from 'immer'
import type { QuantError, QuantErrors } from '../data/error.js'
import { showGiven } from '../data/fields.js'
import type { NodeId } from '../data/quant.js'
import type { Tree } from '../data/tree.js'
import { at, mapTree } from '../data/tree.js'
import type { Builder } from '../graph/builder.js'
import { isInvalid, newBuilder } from '../graph/builder.js'
import type { Graph, Node } from '../graph/graph.js'
import type { OpTable, Value } from '../graph/op.js'
import { hasVjp } from '../graph/op.js'
import type { Program, ProgramInput, ProgramOutput } from '../graph/program.js'
import { getOp, phaseOp } from '../graph/structural.js'
import { isValue } from '../graph/trace.js'

/** Which nodes depend on a node for which a gradient is wanted. */
const dependents = (nodes: readonly Node[], wanted: ReadonlySet<NodeId>): Uint8Array => {
  const needs = new Uint8Array(nodes.length)
  for (const node of nodes) needs[node.id] = wanted.has(node.id) || node.inputs.some((i) => needs[i] === 1) ? 1 : 0
  return needs
}

/** Cotangents under construction: the sum of what each node has been handed. */
type Cotangents = Map<NodeId, Value>

/** Adds a cotangent to those of a node; the sum belongs to that node, not to the rule that handed it on. */
const accumulate = (b: Builder, cts: Cotangents, id: NodeId, g: Value, fwd: (id: NodeId) => Value): void => {
  const before = cts.get(id)
  cts.set(id, before === undefined ? g : b.differentiating(fwd(id).id, () => b.emit('add', [before, g])))
}

const notDifferentiable = (node: Node, why: string): QuantError => ({
  tag: 'NotDifferentiable',
  op: node.op.name,
  path: node.path,
  message: `%${node.id} = ${node.op.name} has no gradient: ${why}`,
  fix: 'ask for no gradient through it: put detach(x) in front, or choose another op',
})

/** The pieces of a phase whose gradient is being taken. */
type PhaseCall = { readonly node: Node; readonly gets: readonly Node[]; readonly cts: readonly (Value | null)[] }

/**
 * The gradient of a phase is a phase: each branch is differentiated on its own. Forward results that the branch's
 * backward pass wants are handed in where the forward phase returns them, and recomputed otherwise.
 */
const phaseVjp = (
  b: Builder,
  call: PhaseCall,
  fwd: (id: NodeId) => Value,
  needs: Uint8Array,
  table: OpTable,
): readonly (readonly [NodeId, Value])[] => {
  const { node, gets, cts } = call
  const [counterId, ...argIds] = node.inputs
  const wantedArgs = argIds.map((id, i) => (needs[id] === 1 ? i : -1)).filter((i) => i >= 0)
  if (node.branches === undefined || wantedArgs.length === 0) return []
  const args = argIds.map(fwd)
  const given = cts.filter((c): c is Value => c !== null)
  const results = gets.map((g) => fwd(g.id))
  const branch =
    (graph: Graph) =>
    (inputs: readonly Value[]): readonly Value[] => {
      const kit = inputs[0].kit as Builder
      const values: Value[] = []
      const saved = new Map<NodeId, Value>()
      gets.forEach((g, i) => saved.set(graph.outputs[Number(g.attrs.index)], inputs[args.length + given.length + i]))
      for (const n of graph.nodes) {
        const place = graph.inputs.indexOf(n.id)
        values.push(
          place >= 0
            ? inputs[place]
            : (saved.get(n.id) ??
                kit.copy(
                  n,
                  n.inputs.map((i) => values[i]),
                )),
        )
      }
      const seeds: Cotangents = new Map()
      let next = args.length
      cts.forEach((c, i) => {
        if (c !== null) accumulate(kit, seeds, graph.outputs[i], inputs[next++], (id) => values[id])
      })
      const wanted = new Set(wantedArgs.map((i) => graph.inputs[i]))
      backward(kit, graph, (id) => values[id], seeds, wanted, table)
      return wantedArgs.map((i) => seeds.get(graph.inputs[i]) ?? kit.constant(0, args[i].shape))
    }
  const outs = b.phase({
    counter: fwd(counterId),
    limit: Number(node.attrs.limit),
    warnSteps: null,
    args: [...args, ...given, ...results],
    collect: branch(node.branches[0]),
    learned: branch(node.branches[1]),
  })
  return wantedArgs.map((i, k) => [argIds[i], outs[k]] as const)
}

const areCotangents = (back: unknown, count: number): boolean =>
  Array.isArray(back) && back.length === count && back.every((c) => c === null || isValue(c))

/** Walks a graph backwards from the seeds and leaves a cotangent at every node that the wanted ones feed. */
const backward = (
  b: Builder,
  graph: Graph,
  fwd: (id: NodeId) => Value,
  cts: Cotangents,
  wanted: ReadonlySet<NodeId>,
  table: OpTable,
): void => {
  const { nodes } = graph
  const needs = dependents(nodes, wanted)
  const gets = new Map<NodeId, Node[]>()
  for (const n of nodes) if (n.op === getOp) gets.set(n.inputs[0], [...(gets.get(n.inputs[0]) ?? []), n])
  for (let i = nodes.length - 1; i >= 0; i--) {
    const node = nodes[i]
    if (needs[i] === 0 || node.inputs.length === 0 || node.op === getOp || (wanted.has(i) && node.op.name === 'assign'))
      continue
    b.scoped(node.path, () =>
      b.differentiating(fwd(i).id, () => {
        if (node.op === phaseOp) {
          const own = gets.get(i) ?? []
          const count = node.branches?.[0].outputs.length ?? 0
          const byIndex = Array.from(
            { length: count },
            (_, k) => cts.get(own.find((n) => n.attrs.index === k)?.id ?? -1) ?? null,
          )
          if (byIndex.every((c) => c === null)) return
          for (const [id, g] of phaseVjp(b, { node, gets: own, cts: byIndex }, fwd, needs, table))
            accumulate(b, cts, id, g, fwd)
          return
        }
        const g = cts.get(i)
        if (g === undefined) return
        if (!hasVjp(node.op))
          return void b.failWith(notDifferentiable(node, 'none' in node.op.vjp ? node.op.vjp.none : ''))
        const back = node.op.vjp({
          g,
          args: node.inputs.map(fwd),
          attrs: node.attrs,
          out: () => fwd(i),
          needs: node.inputs.map((id) => needs[id] === 1),
          kit: b,
        })
        if (!areCotangents(back, node.inputs.length))
          return void b.failWith({
            tag: 'ConfigError',
            option: node.op.name,
            path: node.path,
            message: `the gradient rule of ${node.op.name} returned ${showGiven(back)}; it must return a list with a cotangent, or null, for each of ${node.inputs.length} operands`,
            fix: "return [kit.emit('mul', [g, …])], for instance, with null where there is no path",
          })
        back.forEach((c, k) => {
          if (c !== null && needs[node.inputs[k]] === 1) accumulate(b, cts, node.inputs[k], c, fwd)
        })
      }),
    )
  }
  for (const [id, g] of cts) if (!isInvalid(g)) b.tie(fwd(id).id, { cotangent: g.id })
}

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
  (program: Program, options: VjpOptions = {}): E.Either<QuantErrors, Program> => {
    const results = program.outputs.filter((o) => o.kind === 'result')
    const target = targetOf(program, results, options.output)
    if (target === undefined)
      return wrong(
        `grad, vjp: ${options.output === undefined ? 'there is no single result' : `there is no result ${options.output}`}; the program has ${results.map((o) => o.path || '(unnamed)').join(', ')}`,
        `name one of them: { output: '${results[0]?.path ?? ''}' }`,
      )
    const b = newBuilder({ table, mode: program.mode, metadata: false })
    const values: Value[] = []
    for (const node of program.graph.nodes) {
      values.push(
        b.copy(
          node,
          node.inputs.map((i) => values[i]),
        ),
      )
      b.tie(node.id, node)
    }
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

    const wantedInputs = program.inputs.filter(
      (i) =>
        i.kind === 'param' ||
        (i.kind === 'state' && i.learned) ||
        (i.kind === 'data' &&
          i.dtype === undefined &&
          options.inputs === true &&
          (i.part === 'tensor' || i.part === 'value')),
    )
    const versions = new Map<string, NodeId[]>()
    for (const n of program.graph.nodes)
      if (n.op.name === 'assign')
        versions.set(String(n.attrs.leaf), [...(versions.get(String(n.attrs.leaf)) ?? []), n.id])
    const nodesOf = (i: ProgramInput): readonly NodeId[] => [
      i.node,
      ...(i.kind === 'state' ? (versions.get(i.path) ?? []) : []),
    ]
    const wanted = new Set(wantedInputs.flatMap(nodesOf))
    const cts: Cotangents = new Map([[target.node, seed]])
    backward(b, program.graph, (id) => values[id], cts, wanted, table)

    const gradOf = (i: ProgramInput): Value =>
      b.differentiating(
        i.node,
        () =>
          nodesOf(i)
            .map((id) => cts.get(id))
            .filter((c): c is Value => c !== undefined)
            .reduce<Value | null>((sum, c) => (sum === null ? c : b.emit('add', [sum, c])), null) ??
          b.constant(0, i.shape),
      )
    const outputs: ProgramOutput[] = [...program.outputs]
    const indexOf = new Map<ProgramInput, number>()
    for (const i of wantedInputs) {
      const g = gradOf(i)
      if (!isInvalid(g)) indexOf.set(i, outputs.push({ kind: 'grad', path: i.path, node: g.id }) - 1)
    }
    if (b.errors.length > 0) return E.left(b.errors)
    const isIndex = (x: unknown): x is number => typeof x === 'number'
    const gradTree = (tree: Tree<number>): Tree<number> =>
      prune(mapTree(isIndex, tree, (i) => indexOf.get(program.inputs[i]) ?? -1))
    const { structure } = program
    const grads = {
      params: gradTree(structure.params),
      state: gradTree(structure.state),
      ...(options.inputs === true ? { inputs: gradTree(structure.data) } : {}),
    }
    const nested = (i: ProgramInput): ProgramInput =>
      i.kind === 'data' ? { ...i, path: i.path === '' ? 'inputs' : `inputs.${i.path}` } : i
    const inputs = given
      ? [
          ...program.inputs.map(nested),
          {
            kind: 'data',
            path: 'cotangent',
            node: seed.id,
            shape: seed.shape,
            learned: false,
            part: 'tensor',
          } satisfies ProgramInput,
        ]
      : program.inputs
    const data: Tree<number> = given ? { inputs: structure.data, cotangent: inputs.length - 1 } : structure.data
    const graph = b.finish([
      ...program.graph.outputs.map((id) => values[id]),
      ...outputs.slice(program.outputs.length).map((o) => b.value(o.node)),
    ])
    return E.right(
      freeze<Program>({ ...program, graph, inputs, outputs, structure: { ...structure, data, grads } }, true),
    )
  }

/** Drops leaves without a gradient, and the records that this empties; arrays keep their places. */
const prune = (tree: Tree<number>): Tree<number> => {
  if (typeof tree === 'number') return tree
  if (Array.isArray(tree)) return tree.map(prune)
  return Object.fromEntries(
    Object.entries(tree)
      .filter(([, t]) => t !== -1)
      .map(([k, t]) => [k, prune(t)]),
  )
}
