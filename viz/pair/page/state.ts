/** What the page of two programs shows, as a value, and how each act of a reader changes it. Nothing here touches a document. */
import { around } from '../../scene/around.js'
import { allOpen, openings } from '../../scene/opening.js'
import { indexOf, type Index } from '../../scene/reach.js'
import { visibleOf, type Visible } from '../../scene/visible.js'
import { across, type PairScene, type Side, type SideId } from '../sides.js'
import { twinsOf, type Twins } from '../twins.js'

/** An id on each side; null where there is none. */
export type Ids = readonly [string | null, string | null]
/** Open boxes of each side. */
export type Open = readonly [ReadonlySet<string>, ReadonlySet<string>]

/** What is visible of each side. */
export type Visibles = readonly [Visible, Visible]

/** Two scenes with all that is looked up in them. */
export type PairFacts = {
  readonly pair: PairScene
  readonly twins: Twins
  readonly indices: readonly [Index, Index]
  /** A node, or a box, of a side with all boxes around it. */
  readonly up: readonly [(id: string) => readonly string[], (id: string) => readonly string[]]
}

/** Everything that the page shows. */
export type PairState = {
  readonly facts: PairFacts
  readonly open: Open
  /** What is visible of each side with these boxes open. */
  readonly visible: Visibles
  /** Are nodes shown that only compute scales, zero points and counters? */
  readonly details: boolean
  readonly overlay: string | null
  readonly ids: Ids
  /** The side on which something was selected last. */
  readonly side: Side
  /** What is lit; null: everything. */
  readonly lit: readonly SideId[] | null
  /** Which note between the halves was visited last; -1: none yet. */
  readonly place: number
}

/** What can be done to the page. */
export type PairAction =
  | { readonly do: 'select'; readonly side: Side; readonly id: string | null; readonly focus?: boolean }
  | { readonly do: 'selectBoth'; readonly ids: Ids }
  | { readonly do: 'toggle'; readonly side: Side; readonly box: string }
  | { readonly do: 'openAll'; readonly all: boolean }
  | { readonly do: 'details'; readonly details: boolean }
  | { readonly do: 'overlay'; readonly id: string | null }
  | { readonly do: 'go'; readonly side: Side; readonly id: string }
  | { readonly do: 'light'; readonly targets: readonly SideId[] }
  | { readonly do: 'difference'; readonly step: number }

/** What only the page itself can say: what would be seen at a readable size, and which notes stand between the halves now. */
export type Eyes = {
  readonly fits: (visible: Visibles) => boolean
  readonly notes: () => readonly Ids[]
}

/** A target of a phrase, taken apart. */
export const sideOf = (target: SideId): { readonly side: Side; readonly id: string } => ({
  side: target.startsWith('1:') ? 1 : 0,
  id: target.slice(2),
})

/** Looks up what is asked of two scenes. */
export const pairFactsOf = (pair: PairScene): PairFacts => ({
  pair,
  twins: twinsOf(pair),
  indices: [indexOf(pair.scenes[0]), indexOf(pair.scenes[1])],
  up: [around(pair.scenes[0]), around(pair.scenes[1])],
})

/** Opens on each side what is open on the other. */
const synced = ({ twins }: PairFacts, open: Open): Open => {
  const mapped = (from: Side): readonly string[] => [...open[from]].flatMap((id) => twins[from].partner.get(id) ?? [])
  return [new Set([...open[0], ...mapped(1)]), new Set([...open[1], ...mapped(0)])]
}

const visibleIn = ({ pair: { scenes } }: PairFacts, open: Open, details: boolean): Visibles => [
  visibleOf(scenes[0], open[0], details),
  visibleOf(scenes[1], open[1], details),
]

/** The same with other boxes open, with or without the details. */
const withOpen = (s: PairState, open: Open, details: boolean): PairState =>
  open === s.open && details === s.details ? s : { ...s, open, details, visible: visibleIn(s.facts, open, details) }

/** Of what may be open at first the most that fits; where nothing does, the least. */
const opening = (facts: PairFacts, fits: Eyes['fits']): Open => {
  const levels = [openings(facts.pair.scenes[0]), openings(facts.pair.scenes[1])] as const
  const at = (s: Side, k: number): ReadonlySet<string> => levels[s][Math.min(k, levels[s].length - 1)]
  const both = Array.from({ length: Math.max(levels[0].length, levels[1].length) }, (_, k) =>
    synced(facts, [at(0, k), at(1, k)]),
  )
  return both.find((open) => fits(visibleIn(facts, open, false))) ?? both[both.length - 1]
}

const openOf = (facts: PairFacts, all: boolean, fits: Eyes['fits']): Open =>
  all ? synced(facts, [allOpen(facts.pair.scenes[0]), allOpen(facts.pair.scenes[1])]) : opening(facts, fits)

/** What the page shows at first; `all`: every box open. */
export const firstPair = (facts: PairFacts, all: boolean, fits: Eyes['fits']): PairState => {
  const open = openOf(facts, all, fits)
  return {
    facts,
    open,
    visible: visibleIn(facts, open, all),
    details: all,
    overlay: null,
    ids: [null, null],
    side: 0,
    lit: null,
    place: -1,
  }
}

/** The line on the other side between the partners of this line's ends. */
const twinLine = ({ facts: { twins }, visible }: PairState, side: Side, id: string): string | null => {
  const line = visible[side].lines.find((l) => l.id === id)
  const [from, to] = [twins[side].partner.get(line?.from ?? ''), twins[side].partner.get(line?.to ?? '')]
  const found = visible[across(side)].lines.filter((l) => l.from === from && l.to === to)
  return (found.find((l) => l.slot === line?.slot) ?? found[0])?.id ?? null
}

/** What is drawn on the other side of an item or a line. */
const twinOf = (s: PairState, side: Side, id: string): string | null => {
  if (!s.visible[side].at.has(id)) return twinLine(s, side, id)
  const partner = s.facts.twins[side].partner.get(id)
  return partner !== undefined && s.visible[across(side)].at.has(partner) ? partner : null
}

/** Where something is drawn now: itself, or the innermost closed box around it. */
export const shownAs = ({ facts, visible }: PairState, { side, id }: { readonly side: Side; readonly id: string }) =>
  facts.up[side](id).find((x) => visible[side].at.has(x)) ?? id

const onSide = <A>(side: Side, own: A, other: A): readonly [A, A] => (side === 0 ? [own, other] : [other, own])

const selected = (s: PairState, side: Side, id: string | null): PairState => ({
  ...s,
  side,
  ids: onSide(side, id, id === null ? null : twinOf(s, side, id)),
  lit: null,
})

const selectedBoth = (s: PairState, ids: Ids): PairState => ({ ...s, ids, side: ids[0] === null ? 1 : 0, lit: null })

/** Selects a node or a box, and opens what hides it. */
const gone = (s: PairState, side: Side, id: string): PairState => {
  const { facts, open } = s
  const needed = facts.up[side](id).slice(1)
  const isDetail = facts.indices[side].node.get(id)?.flow === false
  const hidden = !needed.every((box) => open[side].has(box)) || (isDetail && !s.details)
  const own = new Set([...open[side], ...needed])
  const opened = hidden ? synced(facts, onSide(side, own, open[across(side)])) : open
  return selected(withOpen(s, opened, s.details || isDetail), side, id)
}

const flipped = (open: ReadonlySet<string>, id: string | undefined, isOpen: boolean): ReadonlySet<string> => {
  if (id === undefined) return open
  return isOpen ? new Set([...open].filter((b) => b !== id)) : new Set([...open, id])
}

/** Opens or closes a box, and its twin with it. */
const toggled = (s: PairState, side: Side, box: string): PairState => {
  const { facts, open } = s
  const isOpen = open[side].has(box)
  const own = flipped(open[side], box, isOpen)
  const other = flipped(open[across(side)], facts.twins[side].partner.get(box), isOpen)
  const isPhase = facts.pair.scenes[side].boxes.some((b) => b.id === box && b.kind === 'phase')
  return selected(withOpen(s, onSide(side, own, other), s.details || isPhase), side, box)
}

/** The next or previous of the notes between the halves. */
const nextDifference = (s: PairState, step: number, eyes: Eyes): PairState => {
  const notes = eyes.notes()
  if (notes.length === 0) return s
  const place = s.place < 0 && step < 0 ? notes.length - 1 : (s.place + step + notes.length) % notes.length
  return selectedBoth({ ...s, place }, notes[place])
}

const plain = (s: PairState): PairState => ({ ...s, ids: [null, null], lit: null })

/** The page behind an act. */
export const reducePair =
  (eyes: Eyes) =>
  (s: PairState, a: PairAction): PairState => {
    switch (a.do) {
      case 'select':
        return selected(s, a.side, a.id)
      case 'selectBoth':
        return selectedBoth(s, a.ids)
      case 'toggle':
        return toggled(s, a.side, a.box)
      case 'openAll':
        return plain(withOpen(s, openOf(s.facts, a.all, eyes.fits), a.all))
      case 'details':
        return plain(withOpen(s, s.open, a.details))
      case 'overlay':
        return { ...s, overlay: s.overlay === a.id ? null : a.id }
      case 'go':
        return gone(s, a.side, a.id)
      case 'light':
        return { ...s, lit: a.targets }
      case 'difference':
        return nextDifference(s, a.step, eyes)
    }
  }
