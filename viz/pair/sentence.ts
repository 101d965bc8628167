/** The sentence over two programs: do they compute the same, where do they part, and what does that cost on each side? */
import { number } from '../draw/words.js'
import type { Phrase, Scene, SceneBox } from '../scene/scene.js'
import { SIDES, type Compared, type PairScene, type Side, type SideId } from './sides.js'
import type { Twins } from './twins.js'
import { modeChanges, modeNote, type ModeChanges } from './modes.js'
import { differenceText } from './words.js'

const plain = (text: string): Phrase => ({ text, tone: 'plain' })

/** What a reader would name: layers that hold no other layer but quantizers, and what computes outside of all layers. */
const leaves = (scene: Scene): readonly string[] => {
  const layers = scene.boxes.filter((b) => b.kind === 'layer' && !b.label.endsWith('Quant'))
  const parents = new Set(layers.map((b) => b.parent))
  return [
    ...layers.filter((b) => !parents.has(b.id)).map((b) => b.id),
    ...scene.nodes.filter((n) => n.flow && n.box === '' && n.op !== 'input' && n.op !== 'const').map((n) => n.id),
  ]
}

const titleOf = (scene: Scene): string => `“${scene.title}”`

/** A layer by its path, a node by its op. */
const nameOf = (twins: Twins[Side], id: string): string => twins.nodes.get(id)?.op ?? id

const listed = (names: readonly string[]): string =>
  names.length <= 3 ? names.join(', ') : `${names.slice(0, 2).join(', ')} and ${names.length - 2} more`

const resultPhrase = (compared: readonly Compared[]): readonly Phrase[] => {
  if (compared.length === 0) return []
  const [count, equal] = [compared.reduce((n, c) => n + c.count, 0), compared.reduce((n, c) => n + c.equal, 0)]
  if (equal === count)
    return [
      {
        text: `The same numbers: ${count === 1 ? 'the one result is' : `all ${count} results are`} equal, bit by bit`,
        tone: 'good',
      },
    ]
  return [
    plain(
      `${count - equal} of ${count} results differ, by at most ${number(Math.max(...compared.map((c) => c.largest)))}`,
    ),
  ]
}

/** How much of its grid a result uses, where that is not the same on both sides. */
const bitsPhrases = ({ scenes: [a, b] }: PairScene): readonly Phrase[] =>
  a.values
    .filter((v) => v.role === 'result')
    .flatMap((v): readonly Phrase[] => {
      const [x, y] = [a.numbers, b.numbers].map((n) => (Object.hasOwn(n, v.name) ? n[v.name].usedBits : undefined))
      if (x === undefined || y === undefined || Math.abs(x - y) < 0.5) return []
      const other = b.values.find((w) => w.role === 'result' && w.name === v.name)?.node
      const targets: readonly SideId[] = [`0:${v.node}`, ...(other === undefined ? [] : [`1:${other}` as const])]
      return [
        {
          text: `The result ${v.name} uses ${x.toFixed(1)} bits of its grid in ${titleOf(a)}, ${y.toFixed(1)} in ${titleOf(b)}`,
          tone: 'claimed',
          targets,
        },
      ]
    })

const differs = (pair: PairScene, twins: Twins, modes: ModeChanges | null): readonly Phrase[] =>
  leaves(pair.scenes[0]).flatMap((id): readonly Phrase[] => {
    const other = twins[0].partner.get(id)
    if (other === undefined || twins[0].status.get(id) !== 'differs') return []
    const targets: readonly SideId[] = [`0:${id}`, `1:${other}`]
    const text = differenceText(pair, twins, id, other)
    // What the mode changes is said once, for all layers.
    if (modes !== null && modeNote(modes, id, text) !== text) return []
    return [{ text: `${nameOf(twins[0], id)} (${text})`, tone: 'claimed', targets }]
  })

const both = (boxes: readonly SceneBox[]): readonly SideId[] =>
  SIDES.flatMap((side) => boxes.map((b): SideId => `${side}:${b.id}`))

/** `input and 3 more`: layers by their paths, each once. */
const owners = (quantizers: readonly SceneBox[]): string =>
  listed([...new Set(quantizers.map((b) => b.parent || b.id))])

/** What the mode changes, in one clause. */
const modePhrases = (pair: PairScene, modes: ModeChanges | null): readonly Phrase[] => {
  if (pair.scenes[0].mode === pair.scenes[1].mode) return []
  const [train, evaluated] = pair.scenes[0].mode === 'train' ? pair.scenes : [pair.scenes[1], pair.scenes[0]]
  const intro = plain(`${titleOf(train)} is traced for train, ${titleOf(evaluated)} for eval`)
  if (modes === null) return [intro]
  const { quantizers, layers } = modes
  const clauses: readonly Phrase[] = [
    ...(quantizers.length === 0
      ? []
      : [
          {
            text: `${quantizers.length} ${quantizers.length === 1 ? 'quantizer' : 'quantizers'} (${owners(quantizers)}), which in training ${quantizers.length === 1 ? 'collects' : 'collect'} statistics or ${quantizers.length === 1 ? 'learns' : 'learn'}, and in eval ${quantizers.length === 1 ? 'uses' : 'use'} what is stored`,
            tone: 'plain' as const,
            targets: both(quantizers),
          },
        ]),
    ...(layers.length === 0
      ? []
      : [
          {
            text: `${listed(layers.map((b) => (b.layer === undefined ? b.id : `${b.id} (${b.layer})`)))}, which ${layers.length === 1 ? 'computes' : 'compute'} otherwise`,
            tone: 'plain' as const,
            targets: both(layers),
          },
        ]),
  ]
  return clauses.length === 0
    ? [intro]
    : [
        intro,
        plain('. What the mode changes: '),
        ...joined(
          clauses.map((p) => [p]),
          '; and ',
        ),
      ]
}

const only = (pair: PairScene, twins: Twins, side: Side): readonly Phrase[] => {
  const found = leaves(pair.scenes[side]).filter((id) => twins[side].status.get(id) === 'only')
  return found.length === 0
    ? []
    : [
        {
          text: `Only ${titleOf(pair.scenes[side])} has ${listed(found.map((id) => nameOf(twins[side], id)))}`,
          tone: 'claimed',
          targets: found.map((id): SideId => `${side}:${id}`),
        },
      ]
}

const productsOf = (scene: Scene): { readonly float: number; readonly all: number } => {
  const products = scene.nodes.filter((n) => n.flow && n.integer !== undefined)
  return { float: products.filter((n) => n.integer === false).length, all: products.length }
}

const runs = ({ float, all }: ReturnType<typeof productsOf>): string => {
  if (all === 0) return 'no product'
  if (float === 0) return all === 1 ? 'its product runs on integers' : `all ${all} products run on integers`
  if (float === all) return all === 1 ? 'its product runs in float' : `all ${all} products run in float`
  return `${float} of ${all} products ${float === 1 ? 'runs' : 'run'} in float`
}

/** What the difference costs: said where the sides are not alike. */
const productPhrase = ({ scenes: [a, b] }: PairScene): readonly Phrase[] => {
  const [x, y] = [productsOf(a), productsOf(b)]
  if (x.float === y.float && x.all === y.all) return []
  return [
    {
      text: `In ${titleOf(a)} ${runs(x)}, in ${titleOf(b)} ${runs(y)}`,
      tone: 'stripped',
      targets: [...targetsOf(a, 0), ...targetsOf(b, 1)],
    },
  ]
}

const targetsOf = (scene: Scene, side: Side): readonly SideId[] =>
  scene.nodes.filter((n) => n.flow && n.integer === false).map((n): SideId => `${side}:${n.id}`)

/** Nodes outside of layers that differ: the whole of a program without layers. */
const loose = (pair: PairScene, twins: Twins): number =>
  SIDES.reduce(
    (n: number, side) => n + pair.scenes[side].nodes.filter((x) => twins[side].status.get(x.id) !== 'same').length,
    0,
  )

const joined = (parts: readonly (readonly Phrase[])[], between: string): readonly Phrase[] =>
  parts.filter((p) => p.length > 0).flatMap((p, i) => (i === 0 ? p : [plain(between), ...p]))

const partAt = (places: number, besides: boolean): string =>
  `${besides ? 'So they part at' : 'They part at'} ${places === 1 ? '' : `${places} places: `}`

/** The sentence of two programs; the targets of its phrases say on which side. */
export const pairSentence = (pair: PairScene, twins: Twins): readonly Phrase[] => {
  const results = resultPhrase(pair.compared)
  const modes = modeChanges(pair, twins)
  const found = differs(pair, twins, modes)
  const [changed, alone] = [
    [...found.filter((p) => p.text.includes('≠')), ...found.filter((p) => !p.text.includes('≠'))],
    [only(pair, twins, 0), only(pair, twins, 1)],
  ]
  const count = loose(pair, twins)
  const nothing = changed.length + alone.flat().length === 0 && modes === null
  const unsaid: readonly Phrase[] = nothing ? [plain(`${count} nodes differ`)] : []
  const parts: readonly (readonly Phrase[])[] = [
    results,
    productPhrase(pair),
    ...bitsPhrases(pair)
      .slice(0, 2)
      .map((p) => [p]),
    modePhrases(pair, modes),
    changed.length === 0
      ? []
      : [
          plain(partAt(changed.length, modes !== null)),
          ...joined(
            changed.slice(0, 4).map((p) => [p]),
            ', ',
          ),
          ...(changed.length > 4 ? [plain(` and ${changed.length - 4} more`)] : []),
        ],
    ...alone.map((p): readonly Phrase[] => p),
    count === 0 ? [{ text: 'The programs are the same, node by node', tone: 'good' }] : unsaid,
  ]
  return [...joined(parts, '. '), plain('.')]
}
