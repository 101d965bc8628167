/** What ends a doubtful claim: sought where the doubt begins (a bias, two scales, a bound), else at the products that rest on it. */
import { integersFit, quantOf } from '../../src/data/quant.js'
import type { Node } from '../../src/graph/graph.js'
import { computes } from '../../src/graph/op.js'
import { inputOp } from '../../src/graph/structural.js'
import { fieldOption } from '../../src/nn/layers/options.js'
import { convTranspose } from '../../src/ops/convTranspose.js'
import { birthsOf, unshifted } from './births.js'
import { advise, multiplying, requantizing, set } from './mend.js'
import { isCutOff, layerAt, perTensor, presetFor, type Site } from './site.js'
import type { Advice, SceneNode } from './scene.js'
import { merged, split, takes, type Options } from './written.js'

const RETURNS = ['returnQuantTensor', 'true'] as const

const operands = (site: Site, node: Node): readonly Node[] => node.inputs.map((i) => site.graph.nodes[i])
const quantOperand = (site: Site, node: Node, wanted: (x: Node) => boolean): Node | undefined =>
  operands(site, node).find((x) => quantOf(x.carried) !== null && wanted(x))

/** Where a zero point that may be a fraction, or that is not 0, begins: a quantizer, or the first node that has it though no operand does. */
const shiftRoot = (site: Site, from: Node): Node => {
  let at = from
  for (;;) {
    // What a quantizer was given had metadata of its own.
    if (at.op.births === true) return at
    const before = quantOperand(site, at, (x) => quantOf(x.carried)?.zero !== 'zero')
    if (before === undefined) return at
    at = before
  }
}

/** Is the value the parameter `bias` of the layer at this path, as it is or in another shape? */
const isBias = (site: Site, value: Node, path: string): boolean => {
  let at: Node | undefined = value
  while (at !== undefined && at.op !== inputOp && at.inputs.length === 1) at = site.graph.nodes[at.inputs[0]]
  return at?.op === inputOp && at.attrs.kind === 'param' && at.attrs.name === `${path === '' ? '' : `${path}.`}bias`
}

/** A layer without its float bias, or with a quantized one on the scale of its products. */
const withoutBias = (site: Site, sum: Node): readonly Advice[] => {
  const layer = layerAt(site, sum.path)
  const [products] = operands(site, sum)
  const q = products === undefined ? null : quantOf(products.carried)
  if (layer === undefined || q === null) return []
  const [, name] = split(layer.path)
  const perChannel = !perTensor(site, q)
  const correct = perChannel && takes(layer, 'correctMetadata') ? [['correctMetadata', 'true'] as const] : []
  return [
    ...(takes(layer, 'bias')
      ? [
          advise(
            site,
            `The float bias of ${name || layer.layer} moves its zero point by a fraction. Without it 0 stays on the grid; the parameter bias is gone then.`,
            set(layer.path, ['bias', 'false']),
          ),
        ]
      : []),
    // Other layers than those with products add it as any other value, whose scale is told by nobody.
    ...(takes(layer, 'biasQuant') && takes(layer, 'correctMetadata')
      ? [
          advise(
            site,
            `Or quantize the bias, on the scale of the products: it is rounded to that, and cut off at 16 bits of it.`,
            set(layer.path, ['biasQuant', 'Int16Bias'], ...correct),
          ),
        ]
      : []),
  ]
}

/** What ends a zero point that is not 0, where it begins. */
const unshift = (site: Site, node: Node): readonly Advice[] => {
  const root = shiftRoot(site, node)
  if (root.op.births === true) return unshifted(site, root)
  const layer = layerAt(site, root.path)
  const [, added] = operands(site, root)
  if (added !== undefined && quantOf(added.carried) === null && isBias(site, added, root.path))
    return withoutBias(site, root)
  if (layer !== undefined && takes(layer, 'correctMetadata') && (layer.quantizers.biasQuant ?? null) !== null)
    return [
      advise(
        site,
        'Brevitas moves the zero point by a quantized bias per channel, although the bias lies on the scale of the products. Say what is right instead; the numbers stay the same.',
        set(layer.path, ['correctMetadata', 'true']),
      ),
    ]
  return unshifted(site, root)
}

/** Where two scales meet: a layer that quantizes both with one. */
const oneScale = (site: Site, node: Node): readonly Advice[] => {
  const layer = layerAt(site, node.path)
  if (layer !== undefined && takes(layer, 'inputQuant') && layer.quantizers.inputQuant === null)
    return [
      advise(site, 'Quantize all that is joined with one quantizer; it is rounded to 8 bits of one scale then.', {
        do: 'set',
        path: layer.path,
        options: [['inputQuant', 'Int8ActPerTensorFloat']],
      }),
    ]
  if (layer?.layer === 'residual' && layer.given.length === 0)
    return [
      advise(
        site,
        'Join the branches with QuantEltwiseAdd, which quantizes both with one quantizer, and the sum with another. Both are rounded to 8 bits of one scale. Here body is the layer that stands in the block now.',
        { do: 'join', path: layer.path },
      ),
    ]
  return []
}

/** In code of the reader's own, which no edit can change. */
const joinByHand: Advice = {
  text: 'Quantize both with one quantizer, so that they share a scale: join them with a layer, and call it where they meet, layers.join(params.join, state.join, [a, b]); of more than two, or along an axis, with QuantCat.',
  code: 'join: QuantEltwiseAdd({ returnQuantTensor: true })',
}

/** The layer in front whose result has a scale per channel. */
const perTensorInFront = (site: Site, node: Node): readonly Advice[] => {
  let at = quantOperand(site, node, (x) => {
    const q = quantOf(x.carried)
    return q !== null && !perTensor(site, q)
  })
  while (at !== undefined) {
    const layer = layerAt(site, at.path)
    if (layer !== undefined && layer.path !== node.path && takes(layer, 'outputQuant'))
      return [
        advise(
          site,
          `Let ${split(layer.path)[1] || layer.layer} quantize its result, with one scale for all channels.`,
          set(layer.path, ['outputQuant', presetFor(site, at)], RETURNS),
        ),
      ]
    at = quantOperand(site, at, (x) => {
      const q = quantOf(x.carried)
      return q !== null && !perTensor(site, q)
    })
  }
  return []
}

/** Options of a quantizer between bounds for values as they come: unsigned where none is negative. Null where it would waste its bits. */
const between = (site: Site, node: Node, given: Options): Options | null => {
  const value = (name: string): number => Number(given.find(([k]) => k === name)?.[1] ?? 0)
  const x = site.graph.nodes[node.inputs[0]]
  const positive = presetFor(site, x).startsWith('Uint') || isCutOff(site, [node])
  const bound = positive ? value('maxVal') : Math.max(-value('minVal'), value('maxVal'))
  const seen = site.observed[x.id]
  const most = seen === undefined ? bound : Math.max(positive ? 0 : -seen.min, seen.max)
  if (!(bound > 0) || most < 0.55 * bound) return null
  return positive
    ? merged(given, [
        ['actQuant', 'Uint8ActPerTensorFloatMaxInit'],
        ['minVal', '0'],
      ])
    : merged(given, given.some(([k]) => k === 'actQuant') ? [['actQuant', 'Int8ActPerTensorFloatMinMaxInit']] : [])
}

/** A layer that cuts off at bounds: one that quantizes between them. */
const bounded = (site: Site, node: Node): readonly Advice[] => {
  const layer = layerAt(site, node.path)
  if (layer === undefined) return []
  if (layer.twin !== undefined) {
    const options = between(site, node, layer.twin.given)
    return options === null
      ? []
      : [
          advise(
            site,
            `${layer.twin.layer} quantizes between these bounds: its grid ends where they are. The bounds are learned then.`,
            { do: 'replace', path: layer.path, layer: layer.twin.layer, options: merged(options, [RETURNS]) },
          ),
        ]
  }
  if (!takes(layer, 'actQuant') || layer.quantizers.actQuant !== null) return []
  const options = between(site, node, layer.given)
  return options === null
    ? []
    : [
        advise(
          site,
          'Let the layer quantize between its bounds: its grid ends where they are.',
          set(layer.path, ...options.filter(([k, code]) => layer.given.every(([g, c]) => g !== k || c !== code))),
        ),
      ]
}

const undelayed = (site: Site, node: Node): readonly Advice[] => {
  const [path, place] = split(node.path)
  return layerAt(site, path) === undefined
    ? []
    : [advise(site, 'Quantize from the first call on.', set(path, [fieldOption(place, 'quantDelaySteps'), '0']))]
}

const fits = (node: Node): boolean => {
  const q = quantOf(node.carried)
  return q === null || integersFit(q)
}

const says = (why: string, pattern: RegExp): boolean => pattern.test(why)

/** What ends a doubt where it begins, by its reason. */
export const rootsOf = (site: Site, node: Node, why: string): readonly Advice[] => {
  if (says(why, /quantDelaySteps/)) return undelayed(site, node)
  if (says(why, /two scales|two zero points/)) return oneScale(site, node)
  if (says(why, /per-channel|one per input channel|varies along/)) return perTensorInFront(site, node)
  if (says(why, /zero point/)) return unshift(site, node)
  if (says(why, /bounds|6 is off the grid/)) return bounded(site, node)
  const layer = layerAt(site, node.path)
  return layer !== undefined && computes(node.op) === convTranspose && !fits(node) && takes(layer, 'correctMetadata')
    ? [
        advise(
          site,
          'Brevitas counts the products of a transposed convolution by adding over its axes. Count them right; only the bit width changes.',
          set(layer.path, ['correctMetadata', 'true']),
        ),
      ]
    : []
}

/** Do both scales that meet come from one quantizer, which gives each call its own while it collects? In eval they are one. */
export const onlyInTraining = (site: Site, node: Node, why: string): boolean => {
  if (site.mode !== 'train' || !says(why, /two scales|two zero points/)) return false
  const boxes = new Set(
    operands(site, node)
      .flatMap((x) => birthsOf(site, x))
      .map((b) => b.path),
  )
  return boxes.size === 1
}

/** Products whose input rests on the doubt, and whose weight does not. */
const isDoubtful = (x: Node | undefined): boolean => x?.carried.tag === 'claimed' && x.carried.exact !== true

/** All that ends a doubtful claim, or keeps products and results from resting on it. */
export const doubtAdvice = (
  site: Site,
  node: Node,
  told: SceneNode,
  rests: { readonly products: readonly Node[]; readonly result: Node | undefined },
): readonly Advice[] => {
  const roots = rootsOf(site, node, told.why ?? '')
  const inputs = rests.products.filter((p) => isDoubtful(operands(site, p)[0]) && !isDoubtful(operands(site, p)[1]))
  const later = [
    ...(rests.products.length > 0 && inputs.length === rests.products.length && rests.result === undefined
      ? multiplying(site, inputs, true)
      : []),
    ...(rests.result !== undefined && rests.products.length === 0 ? requantizing(site, node, rests.result) : []),
  ]
  const byHand = roots.length === 0 && says(told.why ?? '', /two scales|two zero points/) ? [joinByHand] : []
  return [...roots, ...byHand, ...later]
}
