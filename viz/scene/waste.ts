/** Where bits buy nothing: a quantizer of whose integers all its calls together use at most half. */
import type { Node } from '../../src/graph/graph.js'
import { quantOf } from '../../src/data/quant.js'
import { fieldOption } from '../../src/nn/layers/options.js'
import { integerThreshold } from '../../src/quantizers/scaling.js'
import { quantizerOf, sibling, type Standing } from './births.js'
import { advise, set } from './mend.js'
import { quantizes } from './quantizers.js'
import { isCutOff, takersOf, type Site } from './site.js'
import type { Index } from './reach.js'
import type { Advice, Edit, SceneWaste } from './scene.js'
import { split, type Options } from './written.js'

/** A bit counts as wasted from here on: 7.04 of 8 bits are 7.0 to a reader. */
const ENOUGH = 0.95
/** Wider grids are chosen by nobody to be filled. */
const WIDEST = 16

/** Has a quantizer that collects never seen anything? Its threshold is then the 1 with which it starts, and tells nothing. */
const isFresh = (site: Site, s: Standing | null, u: Use): boolean =>
  s?.quantizer.scalingImplType === 'PARAMETER_FROM_STATS' &&
  u.calls.every((c) => {
    const scale = site.observed[c.id]?.scales?.[0] ?? 0
    return Math.abs(scale * integerThreshold(s.quantizer) - 1) < 1e-6
  })

/** One quantizer: all its calls, the lowest and the highest integer of them all, and the largest magnitude that it was given. */
type Use = {
  readonly calls: readonly Node[]
  readonly bits: number
  readonly signed: boolean
  readonly shifted: boolean
  readonly low: number
  readonly high: number
  readonly given: readonly [min: number, max: number]
  /** The ReLUs through which all of its values go at once, which cut off what is negative. */
  readonly relus: readonly Node[]
}

const useOf = (site: Site, calls: readonly Node[]): Use | null => {
  const q = quantOf(calls[0].carried)
  const seen = calls.map((c) => site.observed[c.id])
  const given = calls.map((c) => site.observed[c.inputs[0]])
  const used = seen.flatMap((x) => (x?.used === undefined ? [] : [x.used]))
  if (q === null || used.length < calls.length) return null
  return {
    calls,
    bits: q.bits,
    signed: q.signed,
    shifted: q.zero !== 'zero',
    low: Math.min(...used.map(([low]) => low)),
    high: Math.max(...used.map(([, high]) => high)),
    given: [Math.min(0, ...given.map((x) => x?.min ?? 0)), Math.max(0, ...given.map((x) => x?.max ?? 0))],
    relus: isCutOff(site, calls) ? calls.flatMap((c) => takersOf(site, c.id)) : [],
  }
}

/** Bits that a grid of one sign needs up to an integer. */
const reach = (high: number): number => Math.log2(Math.max(0, high) + 1)

/** Bits that a smaller scale would save: by how much the largest integer stays below the end of the grid. */
const spareReach = (u: Use): number => {
  if (u.shifted) return u.bits - Math.log2(u.high - u.low + 1)
  return u.signed ? u.bits - 1 - reach(Math.max(u.high, -u.low)) : u.bits - reach(u.high)
}

/** Bits that would still be spare if the grid were unsigned, of the same threshold and so of about half the step. */
const spareUnsigned = (site: Site, s: Standing, u: Use): number => {
  const finer = integerThreshold({ ...s.quantizer, signed: false }) / integerThreshold(s.quantizer)
  const highs = u.calls.map((c) => {
    const [scale, max] = [site.observed[c.id]?.scales?.[0] ?? 1, site.observed[c.inputs[0]]?.max ?? 0]
    return Math.min(2 ** u.bits - 1, Math.round((finer * max) / scale))
  })
  return u.bits - reach(Math.max(0, ...highs))
}

const upTo = (x: number): string => String(Number((x * 1.0005).toPrecision(3)))

const field = (s: Standing, name: string, code: string): Options[number] => [fieldOption(s.place, name), code]

/** Options that end a scale too large, with what to say; null where only collecting anew would. */
const smaller = (s: Standing, u: Use): { readonly text: string; readonly options: Options } | null => {
  const { quantizer: q } = s
  // Without a sign what is negative is cut off anyway.
  const most = Math.max(u.signed ? -u.given[0] : 0, u.given[1])
  const spare = spareReach(u)
  if (q.restrictScalingType === 'POWER_OF_TWO' && spare < 1.05)
    return {
      text: 'Its scale is a power of two, nearly twice of what the values need: a float scale would fit them (and is no shift any more).',
      options: [field(s, 'restrictScalingType', "'FP'")],
    }
  if ((q.scalingImplType !== 'PARAMETER' && q.scalingImplType !== 'CONST') || most === 0) return null
  const text = `The values of this run end long before the range that was given: give ${upTo(most)}. What lies beyond is cut off then; the state must be made anew.`
  if (q.scalingConst !== null) return { text, options: [field(s, 'scalingConst', upTo(most))] }
  if (q.scalingInit !== null) return { text, options: [field(s, 'scalingInit', upTo(most))] }
  return q.maxVal === null
    ? null
    : {
        text,
        options: [
          ...(q.minVal === null || q.minVal === 0 ? [] : [field(s, 'minVal', `-${upTo(most)}`)]),
          field(s, 'maxVal', upTo(most)),
        ],
      }
}

/** Options that make a quantizer unsigned: the preset of the other sign where there is one and the quantizer is a preset, else the field alone. */
const unsigned = (s: Standing): Options => {
  const given = s.layer.given.find(([k]) => k === s.place)?.[1]
  const name = sibling(s.quantizer, { signed: false })
  const plain = given === undefined || given === s.quantizer.name
  const kept = !s.layer.given.some(([k]) => k === fieldOption(s.place, 'signed'))
  return name !== undefined && plain && kept ? [[s.place, name]] : [field(s, 'signed', 'false')]
}

const where = (s: Standing): string => {
  const [, name] = split(s.layer.path)
  return `${name === '' ? s.layer.layer : name}'s ${s.place}`
}

const RECOLLECT =
  'Its scale comes from larger values than those of this run. Let it collect anew, on data like these: start from a state in which its counter is 0.'

const NEGATIVE =
  'Its scale comes from magnitudes, and most of the large ones are negative: those it cuts off. Cut them off in front of it (ReLU), so that its statistic does not see them.'

const tooLarge = (u: Use): string => (!u.signed && -u.given[0] > u.given[1] ? NEGATIVE : RECOLLECT)

/** Is half of the grid never used, for want of negative values? A weight may become negative while it is trained. */
const isPositive = (u: Use, s: Standing | null): boolean =>
  u.signed && !u.shifted && u.low >= 0 && s?.quantizer.use !== 'weight' && !u.calls[0].path.endsWith('weightQuant')

/** Does it quantize what was quantized right before? A ReLU in between would cut off half of that one's grid. */
const quantizesAgain = (site: Site, call: Node): boolean => {
  let at = site.graph.nodes[call.inputs[0]]
  while (at !== undefined && at.op.layout === 'view') at = site.graph.nodes[at.inputs[0]]
  return at?.op.births === true
}

/** QuantIdentity in front of a ReLU: the quantized ReLU in its place. */
const fused = (site: Site, s: Standing, u: Use): Edit | null =>
  s.layer.layer === 'QuantIdentity' &&
  !u.calls.some((c) => quantizesAgain(site, c)) &&
  s.layer.given.every(([k]) => k !== 'actQuant' && k !== 'signed') &&
  s.layer.path !== ''
    ? { do: 'replace', path: s.layer.path, layer: 'QuantReLU', options: s.layer.given }
    : null

/** In front of ReLUs: the negative half is cut off right behind it. */
const cutOff = (site: Site, s: Standing, u: Use): readonly Advice[] => {
  const edit = fused(site, s, u)
  const fits = spareUnsigned(site, s, u) < ENOUGH
  return [
    ...(edit === null
      ? []
      : [
          advise(
            site,
            'The sign is quantized and then cut off. Quantize after the ReLU: QuantReLU in this place spends every bit on what is left, and the ReLU behind it has nothing to do any more.',
            edit,
          ),
        ]),
    ...(fits
      ? [
          advise(
            site,
            `The ReLU behind it cuts off all that is negative: make ${where(s)} unsigned, which cuts it off as well and is twice as fine.`,
            set(s.layer.path, ...unsigned(s)),
          ),
        ]
      : []),
  ]
}

/** None of its values is negative, or its scale is too large, or both. */
const adviceFor = (site: Site, s: Standing | null, u: Use): readonly Advice[] => {
  if (s === null)
    return [
      {
        text: isPositive(u, s)
          ? 'Half of its integers are negative, and none of them occurs: an unsigned quantizer would use them.'
          : tooLarge(u),
      },
    ]
  if (u.relus.length > 0 && u.low < 0) return cutOff(site, s, u)
  return tighter(site, s, u)
}

/** A quantizer without a sign that it does not use, and with a scale for what occurs. */
const tighter = (site: Site, s: Standing, u: Use): readonly Advice[] => {
  const positive = isPositive(u, s)
  const short = (positive ? spareUnsigned(site, s, u) : spareReach(u)) >= ENOUGH
  const scale = short ? smaller(s, u) : null
  const sign = positive
    ? [`Half of the integers of ${where(s)} are negative, and none of them occurs in this run: make it unsigned.`]
    : []
  if (short && scale === null) return [{ text: [...sign, tooLarge(u)].join(' ') }]
  const options = [...(positive ? unsigned(s) : []), ...(scale?.options ?? [])]
  return [advise(site, [...sign, ...(scale === null ? [] : [scale.text])].join(' '), set(s.layer.path, ...options))]
}

/** Bits used of those there are, as a reader counts them. */
const usedBits = (u: Use, s: Standing | null): number => {
  if (u.relus.length > 0 && u.low < 0) return Math.min(u.bits - 1, reach(u.high))
  return u.bits - spareReach(u) - (isPositive(u, s) ? 1 : 0)
}

const groups = (nodes: readonly Node[]): readonly (readonly Node[])[] => {
  const found = new Map<string, Node[]>()
  for (const n of nodes) {
    // Without a path there is no telling whose calls they are.
    const key = n.path === '' ? `%${n.id}` : n.path
    found.set(key, [...(found.get(key) ?? []), n])
  }
  return [...found.values()]
}

/** Does a quantizer say anything about its grid: were there values, and are its integers few enough to count? */
const isTold = (u: Use): boolean => u.bits >= 2 && u.bits <= WIDEST && u.given.some((x) => x !== 0)

/** What one quantizer wastes over its calls: nothing, or a bit or more. */
const wasteOf = (site: Site, calls: readonly Node[]): readonly SceneWaste[] => {
  const s = quantizerOf(site, calls[0])
  // The grid of a bias is that of the products to which it is added; nobody chose it.
  if (s?.quantizer.use === 'bias' || calls[0].path.endsWith('biasQuant')) return []
  const u = useOf(site, calls)
  if (u === null || !isTold(u) || isFresh(site, s, u)) return []
  const used = usedBits(u, s)
  if (u.bits - used < ENOUGH) return []
  const advice = adviceFor(site, s, u)
  const [shown] = u.relus.length > 0 && u.low < 0 ? u.relus : calls
  const { path } = calls[0]
  return advice.length === 0
    ? []
    : [{ node: String(shown.id), calls: calls.map((c) => String(c.id)), quantizer: path, bits: u.bits, used, advice }]
}

/** The quantizers that waste a bit or more of their grids, over all their calls. */
export const wastedOf = (site: Site, index: Index): readonly SceneWaste[] => {
  if (Object.keys(site.observed).length === 0) return []
  const births = site.graph.nodes.filter(
    (n) => quantizes(n) === 'integers' && n.backwardOf === undefined && index.node.get(String(n.id))?.flow === true,
  )
  return groups(births).flatMap((calls) => wasteOf(site, calls))
}
