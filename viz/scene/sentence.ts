/** The sentence at the top: whether metadata survives, where it is lost, and what that costs. */
import { calmCauses, claimedCauses, strippedCauses, type Cause } from './causes.js'
import { boxSaid, isDrawn } from './loops.js'
import type { Index } from './reach.js'
import type { Phrase, SceneNode } from './scene.js'

const plural = (n: number, one: string): string => (n === 1 ? one : `${one}s`)
const plain = (text: string): Phrase => ({ text, tone: 'plain' })
const ids = (ns: readonly SceneNode[]): readonly string[] => ns.map((n) => n.id)

/** Where a node stands, as a reader would say. */
const place = (n: SceneNode): string => (n.box === '' ? `${n.label} %${n.id}` : boxSaid(n))

const listed = (nodes: readonly SceneNode[]): string => {
  const names = [...new Set(nodes.map(place))]
  return names.length <= 3 ? names.join(', ') : `${names.slice(0, 2).join(', ')} and ${names.length - 2} more`
}

/** What multiplies, as a reader would say: `convolutions and linear layers`. */
export const productName = (products: readonly SceneNode[]): string => {
  const kinds = [...new Set(products.flatMap((n) => n.product ?? []))].map((one) => plural(products.length, one))
  return kinds.length < 2 ? kinds.join('') : `${kinds.slice(0, -1).join(', ')} and ${kinds[kinds.length - 1]}`
}

/** All products, as the subject of a sentence. */
const allOf = (products: readonly SceneNode[]): string =>
  products.length === 1 ? `The ${productName(products)} runs` : `All ${products.length} ${productName(products)} run`

/** How many of the products run in float, and which. */
const share = (float: readonly SceneNode[], products: readonly SceneNode[]): Phrase => {
  const some = `${float.length} of ${products.length} ${productName(products)} ${float.length === 1 ? 'runs' : 'run'}`
  return {
    text: `${float.length === products.length ? allOf(products) : some} in float: ${listed(float)}`,
    tone: 'stripped',
    targets: ids(float),
  }
}

/** How the products run; `needed`: something has to change. Those that no loss makes float are told apart from those that one does. */
const productPhrases = (flow: readonly SceneNode[], causes: readonly Cause[], needed: boolean): readonly Phrase[] => {
  const products = flow.filter((n) => n.integer !== undefined)
  const float = products.filter((n) => n.integer === false)
  if (products.length === 0) return []
  if (float.length === 0) {
    const text = `${allOf(products)} on integers${needed ? '' : ': nothing needs to change'}`
    return [{ text, tone: 'good', targets: ids(products) }]
  }
  const lost = new Set(causes.flatMap((c) => c.products))
  const [behind, others] = [float.filter((n) => lost.has(n.id)), float.filter((n) => !lost.has(n.id))]
  if (behind.length === 0 || others.length === 0) return [share(float, products)]
  const more = `${others.length} more ${others.length === 1 ? 'runs' : 'run'} in float for other reasons: ${listed(others)}`
  return [share(behind, products), { text: more, tone: 'stripped', targets: ids(others) }]
}

const strippedPhrases = (causes: readonly Cause[]): readonly Phrase[] => {
  const [costly, exits, free] = [
    causes.filter((c) => c.products.length > 0),
    causes.filter((c) => c.atExit),
    causes.filter((c) => c.products.length === 0 && !c.atExit),
  ]
  const say = (cs: readonly Cause[], tone: Phrase['tone'], before: string, after: string): readonly Phrase[] =>
    cs.length === 0
      ? []
      : [{ text: `${before} ${listed(cs.map((c) => c.node))}${after}`, tone, targets: ids(cs.map((c) => c.node)) }]
  return [
    ...say(costly, 'stripped', 'Metadata is stripped at', ''),
    ...say(free, 'plain', 'Stripped at no cost at', ''),
    ...say(exits, 'plain', 'Stripped only at the exit:', ''),
  ]
}

const nodesOf = (index: Index, ids: readonly string[]): readonly SceneNode[] =>
  ids.flatMap((id) => index.node.get(id) ?? [])

const nonfinitePhrases = (index: Index): readonly Phrase[] => {
  const made = nodesOf(index, index.scene.nonfinite)
  return made.length === 0
    ? []
    : [{ text: `NaN or ∞ first made at ${listed(made)}`, tone: 'stripped', targets: ids(made) }]
}

const wastePhrases = (index: Index): readonly Phrase[] => {
  const { wasted } = index.scene
  const [first] = wasted
  if (first === undefined) return []
  const nodes = nodesOf(
    index,
    wasted.map((w) => w.node),
  )
  const used =
    wasted.length === 1
      ? `${listed(nodes)} uses ${first.used.toFixed(1)} of ${first.bits} bits`
      : `${listed(nodes)} waste a bit or more`
  return [{ text: used, tone: 'claimed', targets: ids(nodes) }]
}

/** Claims that are no doubt. */
const calmPhrases = (calm: readonly SceneNode[]): readonly Phrase[] => {
  const say = (kind: SceneNode['calm'], before: string): readonly Phrase[] => {
    const found = calm.filter((n) => n.calm === kind)
    return found.length === 0 ? [] : [{ text: `${before} ${listed(found)}`, tone: 'plain', targets: ids(found) }]
  }
  return joined([
    ...say('exact', 'Exact in integers, beyond float32, from'),
    ...say('training', 'Two scales in training only at'),
  ])
}

const lowered = (p: Phrase): Phrase => ({ ...p, text: p.text.replace(/^(All|The) /, (word) => word.toLowerCase()) })

/** A loss and what follows from it, as one clause. */
const andSo = (losses: readonly Phrase[], follows: readonly Phrase[]): readonly Phrase[] =>
  losses.length === 0 || follows.every((p) => p.tone !== 'stripped')
    ? joined([...losses, ...follows])
    : [...joined(losses), plain(', so '), ...joined(follows.map(lowered))]

const joined = (parts: readonly Phrase[]): readonly Phrase[] =>
  parts.flatMap((p, i) => (i === 0 ? [p] : [plain('. '), p]))

/** The sentence of a program. */
export const sentenceOf = (index: Index): readonly Phrase[] => {
  const flow = index.scene.nodes.filter((n) => n.flow && n.side === undefined)
  const kept = flow.filter((n) => n.carry === 'carries')
  const total = flow.filter((n) => n.carry !== 'float').length
  if (total === 0)
    return [
      ...nonfinitePhrases(index).flatMap((p) => [p, plain('. ')]),
      plain(
        'No value of this program was ever quantized. A QuantIdentity with returnQuantTensor: true at its input would be a start.',
      ),
    ]
  const claims = claimedCauses(index)
  const survives: Phrase =
    kept.length === total
      ? {
          text:
            total === 1
              ? 'Metadata survives: the one quantized value carries it'
              : `Metadata survives everywhere: all ${total} quantized values carry it`,
          tone: 'good',
          targets: ids(kept),
        }
      : {
          text: `${kept.length} of ${total} ${plural(total, 'value')} carry metadata`,
          tone: 'plain',
          targets: ids(kept),
        }
  const causes = strippedCauses(index)
  const lost = strippedPhrases(causes)
  const needed = index.scene.wasted.length + index.scene.nonfinite.length + claims.length > 0
  const calm = calmCauses(index)
  const clauses: readonly (readonly Phrase[])[] = [
    nonfinitePhrases(index),
    andSo(
      lost.filter((p) => p.tone === 'stripped'),
      productPhrases(
        index.scene.nodes.filter((n) => isDrawn(n) && n.side === undefined),
        causes,
        needed,
      ),
    ),
    wastePhrases(index),
    claims.length === 0
      ? []
      : [{ text: `Claimed (maybe off the grid) from ${listed(claims)} on`, tone: 'claimed', targets: ids(claims) }],
    calmPhrases(calm),
    joined(lost.filter((p) => p.tone !== 'stripped')),
    [survives],
  ]
  return [...clauses.filter((c) => c.length > 0).flatMap((c, i) => (i === 0 ? c : [plain('. '), ...c])), plain('.')]
}
