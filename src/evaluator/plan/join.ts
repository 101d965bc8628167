/**
 * After fusing: the optimizer's updates of all leaves with the same loop become one step, which sweeps over them in turn.
 * Such a step has one body of code, however many leaves there are. Leaves stay where they are: each is swept over its
 * own elements, so nothing between them is ever computed.
 */
import { sizeOf } from '../../data/shape.js'
import { nodesOf, type GroupStep, type Step } from './fuse.js'
import type { Leveled } from './levels.js'

/** Updates of several leaves as one step: `leaves` are done in order, each like a group of its own. */
export type JoinedStep = GroupStep & { readonly leaves: readonly GroupStep[] }

/** Is the step a joined update? */
export const isJoined = (step: Step): step is JoinedStep => 'leaves' in step

/**
 * What decides whether two loops are the same: `body`, what is computed and stored; `kinds`, which operands are whole and
 * which are one number (for a single element that is no difference); `operands`, flat nodes that it reads.
 */
export type LoopSignature = { readonly body: string; readonly kinds: string; readonly operands: readonly number[] }

/** What joining asks of the backend: the signature of a loop, or null for one that can't be shared. */
export type JoinRules = { readonly signature: (step: GroupStep) => LoopSignature | null }

type Leaf = { readonly from: number; readonly step: GroupStep; readonly signature: LoopSignature }

/** Parts of a group that have no member in common. */
const partsOf = (step: GroupStep, l: Leveled): readonly GroupStep[] => {
  const inside = new Set(step.members)
  const partOf = new Map<number, number[]>()
  for (const i of step.members) {
    const met = new Set(l.flat.nodes[i].args.flatMap((a) => (inside.has(a.id) ? [partOf.get(a.id) ?? []] : [])))
    const part = [...[...met].flat(), i]
    for (const m of part) partOf.set(m, part)
  }
  return [...new Set(partOf.values())].map((part) => {
    const members = [...part].sort((a, b) => a - b)
    const own = new Set(members)
    return { ...step, members, stores: step.stores.filter((s) => own.has(s)) }
  })
}

/** Nodes that read each value, in all steps. */
const readersOf = (steps: readonly Step[], l: Leveled): ReadonlyMap<number, readonly number[]> => {
  const readers = new Map<number, number[]>()
  for (const s of steps)
    for (const i of nodesOf(s)) {
      const { args, licence } = l.flat.nodes[i]
      for (const a of [...args, ...(typeof licence === 'object' ? licence.scales : [])]) {
        const known = readers.get(a.id)
        if (known === undefined) readers.set(a.id, [i])
        else known.push(i)
      }
    }
  return readers
}

/** Leaves that read what another one writes over: they stay apart, for their order matters. */
const entangled = (leaves: readonly Leaf[], overwrites: ReadonlyMap<number, number>): ReadonlySet<Leaf> => {
  const owner = new Map(leaves.flatMap((leaf) => leaf.step.stores.map((s) => [overwrites.get(s), leaf] as const)))
  return new Set(
    leaves.flatMap((leaf) =>
      leaf.signature.operands.flatMap((o) => {
        const other = owner.get(o)
        return other === undefined || other === leaf ? [] : [leaf, other]
      }),
    ),
  )
}

/** Leaves with the same loop; one element has no kinds, and goes with the first loop that computes the same. */
const alike = (leaves: readonly Leaf[]): readonly (readonly Leaf[])[] => {
  const loops = new Map<string, Leaf[]>()
  const bodies = new Map<string, string>()
  const add = (key: string, leaf: Leaf): void => {
    loops.set(key, [...(loops.get(key) ?? []), leaf])
  }
  const levelled = (leaf: Leaf, text: string): string => `${leaf.step.level} ${text}`
  for (const leaf of leaves) {
    if (leaf.step.size === 1) continue
    const [body, key] = [
      levelled(leaf, leaf.signature.body),
      levelled(leaf, `${leaf.signature.body} ${leaf.signature.kinds}`),
    ]
    if (!bodies.has(body)) bodies.set(body, key)
    add(key, leaf)
  }
  for (const leaf of leaves) {
    const body = levelled(leaf, leaf.signature.body)
    if (leaf.step.size === 1) add(bodies.get(body) ?? body, leaf)
  }
  return [...loops.values()].filter((same) => same.length > 1)
}

const joinedStep = (leaves: readonly Leaf[]): JoinedStep => {
  const steps = [...leaves].sort((a, b) => a.step.members[0] - b.step.members[0]).map((leaf) => leaf.step)
  return {
    kind: 'group',
    level: steps[0].level,
    cached: false,
    size: steps.reduce((n, s) => n + s.size, 0),
    members: steps.flatMap((s) => s.members),
    stores: steps.flatMap((s) => s.stores),
    reduces: [],
    leaves: steps,
  }
}

/** Joins updates. `overwrites`: by flat node of an updated leaf or of its memory, the input over which it may be written. */
export const joinUpdates = (
  steps: readonly Step[],
  l: Leveled,
  overwrites: ReadonlyMap<number, number>,
  rules: JoinRules,
): readonly Step[] => {
  const readers = readersOf(steps, l)
  const updates = (part: GroupStep): boolean => {
    const own = new Set(part.members)
    return (
      part.stores.length > 0 &&
      part.stores.every((s) => {
        const old = overwrites.get(s)
        return (
          l.ends[s] === 1 &&
          old !== undefined &&
          sizeOf(l.flat.nodes[old].shape) === part.size &&
          (readers.get(s) ?? []).every((r) => own.has(r))
        )
      })
    )
  }
  const found = steps.flatMap((s, from): readonly Leaf[] => {
    if (s.kind !== 'group' || s.cached || s.reduces.length > 0 || !s.stores.some((o) => l.ends[o] === 1)) return []
    return partsOf(s, l)
      .filter(updates)
      .flatMap((step) => {
        const signature = rules.signature(step)
        return signature === null ? [] : [{ from, step, signature }]
      })
  })
  const apart = entangled(found, overwrites)
  const loops = alike(found.filter((leaf) => !apart.has(leaf)))
  const gone = new Map<number, Set<number>>()
  for (const leaf of loops.flat()) gone.set(leaf.from, new Set([...(gone.get(leaf.from) ?? []), ...leaf.step.members]))
  const left = steps.flatMap((s, k): readonly Step[] => {
    const taken = gone.get(k)
    if (taken === undefined || s.kind !== 'group') return [s]
    const members = s.members.filter((i) => !taken.has(i))
    return members.length === 0 ? [] : [{ ...s, members, stores: s.stores.filter((i) => !taken.has(i)) }]
  })
  return [...left, ...loops.map(joinedStep)]
}
