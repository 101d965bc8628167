/** Where bits buy nothing: values that use at most half of the integers of the grid that a quantizer gave them. */
import { indexOf } from './reach.js'
import type { Advice, Scene, SceneNode, SceneNumbers, SceneWaste } from './scene.js'

/** A bit counts as wasted from here on: 7.04 of 8 bits are 7.0 to a reader. */
const ENOUGH = 0.95
/** Wider grids (of accumulators) are chosen by nobody. */
const WIDEST = 16

const MAKE_UNSIGNED: Advice = {
  text: 'Half of its integers are negative and never occur: use an unsigned quantizer.',
  code: 'actQuant: Uint8ActPerTensorFloat',
}
const FUSE: Advice = {
  text: 'The sign is quantized and then cut off. Quantize after the ReLU, once: QuantReLU spends every bit on what is left.',
  code: 'act: QuantReLU({ returnQuantTensor: true })',
}
const RESCALE: Advice = {
  text: 'Its values end long before its grid does: a smaller scale would spend the bits on them. Collect statistics on data like these, or lower the percentile.',
  code: 'QuantIdentity({ highPercentileQ: 99.9, collectStatsSteps: 300 })',
}

const adviceOf = (n: SceneNode, x: SceneNumbers): readonly Advice[] =>
  n.op === 'relu' ? [FUSE] : n.signed === true && x.min >= 0 ? [MAKE_UNSIGNED] : [RESCALE]

/** The first nodes on their way that waste a bit or more of a quantizer's grid. */
export const wastedOf = (scene: Scene): readonly SceneWaste[] => {
  const index = indexOf(scene)
  const born = new Set(scene.nodes.filter((n) => n.op === 'quantize' && n.scale !== undefined).map((n) => n.scale))
  const wasteful = (id: string): boolean => {
    const [n, x] = [index.node.get(id), scene.observed[id]]
    return (
      n !== undefined &&
      n.flow &&
      n.bits !== undefined &&
      n.bits >= 2 &&
      n.bits <= WIDEST &&
      born.has(n.scale) &&
      x?.usedBits !== undefined &&
      n.bits - x.usedBits >= ENOUGH
    )
  }
  return scene.nodes.flatMap((n) => {
    const x = scene.observed[n.id]
    if (x?.usedBits === undefined || n.bits === undefined || !wasteful(n.id)) return []
    if ((index.in.get(n.id) ?? []).some((e) => e.flow && wasteful(e.from))) return []
    return [{ node: n.id, bits: n.bits, used: x.usedBits, advice: adviceOf(n, x) }]
  })
}
