/** Loops in a scene: what of a body is on the way of the values, and the states that go from one step to the next. */
import type { Graph, Node } from '../../src/graph/graph.js'
import { getOp, scanOp } from '../../src/graph/structural.js'
import { flowOf } from './flow.js'
import type { Scene, SceneBox, SceneNode } from './scene.js'

/** How the inputs of a body are divided. */
export type BodyInputs = { readonly carries: number; readonly xs: number }

/** Of a loop: how the inputs of its body are divided. */
export const bodyInputs = ({ op, attrs }: Node): BodyInputs | undefined =>
  op === scanOp ? { carries: Number(attrs.carries), xs: Number(attrs.xs) } : undefined

/** What a program calls an input of a body, if it gave it a name. */
export const givenName = ({ attrs }: Node): string | undefined => /^\S+ (.+)$/s.exec(String(attrs.name))?.[1]

/** The name of a state: its own, or its number. */
export const stateName = (body: Graph, i: number): string => givenName(body.nodes[body.inputs[i]]) ?? `state ${i}`

/** Which nodes of a body are on the way of the values: those that end in results of the loop on that way, and in states that they are made of. `flow`: of the graph around. */
export const bodyFlow = (around: Graph, loop: Node, body: Graph, flow: readonly boolean[]): readonly boolean[] => {
  const { carries } = bodyInputs(loop) ?? { carries: 0 }
  const read = around.nodes.filter((n) => n.op === getOp && n.inputs[0] === loop.id && flow[n.id])
  const wanted = new Set(read.map((n) => Number(n.attrs.index)))
  for (;;) {
    const before = wanted.size
    const found = flowOf(
      body,
      [...wanted].map((i) => body.outputs[i]),
    )
    for (let c = 0; c < carries; c++) if (found[body.inputs[c]]) wanted.add(c)
    if (wanted.size === before) return found
  }
}

/** The states of a body: from what a step hands back to what the next one is given. */
export const statesOf = (loop: Node, body: Graph, prefix: string): NonNullable<SceneBox['states']> =>
  Array.from({ length: bodyInputs(loop)?.carries ?? 0 }, (_, i) => ({
    name: stateName(body, i),
    from: `${prefix}${body.outputs[i]}`,
    to: `${prefix}${body.inputs[i]}`,
  }))

/** The box in which a node stands, as a reader would say: of a body, its loop. */
export const boxSaid = ({ box, step }: SceneNode): string =>
  step === true ? `loop %${box.replace(/\.[^.]+$/, '')}` : box

/** Is a node on the way of the values, of the program or of a step of a loop? */
export const isDrawn = (n: SceneNode): boolean => n.flow || n.step === true

/** The scene as it is drawn: in a body the values of a step are values, though what is said of a program counts those outside. */
export const withSteps = (scene: Scene): Scene =>
  scene.nodes.some((n) => n.step)
    ? {
        ...scene,
        nodes: scene.nodes.map((n) => (n.step === true ? { ...n, flow: true } : n)),
        edges: scene.edges.map((e) => (e.step === true ? { ...e, flow: true } : e)),
      }
    : scene

/** Is a node or a box drawn only with scales, counters and the like? */
export const isDetail = (scene: Scene, node: SceneNode | undefined, id: string): boolean => {
  const box = scene.boxes.find((b) => b.id === id)
  if (box?.loop !== undefined) return !scene.nodes.some((n) => n.step === true && `${n.box}.`.startsWith(`${box.id}.`))
  return (node !== undefined && !node.flow && node.step !== true) || box?.kind === 'branch' || box?.kind === 'phase'
}
