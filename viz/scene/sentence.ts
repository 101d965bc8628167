/** The sentence at the top: whether metadata survives, where it is lost, and what that costs. */
import type { Phrase, SceneNode, SceneValue } from './scene.js'

const plural = (n: number, one: string, many = `${one}s`): string => `${n} ${n === 1 ? one : many}`
const place = (n: SceneNode): string => (n.box === '' ? `${n.label} %${n.id}` : n.box)
const plain = (text: string): Phrase => ({ text, tone: 'plain' })

const listed = (nodes: readonly SceneNode[]): string => {
  const names = [...new Set(nodes.map(place))]
  return names.length <= 3 ? names.join(', ') : `${names.slice(0, 2).join(', ')} and ${names.length - 2} more`
}

const productPhrases = (nodes: readonly SceneNode[]): readonly Phrase[] => {
  const products = nodes.filter((n) => n.integer !== undefined)
  const float = products.filter((n) => n.integer === false)
  const ids = (ns: readonly SceneNode[]): readonly string[] => ns.map((n) => n.id)
  if (products.length === 0) return []
  if (float.length === 0) return [{ text: products.length === 1 ? 'the product runs on integers' : `all ${products.length} products run on integers`, tone: 'good', targets: ids(products) }]
  return [
    { text: `${products.length - float.length} of ${plural(products.length, 'product')} run on integers`, tone: 'plain', targets: ids(products) },
    { text: `${listed(float)} ${float.length === 1 ? 'runs' : 'run'} in float`, tone: 'stripped', targets: ids(float) },
  ]
}

const joined = (parts: readonly Phrase[]): readonly Phrase[] => parts.flatMap((p, i) => (i === 0 ? [p] : [plain(' · '), p]))

/** The sentence of a program, from its nodes and named values. */
export const sentenceOf = (nodes: readonly SceneNode[], values: readonly SceneValue[]): readonly Phrase[] => {
  const flow = nodes.filter((n) => n.flow)
  const of = (carry: SceneNode['carry']): readonly SceneNode[] => flow.filter((n) => n.carry === carry)
  const [kept, doubtful, lost] = [of('carries'), of('claimed'), of('stripped')]
  const total = kept.length + doubtful.length + lost.length
  if (total === 0) return [plain('No value of this program was ever quantized'), plain(values.length === 0 ? '' : ': put a QuantIdentity with returnQuantTensor: true in front.')]
  const exits = new Set(values.filter((v) => v.role === 'result').map((v) => v.node))
  const used = new Set(flow.flatMap((n) => n.inputs))
  const atExit = lost.filter((n) => exits.has(n.id) && !used.has(n.id))
  const inside = lost.filter((n) => !atExit.includes(n))
  const ids = (ns: readonly SceneNode[]): readonly string[] => ns.map((n) => n.id)
  return joined([
    { text: lost.length + doubtful.length === 0 ? `Metadata survives everywhere: all ${plural(total, 'quantized value')} carry it` : `Metadata survives on ${kept.length} of ${plural(total, 'value')}`, tone: lost.length + doubtful.length === 0 ? 'good' : 'plain', targets: ids(kept) },
    ...(inside.length === 0 ? [] : [{ text: `stripped at ${listed(inside)}`, tone: 'stripped' as const, targets: ids(inside) }]),
    ...(atExit.length === 0 ? [] : [{ text: `stripped at the exit ${listed(atExit)}`, tone: 'stripped' as const, targets: ids(atExit) }]),
    ...(doubtful.length === 0 ? [] : [{ text: `only claimed at ${listed(doubtful)}`, tone: 'claimed' as const, targets: ids(doubtful) }]),
    ...productPhrases(flow),
  ])
}
