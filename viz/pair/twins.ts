/** Which things of two scenes belong together, and whether they are the same: nodes, boxes and results. Pure; linear in the scenes. */
import type { Change } from '../../src/graph/align.js'
import type { Scene, SceneBox, SceneNode } from '../scene/scene.js'
import { groupBy } from '../scene/visible.js'
import type { PairScene, Side, Twin } from './sides.js'

/** `same` but for the order of ids; `differs` in itself, in its metadata or inside; `only` on its side. */
export type Status = 'same' | 'differs' | 'only'

/** One side's view: partners on the other side, status, what leaves each box, and what differs, by id. Results are called `=0`, `=1` …, as the drawing does. */
export type SideTwins = {
  readonly nodes: ReadonlyMap<string, SceneNode>
  readonly partner: ReadonlyMap<string, string>
  readonly status: ReadonlyMap<string, Status>
  readonly leaving: ReadonlyMap<string, readonly SceneNode[]>
  readonly changes: ReadonlyMap<string, readonly Change[]>
}
/** Both sides. */
export type Twins = readonly [SideTwins, SideTwins]

/** All boxes around a place, the innermost first. */
const around = (parents: ReadonlyMap<string, string>, box: string): readonly string[] => {
  const out: string[] = []
  for (let at: string | undefined = box; at !== undefined && at !== ''; at = parents.get(at)) out.push(at)
  return out
}

/** The nodes whose values leave each box: along a line, or as a result. */
const leavingOf = (scene: Scene): ReadonlyMap<string, readonly SceneNode[]> => {
  const parents = new Map(scene.boxes.map((b) => [b.id, b.parent]))
  const nodes = new Map(scene.nodes.map((n) => [n.id, n]))
  const out = new Map<string, Set<SceneNode>>()
  const leave = (node: SceneNode | undefined, inside: ReadonlySet<string>): void => {
    if (node !== undefined)
      for (const box of around(parents, node.box))
        if (!inside.has(box)) out.set(box, (out.get(box) ?? new Set()).add(node))
  }
  for (const e of scene.edges)
    if (e.flow) leave(nodes.get(e.from), new Set(around(parents, nodes.get(e.to)?.box ?? '')))
  for (const v of scene.values) if (v.role === 'result') leave(nodes.get(v.node), new Set())
  return new Map([...out].map(([box, found]) => [box, [...found]]))
}

const resultsOf = (scene: Scene): readonly string[] =>
  scene.values.filter((v) => v.role === 'result').map((v) => v.name)

/** Partners of nodes, layers of the same path, branches of partner phases, results of the same name. */
const partnersOf = ([a, b]: PairScene['scenes'], twins: readonly Twin[]): ReadonlyMap<string, string> => {
  const partner = new Map(twins.flatMap((t): [string, string][] => (t.a === null || t.b === null ? [] : [[t.a, t.b]])))
  const boxesB = new Set(b.boxes.map((x) => x.id))
  for (const box of a.boxes) {
    const branch = box.kind === 'branch' ? `${partner.get(box.parent) ?? ''}.${box.label}` : undefined
    const other = box.kind === 'layer' ? box.id : branch
    if (other !== undefined && boxesB.has(other)) partner.set(box.id, other)
  }
  const resultsB = resultsOf(b)
  resultsOf(a).forEach((name, i) => {
    const j = resultsB.indexOf(name)
    if (j >= 0) partner.set(`=${i}`, `=${j}`)
  })
  return partner
}

const inverse = (m: ReadonlyMap<string, string>): ReadonlyMap<string, string> => new Map([...m].map(([x, y]) => [y, x]))

/** Which operand each slot of each node has. */
const operandsOf = (scene: Scene): ReadonlyMap<string, ReadonlyMap<number, string>> =>
  new Map(
    [...groupBy(scene.edges, (e) => e.to)].map(([to, edges]) => [to, new Map(edges.map((e) => [e.slot, e.from]))]),
  )

/** Nodes of the first scene whose operand is another node that both have: where only something was put in between, nothing was rewired. */
const rewiredOf = ([a, b]: PairScene['scenes'], partner: ReadonlyMap<string, string>): ReadonlySet<string> => {
  const [inA, inB, back] = [operandsOf(a), operandsOf(b), inverse(partner)]
  const moved = (m: string, n: string): boolean =>
    [...(inA.get(m) ?? [])].some(([slot, from]) => {
      const [x, y] = [partner.get(from), inB.get(n)?.get(slot)]
      return x !== undefined && x !== y && (y === undefined || back.has(y))
    })
  return new Set(
    a.nodes.flatMap((n) => {
      const other = partner.get(n.id)
      return other !== undefined && moved(n.id, other) ? [n.id] : []
    }),
  )
}

type Known = { readonly partner: ReadonlyMap<string, string>; readonly differs: ReadonlySet<string> }

/** Status of nodes first, then of boxes by what they hold, then of results by the value they name. */
const statusOf = (scene: Scene, { partner, differs }: Known): ReadonlyMap<string, Status> => {
  const ofNode = (id: string, isOther: boolean): Status => {
    if (!partner.has(id)) return 'only'
    return isOther ? 'differs' : 'same'
  }
  const status = new Map<string, Status>(scene.nodes.map((n) => [n.id, ofNode(n.id, differs.has(n.id))]))
  const parents = new Map(scene.boxes.map((b) => [b.id, b.parent]))
  const touched = new Set(scene.nodes.flatMap((n) => (status.get(n.id) === 'same' ? [] : around(parents, n.box))))
  const ofBox = (b: SceneBox): Status => {
    if (!partner.has(b.id)) return 'only'
    return touched.has(b.id) || status.get(b.id) === 'differs' ? 'differs' : 'same'
  }
  for (const b of scene.boxes) status.set(b.id, ofBox(b))
  scene.values
    .filter((v) => v.role === 'result')
    .forEach((v, i) => {
      const id = `=${i}`
      status.set(id, ofNode(id, status.get(v.node) !== 'same'))
    })
  return status
}

/** Boxes of the first side that differ because the second side has more in them. */
const extended = (
  b: Scene,
  statusB: ReadonlyMap<string, Status>,
  back: ReadonlyMap<string, string>,
): readonly string[] => b.boxes.flatMap((x) => (statusB.get(x.id) === 'differs' ? [back.get(x.id) ?? []].flat() : []))

/** Looks both scenes through. */
export const twinsOf = ({ scenes, twins }: PairScene): Twins => {
  const partner = partnersOf(scenes, twins)
  const back = inverse(partner)
  const rewired = rewiredOf(scenes, partner)
  const changed = twins.filter(
    (t) => t.a !== null && (rewired.has(t.a) || t.changes.some((c) => c.kind !== 'operands')),
  )
  const known: readonly [Known, Known] = [
    { partner, differs: new Set(changed.flatMap((t) => t.a ?? [])) },
    { partner: back, differs: new Set(changed.flatMap((t) => t.b ?? [])) },
  ]
  const [first, second] = [new Map(statusOf(scenes[0], known[0])), new Map(statusOf(scenes[1], known[1]))]
  const [moreA, moreB] = [extended(scenes[1], second, back), extended(scenes[0], first, partner)]
  for (const id of moreA) first.set(id, 'differs')
  for (const id of moreB) second.set(id, 'differs')
  const side = (i: Side, status: ReadonlyMap<string, Status>): SideTwins => ({
    nodes: new Map(scenes[i].nodes.map((n) => [n.id, n])),
    partner: known[i].partner,
    status,
    leaving: leavingOf(scenes[i]),
    changes: new Map(
      twins.flatMap((t) => {
        const id = i === 0 ? t.a : t.b
        return id === null || t.changes.length === 0 ? [] : [[id, t.changes]]
      }),
    ),
  })
  return [side(0, first), side(1, second)]
}
