/** The optimizer's step as part of a program: forward, backward and update are one graph, which a backend fuses as one. */
import * as E from 'fp-ts/lib/Either.js'
import { freeze } from 'immer'
import type { QuantErrors } from '../../data/error.js'
import { fieldProblems, flag, type Fields } from '../../data/fields.js'
import { nodesOfGrid } from '../../data/quant.js'
import { sizeOf, type Shape } from '../../data/shape.js'
import { at } from '../../data/tree.js'
import { newBuilder, type Builder } from '../../graph/builder.js'
import type { Value } from '../../graph/op.js'
import { programProblems, type Program, type ProgramInput, type ProgramOutput } from '../../graph/program.js'
import { constantOf, constOp } from '../../graph/structural.js'
import { ops } from '../../ops/index.js'
import { slotKey } from './memory.js'
import { ruleOf, type OptimLeaf } from './mask.js'
import type { Optimizer } from './optim.js'
import { optimizerProblems } from './options.js'
import { trainableProblems } from './trainable.js'

/** Which numbers of a step leaves take: those at their rate and weight decay, and where updates are counted those of one leaf. */
export type HyperGroup = {
  readonly lrScale: number
  readonly weightDecay: number
  /** `param.conv1.weight` where the rule counts updates: each leaf has its own numbers; null: all leaves share them. */
  readonly leaf: string | null
  /** Where in `program.inputs` each number stands. */
  readonly inputs: { readonly [name: string]: number }
}

/** What a program's update does beside the optimizer's rule. */
export type UpdateOptions = {
  /** Fail with `NonFinite`, before anything moves, where the loss or a gradient isn't finite (default false). */
  readonly checked?: boolean
  /** Add gradients up in slots `accumulated:…`; the update happens in the runs whose hyper number `apply` is 1 (default false). */
  readonly accumulating?: boolean
}

/** A program whose outputs include the updated parameters, state and optimizer memory. */
export type WithUpdate<P, S, I, O> = {
  readonly program: Program<P, S, I, O>
  readonly groups: readonly HyperGroup[]
  /** Leaves that are updated: `param.conv1.weight`. */
  readonly leaves: readonly string[]
  /** Where in `program.inputs` stands whether an update is a leaf's first, by leaf; empty unless the rule asks. */
  readonly fresh: { readonly [leaf: string]: number }
  /** What is checked to be finite: the loss first (path empty), then the gradients in the order of the leaves. */
  readonly checked: readonly Checked[]
  /** Where in `program.inputs` the numbers of accumulation stand, or null. */
  readonly accumulation: { readonly weight: number; readonly share: number; readonly apply: number } | null
}

/** Something that must be finite, and how it is called in messages. */
export type Checked = { readonly path: string; readonly says: string }

const noGradients = (): E.Either<QuantErrors, never> =>
  E.left([
    {
      tag: 'InputError',
      input: 'program',
      path: '',
      message: 'training was asked of a program without gradients',
      fix: "differentiate it first: grad(program, { output: 'loss' })",
    },
  ])

/** A program while an update is appended to it. */
type Draft = {
  readonly b: Builder
  readonly optimizer: Optimizer
  readonly inputs: ProgramInput[]
  readonly outputs: ProgramOutput[]
  /** Outputs of the graph behind those of the program. */
  readonly extra: Value[]
  readonly groups: Map<string, HyperGroup & { readonly values: { readonly [name: string]: Value } }>
  readonly leaves: string[]
  readonly fresh: Record<string, number>
  readonly checked: boolean
  /** Something of the loss and of each gradient that is finite if and only if all of it is. */
  readonly checks: (Checked & { readonly value: Value })[]
  readonly accumulation: Accumulation | null
}

/** One number of a step as an input: its value, and where it stands. */
type Hyper = { readonly value: Value; readonly index: number }
type Accumulation = { readonly weight: Hyper; readonly share: Hyper; readonly apply: Hyper }

const addInput = (d: Pick<Draft, 'b' | 'inputs'>, kind: 'slot' | 'hyper', path: string, shape: Shape): Hyper => {
  const value = d.b.input(kind, path, shape)
  return { value, index: d.inputs.push({ kind, path, node: value.id, shape, learned: false, part: 'tensor' }) - 1 }
}

const groupOf = (d: Draft, lrScale: number, weightDecay: number, leaf: string | null) => {
  const key = `${lrScale}/${weightDecay}${leaf === null ? '' : `/${leaf}`}`
  const known = d.groups.get(key)
  if (known !== undefined) return known
  const entries = Object.keys(d.optimizer.rule.hyper(1, 1, weightDecay)).map(
    (name) => [name, addInput(d, 'hyper', `${key}/${name}`, [])] as const,
  )
  const made = {
    lrScale,
    weightDecay,
    leaf,
    inputs: Object.fromEntries(entries.map(([name, h]) => [name, h.index])),
    values: Object.fromEntries(entries.map(([name, h]) => [name, h.value])),
  }
  d.groups.set(key, made)
  return made
}

/** The mean of all elements: a NaN or an infinity among them shows in it, and finite ones never overflow it. */
const allOf = (g: Value): Value =>
  sizeOf(g.shape) === 1
    ? g.kit.emit('reshape', [g], { shape: [] })
    : g.kit.emit('mean', [g], { dims: g.shape.map((_, i) => i), keepdim: false })

/** The gradient of all batches so far, and what makes a value keep its old one until the update is due. */
const accumulated = (d: Draft, leaf: string, g: Value) => {
  const { b, accumulation: a } = d
  if (a === null) return { g, due: (next: Value, _old: Value): Value => next }
  const key = slotKey('accumulated', leaf)
  const sum = b.emit('add', [addInput(d, 'slot', key, g.shape).value, b.emit('mul', [g, a.weight.value])])
  const due = (next: Value, old: Value): Value => b.emit('select', [a.apply.value, next, old])
  const kept = due(b.constant(0, g.shape), sum)
  d.extra.push(kept)
  d.outputs.push({ kind: 'slot', path: key, node: kept.id })
  return { g: b.emit('mul', [sum, a.share.value]), due }
}

/** The new value of a leaf `p` with gradient `given`; its memory becomes further outputs. */
const updated = (d: Draft, { kind, path }: OptimLeaf, p: Value, given: Value): Value => {
  const { b, optimizer } = d
  const { rule } = optimizer
  const asked = ruleOf(optimizer, { kind, path })
  if (E.isLeft(asked)) {
    for (const e of asked.left) b.failWith(e)
    return p
  }
  const { frozen, weightDecay, lrScale } = asked.right
  if (frozen) return p
  const leaf = `${kind}.${path}`
  d.leaves.push(leaf)
  return b.scoped(path, () =>
    b.scoped('update', () => {
      if (d.checked && sizeOf(given.shape) > 0)
        d.checks.push({ path, says: `the gradient of ${kind} ${path}`, value: allOf(given) })
      const { g, due } = accumulated(d, leaf, given)
      const slots = Object.fromEntries(
        rule.slots.map((s) => [s.name, addInput(d, 'slot', slotKey(s.name, leaf), p.shape).value]),
      )
      const first = rule.asksFresh ? addInput(d, 'hyper', `fresh/${leaf}`, []) : null
      if (first !== null) d.fresh[leaf] = first.index
      const hyper = groupOf(d, lrScale, weightDecay, rule.countsUpdates ? leaf : null).values
      const next = rule.apply({ kit: b, p, g, slots, hyper, weightDecay, fresh: first?.value ?? null })
      for (const [name, v] of Object.entries(next.slots)) {
        const kept = due(v, slots[name])
        d.extra.push(kept)
        d.outputs.push({ kind: 'slot', path: slotKey(name, leaf), node: kept.id })
      }
      return due(next.p, p)
    }),
  )
}

/** The results that were differentiated: of one element, with a cotangent of 1. */
export const lossesIn = (program: Program): readonly ProgramOutput[] => {
  const { nodes } = program.graph
  return program.outputs.filter((o) => {
    const { shape, cotangent } = nodes[o.node]
    const seed = cotangent === undefined ? undefined : nodes[cotangent]
    return o.kind === 'result' && sizeOf(shape) === 1 && seed?.op === constOp && constantOf(seed.attrs) === 1
  })
}

/** Gradients are used up by the update: nobody else sees them, so they need not be stored. */
const seenOutputs = (program: Program): readonly number[] => {
  const gradients = new Set(program.outputs.filter((o) => o.kind === 'grad').map((o) => o.node))
  const others = new Set(
    program.outputs
      .filter((o) => o.kind !== 'grad')
      .flatMap((o) => [o.node, ...(o.quant === undefined ? [] : nodesOfGrid(o.quant))]),
  )
  return program.graph.outputs.filter((id) => others.has(id) || !gradients.has(id))
}

const draftOf = (program: Program, optimizer: Optimizer, { checked, accumulating }: Required<UpdateOptions>) => {
  const b = newBuilder({ table: ops, mode: program.mode, metadata: false })
  const values: Value[] = []
  for (const node of program.graph.nodes)
    values.push(
      b.copy(
        node,
        node.inputs.map((i) => values[i]),
      ),
    )
  const inputs = [...program.inputs]
  const number = (name: string): Hyper => addInput({ b, inputs }, 'hyper', `accumulation/${name}`, [])
  const draft: Draft = {
    b,
    optimizer,
    inputs,
    outputs: [...program.outputs],
    extra: [],
    groups: new Map(),
    leaves: [],
    fresh: {},
    checked,
    checks: [],
    accumulation: accumulating ? { weight: number('weight'), share: number('share'), apply: number('apply') } : null,
  }
  return { draft, values }
}

const UPDATE: Fields<UpdateOptions> = { checked: flag, accumulating: flag }

/** A differentiated program on its way: its draft, and the value of each of its nodes. */
type Drafted = ReturnType<typeof draftOf> & { readonly program: Program }

/** Asks that losses be finite. */
const checkLosses = ({ draft, values, program }: Drafted): void => {
  for (const o of lossesIn(program))
    draft.checks.push({ path: '', says: `the result ${o.path || '(unnamed)'}`, value: allOf(values[o.node]) })
}

/** Appends the new values of what is learned. */
const updateLeaves = ({ draft, values, program }: Drafted, grads: NonNullable<Program['structure']['grads']>): void => {
  const { outputs, extra } = draft
  for (const i of program.inputs) {
    if (i.kind !== 'param' && !(i.kind === 'state' && i.learned)) continue
    const index = at(i.kind === 'param' ? at(grads, 'params') : at(grads, 'state'), i.path)
    const g = typeof index === 'number' ? values[program.outputs[index].node] : undefined
    const place = outputs.findIndex((o) => o.kind === 'state' && o.path === i.path)
    if (i.kind === 'state' && (place < 0 || g === undefined)) continue
    // The gradient of learned state is taken at the value that this forward assigned, and so is the update.
    const old = i.kind === 'param' ? values[i.node] : values[outputs[place].node]
    const next = g === undefined ? old : updated(draft, { kind: i.kind, path: i.path }, old, g)
    extra.push(next)
    if (i.kind === 'param') outputs.push({ kind: 'param', path: i.path, node: next.id })
    else outputs[place] = { kind: 'state', path: i.path, node: next.id }
  }
}

/** The program with all that was appended. */
const finished = <P, S, I, O>(
  program: Program<P, S, I, O>,
  { draft: d, values }: Pick<Drafted, 'draft' | 'values'>,
): WithUpdate<P, S, I, O> => {
  const { accumulation: a } = d
  return {
    program: freeze<Program<P, S, I, O>>(
      {
        ...program,
        graph: d.b.finish([...seenOutputs(program).map((id) => values[id]), ...d.extra]),
        inputs: d.inputs,
        outputs: d.outputs.filter((o) => o.kind !== 'grad'),
        structure: { ...program.structure, grads: null },
      },
      true,
    ),
    groups: [...d.groups.values()].map(({ values: _, ...group }) => group),
    leaves: d.leaves,
    fresh: d.fresh,
    checked: d.checks.map(({ path, says }) => ({ path, says })),
    accumulation: a === null ? null : { weight: a.weight.index, share: a.share.index, apply: a.apply.index },
  }
}

/** Appends an optimizer's update to a differentiated program. */
export const withUpdate = <P, S, I, O>(
  program: Program<P, S, I, O>,
  optimizer: Optimizer,
  options: UpdateOptions = {},
): E.Either<QuantErrors, WithUpdate<P, S, I, O>> => {
  const problems = [
    ...programProblems('withUpdate', program),
    ...optimizerProblems('withUpdate', optimizer),
    ...fieldProblems('withUpdate', options, UPDATE),
  ]
  if (problems.length > 0) return E.left(problems)
  const { checked = false, accumulating = false } = options
  const { grads } = program.structure
  if (grads === null) return noGradients()
  const untrainable = trainableProblems(program as Program, optimizer)
  if (untrainable.length > 0) return E.left(untrainable)
  const drafted = { ...draftOf(program, optimizer, { checked, accumulating }), program }
  const { b, checks } = drafted.draft
  if (checked) checkLosses(drafted)
  updateLeaves(drafted, grads)
  if (checks.length > 0)
    b.emit(
      'checkFinite',
      checks.map((c) => c.value),
      { names: checks.map((c) => c.says) },
    )
  return b.errors.length > 0 ? E.left(b.errors) : E.right(finished(program, drafted))
}
