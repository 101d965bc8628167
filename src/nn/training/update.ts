/** The optimizer's step as part of a program: forward, backward and update are one graph, which a backend fuses as one. */
import * as E from 'fp-ts/lib/Either.js'
import { freeze } from 'immer'
import type { QuantErrors } from '../../data/error.js'
import { at } from '../../data/tree.js'
import { newBuilder } from '../../graph/builder.js'
import type { Value } from '../../graph/op.js'
import type { Program, ProgramInput, ProgramOutput } from '../../graph/program.js'
import { ops } from '../../ops/index.js'
import type { Optimizer } from './optim.js'

/** Which numbers of a step a leaf takes: those at its rate and weight decay. */
export type HyperGroup = { readonly key: string; readonly lrScale: number; readonly weightDecay: number }

/** A program whose outputs include the updated parameters, state and optimizer memory. */
export type WithUpdate<P, S, I, O> = {
  readonly program: Program<P, S, I, O>
  readonly groups: readonly HyperGroup[]
  /** Leaves that are updated: `param.conv1.weight`. */
  readonly leaves: readonly string[]
}

/** Key of a leaf's memory, as in `OptimState.slots`. */
export const slotKey = (slot: string, kind: string, path: string): string => `${slot}:${kind}.${path}`

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

/** Appends an optimizer's update to a differentiated program. */
export const withUpdate = <P, S, I, O>(
  program: Program<P, S, I, O>,
  optimizer: Optimizer,
): E.Either<QuantErrors, WithUpdate<P, S, I, O>> => {
  const { grads } = program.structure
  if (grads === null) return noGradients()
  const b = newBuilder({ table: ops, mode: program.mode, metadata: false })
  const values: Value[] = []
  for (const node of program.graph.nodes)
    values.push(
      b.copy(
        node,
        node.inputs.map((i) => values[i]),
      ),
    )
  const inputs: ProgramInput[] = [...program.inputs]
  const outputs: ProgramOutput[] = [...program.outputs]
  const extra: Value[] = []
  const groups = new Map<string, HyperGroup & { readonly values: { readonly [name: string]: Value } }>()
  const leaves: string[] = []
  const input = (kind: 'slot' | 'hyper', path: string, shape: readonly number[]): Value => {
    const v = b.input(kind, path, shape)
    inputs.push({ kind, path, node: v.id, shape, learned: false, part: 'tensor' })
    return v
  }
  const groupOf = (lrScale: number, weightDecay: number) => {
    const key = `${lrScale}/${weightDecay}`
    const known = groups.get(key)
    if (known !== undefined) return known
    const made = {
      key,
      lrScale,
      weightDecay,
      values: Object.fromEntries(
        Object.keys(optimizer.rule.hyper(1, 1, weightDecay)).map((name) => [
          name,
          input('hyper', `${key}/${name}`, []),
        ]),
      ),
    }
    groups.set(key, made)
    return made
  }
  const updated = (i: ProgramInput, p: Value, g: Value): Value => {
    const kind = i.kind === 'param' ? 'param' : 'state'
    const { frozen = false, weightDecay = optimizer.weightDecay, lrScale = 1 } = optimizer.mask({ kind, path: i.path })
    if (frozen) return p
    leaves.push(`${kind}.${i.path}`)
    const slots = Object.fromEntries(
      optimizer.rule.slots.map((s) => [s.name, input('slot', slotKey(s.name, kind, i.path), i.shape)]),
    )
    const fresh = optimizer.rule.asksFresh ? input('hyper', `fresh/${kind}.${i.path}`, []) : null
    const next = b.scoped(i.path, () =>
      b.scoped('update', () =>
        optimizer.rule.apply({ kit: b, p, g, slots, hyper: groupOf(lrScale, weightDecay).values, weightDecay, fresh }),
      ),
    )
    for (const [name, v] of Object.entries(next.slots)) {
      extra.push(v)
      outputs.push({ kind: 'slot', path: slotKey(name, kind, i.path), node: v.id })
    }
    return next.p
  }
  for (const i of program.inputs) {
    if (i.kind !== 'param' && !(i.kind === 'state' && i.learned)) continue
    const index = at(i.kind === 'param' ? at(grads, 'params') : at(grads, 'state'), i.path)
    const g = typeof index === 'number' ? values[program.outputs[index].node] : undefined
    if (i.kind === 'param') {
      const next = g === undefined ? values[i.node] : updated(i, values[i.node], g)
      extra.push(next)
      outputs.push({ kind: 'param', path: i.path, node: next.id })
    } else {
      const place = outputs.findIndex((o) => o.kind === 'state' && o.path === i.path)
      if (place < 0 || g === undefined) continue
      const next = updated(i, values[outputs[place].node], g)
      extra.push(next)
      outputs[place] = { kind: 'state', path: i.path, node: next.id }
    }
  }
  if (b.errors.length > 0) return E.left(b.errors)
  // Gradients are used up by the update: nobody else sees them, so they need not be stored.
  const gradients = new Set(program.outputs.filter((o) => o.kind === 'grad').map((o) => o.node))
  const others = new Set(
    program.outputs
      .filter((o) => o.kind !== 'grad')
      .flatMap((o) => [o.node, ...(o.quant === undefined ? [] : [o.quant.scale, o.quant.zeroPoint, o.quant.bitWidth])]),
  )
  const seen = program.graph.outputs.filter((id) => others.has(id) || !gradients.has(id))
  const graph = b.finish([...seen.map((id) => values[id]), ...extra])
  return E.right({
    program: freeze<Program<P, S, I, O>>(
      {
        ...program,
        graph,
        inputs,
        outputs: outputs.map((o) => (o.kind === 'grad' ? null : o)).filter((o) => o !== null),
        structure: { ...program.structure, grads: null },
      },
      true,
    ),
    groups: [...groups.values()],
    leaves,
  })
}
