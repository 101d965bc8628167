/** What to change where metadata is stripped or doubtful, and where a product runs in float. */
import type { Node } from '../../src/graph/graph.js'
import { computes, type Op } from '../../src/graph/op.js'
import { relu } from '../../src/ops/relu.js'
import { sigmoid, tanh } from '../../src/ops/activations.js'
import { isLicence, productLicence, WIDEST_INTEGER } from '../../src/graph/licence.js'
import { quantOf } from '../../src/data/quant.js'
import { claimedCauses, strippedCauses } from './causes.js'
import { doubtAdvice, rootsOf } from './doubts.js'
import { advise, multiplying, reaches, requantizing, returning, returningAsIs } from './mend.js'
import { isDrawn } from './loops.js'
import { layerAt, presetFor, type Site } from './site.js'
import { costOf, type Index } from './reach.js'
import type { Advice, SceneFloat, SceneLoss, SceneNode } from './scene.js'
import { unshifted, birthsOf } from './births.js'
import type { Options } from './written.js'
import { eightBits } from './whatIf.js'

/** Layers that hold nothing but one function: a step that makes the value bare, and the function itself. */
export const singleBoxes = (nodes: readonly SceneNode[]): ReadonlySet<string> => {
  const counts = new Map<string, number>()
  for (const n of nodes)
    for (let box = n.box; box !== ''; box = box.slice(0, Math.max(0, box.lastIndexOf('.')))) {
      // What stands in a box inside it counts as much: then it is no single function.
      counts.set(box, (counts.get(box) ?? 0) + (box === n.box ? 1 : 3))
    }
  return new Set([...counts].flatMap(([box, n]) => (n <= 2 ? [box] : [])))
}

const nodeOf = (site: Site, n: SceneNode): Node => site.graph.nodes[Number(n.id)]
const RETURNS = ['returnQuantTensor', 'true'] as const

/** Functions for which there is a layer that quantizes too; torch's function has the name of the op. */
const ACTIVATIONS: readonly (readonly [op: Op, layer: string])[] = [
  [relu, 'QuantReLU'],
  [sigmoid, 'QuantSigmoid'],
  [tanh, 'QuantTanh'],
]

/** The layer that quantizes what one function gives, and the sign of its grid; null where there is none. */
const twinOf = (site: Site, node: Node, n: SceneNode): { layer: string; options: Options; signed: boolean } | null => {
  const layer = layerAt(site, node.path)
  const [, own] = ACTIVATIONS.find(([op]) => computes(node.op) === op || n.why?.startsWith(`torch.${op.name} `)) ?? []
  const twin = layer?.twin ?? (layer === undefined && own !== undefined ? { layer: own, given: [] } : undefined)
  const x = site.graph.nodes[node.inputs[0]]
  // A quantized ReLU takes the metadata of its operand, and would pass on a doubt about its zero point.
  if (twin === undefined || (own === 'QuantReLU' && quantOf(x.carried)?.zero !== 'zero')) return null
  // Its sign is that of what it is given: where that has none, half of a signed grid would be wasted.
  const unsigned =
    twin.layer === 'QuantTanh' &&
    presetFor(site, x).startsWith('Uint') &&
    twin.given.every(([option]) => option !== 'actQuant')
  return {
    layer: twin.layer,
    options: [...twin.given, ...(unsigned ? [['actQuant', 'Uint8ActPerTensorFloat'] as const] : []), RETURNS],
    signed: own !== 'QuantReLU' && own !== 'QuantSigmoid' && !unsigned,
  }
}

/** A layer that holds one function alone gives way to the one that quantizes its result. */
const activated = (site: Site, node: Node, n: SceneNode, products: readonly Node[]): readonly Advice[] => {
  const twin = twinOf(site, node, n)
  if (twin === null || node.path === '' || !reaches(site, node, eightBits(twin.signed), products)) return []
  const { layer, options } = twin
  return [
    advise(site, `Use ${layer}: it quantizes what the function gives, to 8 bits.`, {
      do: 'replace',
      path: node.path,
      layer,
      options,
    }),
  ]
}

const says = (n: SceneNode, pattern: RegExp): boolean => pattern.test(n.why ?? '')

/** What ends a loss where it happens. */
const whereLost = (site: Site, n: SceneNode, alone: boolean, products: readonly Node[]): readonly Advice[] => {
  const node = nodeOf(site, n)
  if (says(n, /^strict: /)) return rootsOf(site, node, n.why ?? '')
  if (says(n, /returnQuantTensor/)) return returning(site, node, products)
  return alone ? activated(site, node, n, products) : []
}

/** Of a result that is stripped only as it leaves: nothing must change, but it could keep its metadata. */
const atExit = (site: Site, n: SceneNode, alone: boolean, result: Node): readonly Advice[] => {
  const node = nodeOf(site, n)
  if (node === result && says(n, /returnQuantTensor/)) return returningAsIs(site, node)
  const found = alone ? activated(site, node, n, []) : []
  return [...found, ...(node.path === result.path ? requantizing(site, node, result) : [])]
}

/** All losses of a scene with what to change; where nothing has to, there is no advice. */
export const lossesOf = (site: Site, index: Index): readonly SceneLoss[] => {
  const single = singleBoxes(index.scene.nodes)
  const causes = new Map(strippedCauses(index).map((c) => [c.node.id, c]))
  const doubts = new Set(claimedCauses(index).map((n) => n.id))
  /** The result in which what is lost ends. */
  const endOf = (nodes: readonly string[]): Node | undefined => {
    const id = index.scene.values.find((v) => v.role === 'result' && nodes.includes(v.node))?.node
    return id === undefined ? undefined : site.graph.nodes[Number(id)]
  }
  const adviceFor = (n: SceneNode): readonly Advice[] => {
    const cause = causes.get(n.id)
    if (cause === undefined && !doubts.has(n.id)) return []
    const cost = costOf(index, n.id)
    const products = cost.products.map((id) => site.graph.nodes[Number(id)])
    const result = endOf(cost.nodes)
    if (cause === undefined) return doubtAdvice(site, nodeOf(site, n), n, { products, result })
    const alone = single.has(n.box)
    if (products.length > 0) return [...whereLost(site, n, alone, products), ...multiplying(site, products)]
    return result === undefined ? [] : atExit(site, n, alone, result)
  }
  return index.scene.losses.map((l) => {
    const n = index.node.get(l.node)
    return n === undefined ? l : { ...l, advice: adviceFor(n) }
  })
}

/** The factor of a product whose zero point is all that keeps it in float; none where more does, or else. */
const shiftedAlone = (site: Site, product: Node): readonly Node[] => {
  const licensed = productLicence(site.graph, product)
  const obstacles = licensed === null || isLicence(licensed) ? [] : licensed
  const [x] = obstacles.map((o) => site.graph.nodes[o.node])
  const q = x === undefined ? null : quantOf(x.carried)
  return obstacles.length === 1 && q !== null && q.zero !== 'zero' && q.bits <= WIDEST_INTEGER ? [x] : []
}

/** Of a product in the body of a loop, whose graph is its own: no edit is offered, but what mostly mends it is said. */
const IN_BODY: Advice = {
  text: 'It stands in the body of a loop. A state carries metadata from step to step only where the loop starts on its grid, too: give the loop a quantized start (of a recurrent layer hx and cx).',
}

/** Products in float that no loss in front of them explains. */
export const floatsOf = (site: Site, index: Index): readonly SceneFloat[] => {
  const { nodes } = index.scene
  // Where nothing was ever quantized the sentence says so once.
  if (!nodes.some((n) => n.flow && n.scale !== undefined)) return []
  const explained = new Set([
    ...strippedCauses(index).flatMap((c) => c.products),
    ...claimedCauses(index).flatMap((c) => costOf(index, c.id).products),
  ])
  /** Nothing has to change where only a claim that is no doubt stands in the way. */
  const isCalm = (n: SceneNode): boolean =>
    (index.in.get(n.id) ?? []).some((e) => e.flow && index.node.get(e.from)?.calm !== undefined)
  return nodes
    .filter((n) => isDrawn(n) && n.side === undefined && n.integer === false && !explained.has(n.id) && !isCalm(n))
    .map((n) => {
      if (n.step === true) return { node: n.id, why: n.whyFloat ?? '', advice: [IN_BODY] }
      const node = nodeOf(site, n)
      // Where nothing but one zero point is in the way, it can be mended where it begins.
      const births = shiftedAlone(site, node).flatMap((x) => birthsOf(site, x))
      const begun = births.length === 1 ? unshifted(site, births[0]) : []
      const mends = [...begun, ...multiplying(site, [node])]
      return {
        node: n.id,
        why: n.whyFloat ?? '',
        advice:
          mends.length > 0
            ? mends
            : [
                {
                  text: 'No option changes this: of all products only those of QuantLinear and of convolutions that are not transposed run on integers.',
                },
              ],
      }
    })
}
