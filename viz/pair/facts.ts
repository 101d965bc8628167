/** Facts of two values that belong together, and which of them are not the same. Pure. */
import { number, scaleName, setFormula, typeName } from '../draw/words.js'
import type { Scene, SceneNode, SceneNumbers } from '../scene/scene.js'
import type { PairScene } from './sides.js'
import type { Twins } from './twins.js'
import { sameScale } from './words.js'

/** A fact on both sides; null where a side has none. */
export type Fact = {
  readonly label: string
  readonly texts: readonly [string | null, string | null]
  readonly differs: boolean
}

const numbersFor = (scene: Scene, n: SceneNode): SceneNumbers | undefined => {
  const name = scene.values.find((v) => v.node === n.id && Object.hasOwn(scene.numbers, v.name))?.name
  return name === undefined ? undefined : scene.numbers[name]
}

const CARRY = { carries: 'carries', claimed: 'only claimed', stripped: 'stripped', float: 'none' } as const

const scaleText = (x: SceneNumbers | undefined): string | null => {
  if (x?.scales === undefined) return null
  return (x.channels ?? 1) > 1
    ? `${x.channels} scales, ${number(Math.min(...x.scales))} … ${number(Math.max(...x.scales))}`
    : number(x.scales[0])
}

type Reader = (n: SceneNode, x: SceneNumbers | undefined) => string | null

const READERS: readonly (readonly [label: string, read: Reader])[] = [
  ['Metadata', (n) => CARRY[n.carry]],
  ['Type', (n) => (n.scale === undefined ? null : typeName(n))],
  ['Scale', (n) => (n.scale === undefined ? null : setFormula(n.formula ?? scaleName(n.scale)))],
  [
    'Zero point',
    (n) => {
      if (n.scale === undefined) return null
      return n.zeroPoint === undefined ? '0' : 'not fixed to 0'
    },
  ],
  [
    'Integers',
    (n) =>
      n.lo === undefined || n.hi === undefined || Math.abs(n.hi) > 1e15 ? null : `${number(n.lo)} … ${number(n.hi)}`,
  ],
  [
    'Product',
    (n) => {
      if (n.integer === undefined) return null
      return n.integer ? 'on integers' : 'in float'
    },
  ],
  ['s in this run', (_, x) => scaleText(x)],
  ['Bits used', (n, x) => (x?.usedBits === undefined ? null : `${x.usedBits.toFixed(1)} of ${n.bits ?? '?'}`)],
  ['Values', (_, x) => (x === undefined ? null : `${number(x.min)} … ${number(x.max)}`)],
  ['Shape', (n) => (n.shape.length === 0 ? 'scalar' : n.shape.join('×'))],
]

/** The facts of two nodes. A scale is the same where both sides compute it alike, whatever its number. */
export const factsOf = (
  pair: PairScene,
  twins: Twins,
  nodes: readonly [SceneNode | undefined, SceneNode | undefined],
): readonly Fact[] => {
  const [a, b] = nodes
  return READERS.flatMap(([label, read]): readonly Fact[] => {
    const text = (n: SceneNode | undefined, scene: Scene): string | null =>
      n === undefined ? null : read(n, numbersFor(scene, n))
    const [x, y] = [text(a, pair.scenes[0]), text(b, pair.scenes[1])]
    if (x === null && y === null) return []
    // Where a side has no metadata at all, that says it; the lines that it lacks would only repeat it.
    const differs =
      a !== undefined &&
      b !== undefined &&
      x !== null &&
      y !== null &&
      (label === 'Scale' ? !sameScale(twins, a, b) : x !== y)
    return [{ label, texts: [x, y], differs }]
  })
}
