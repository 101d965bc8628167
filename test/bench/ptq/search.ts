/** Bits by `searchBits` for a part of the bit operations of 8 bits, beside uniform bits that cost no more. */
import { orThrow, type Tensor } from '../../../src/index.js'
import type { Value } from '../../../src/graph/op.js'
import {
  quantize,
  searchBits,
  type BitPlan,
  type Rule,
  type SensitivityOptions,
  type Trained,
} from '../../../src/quantize/index.js'
import type { Digits } from '../../../examples/digits/data.js'
import { accuracyOf, after, agreement, classesOf, equalised, inputs, rulesFor } from './steps.js'

type Net = Trained<Value, Value>
type Data = { readonly samples: Tensor; readonly test: Digits }

/** Steps behind which bits are compared, each with sensitivities that round as it does. */
const STEPS = {
  calibrate: { rounding: 'nearest', bias: false },
  '+ correct': { rounding: 'nearest' },
  roundWeights: {},
} as const satisfies { readonly [steps: string]: SensitivityOptions }
type Steps = keyof typeof STEPS

const BITS = [2, 3, 4, 5, 6, 7, 8]
const FULL = 8 * 8

/** How good networks are: right answers, and answers other than the float network's, in percent. */
type Worth = { readonly right: number; readonly other: number }

/** One way to choose bits: the rules for a network behind some steps. */
type Way = { readonly name: string; readonly rules: (net: Net, steps: Steps) => readonly Rule[] }

/** Bits of weights and activations that are uniform, and cost no more; those that others are better than in both are left out. */
const uniform = (part: number): readonly Way[] =>
  BITS.flatMap((a) => {
    const w = Math.min(8, Math.floor((part * FULL) / a))
    const isBeaten = a < 8 && Math.floor((part * FULL) / (a + 1)) >= w
    return w < 2 || a < 3 || isBeaten ? [] : [{ name: `all w${w}a${a}`, rules: () => rulesFor([w, a]) }]
  })

const operations = (plan: BitPlan, layers: readonly { readonly multiplications: number }[]): string => {
  const full = layers.reduce((sum, l) => sum + l.multiplications * FULL, 0)
  return `${((100 * plan.cost) / full).toFixed(1)} %`
}

const searchedWay = (
  name: string,
  part: number,
  samples: Tensor,
  activations: Pick<SensitivityOptions, 'activations'>,
): Way => ({
  name,
  rules: (net, steps) => {
    const q = orThrow(quantize(net.net, inputs, net, rulesFor([8, 8])))
    const measuring = { ...STEPS[steps], bits: BITS, ...activations }
    const all = orThrow(searchBits(q, samples, { ...measuring, budget: { bitOperations: 1e15 } }))
    const full = all.sensitivity.layers.reduce((sum, l) => sum + l.multiplications * FULL, 0)
    const budget = { bitOperations: part * full }
    const found = orThrow(searchBits(q, samples, { budget, sensitivity: all.sensitivity }))
    const bits = Object.values(found.bits).join('')
    console.log(
      `  ${name}, ${steps}: weights ${bits}, activations ${Object.values(found.actBits ?? {}).join('') || 'as they are'}, ${operations(found, all.sensitivity.layers)}`,
    )
    return [...rulesFor([8, 8]), ...found.rules]
  },
})

const mean = (xs: readonly number[]): number => xs.reduce((a, b) => a + b, 0) / xs.length

/** The table of one network: means over its seeds. */
export const searched = (name: string, floats: readonly Net[], { samples, test }: Data, part: number): string => {
  const equals = floats.map(equalised)
  const wanted = floats.map((t) => classesOf(t, test))
  const steps = Object.keys(STEPS) as readonly Steps[]
  const worth = (way: Way, behind: Steps): Worth => {
    const each = floats.map((t, i) => classesOf(after(t, equals[i], way.rules(t, behind), behind, samples), test))
    return {
      right: mean(each.map((c) => agreement(c, test.labels.data))),
      other: 100 - mean(each.map((c, i) => agreement(c, wanted[i]))),
    }
  }
  const ways = [
    { name: 'all w8a8', rules: () => rulesFor([8, 8]) },
    ...uniform(part),
    searchedWay('weights by searchBits', part, samples, {}),
    searchedWay('weights and activations by searchBits', part, samples, { activations: BITS.slice(1) }),
  ]
  const rows = ways.map((way) => {
    const cells = steps.map((s) => worth(way, s)).map(({ right, other }) => `${right.toFixed(2)} (${other.toFixed(2)})`)
    return `| ${way.name} | ${cells.join(' | ')} |`
  })
  return [
    `\n${name}, float ${mean(floats.map((t) => accuracyOf(t, test))).toFixed(2)}, ${100 * part} % of the bit operations of 8 bits: right answers (other answers than float) in %`,
    `| bits | ${steps.join(' | ')} |`,
    `|---|${steps.map(() => '---|').join('')}`,
    ...rows,
  ].join('\n')
}
