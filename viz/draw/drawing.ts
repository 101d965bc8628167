/** What every mark of a drawing is made from: what is visible, where it is, its colours, and what is laid over it. */
import type { Meta } from '../scene/scene.js'
import { plainSetting, type Layout, type Setting } from '../scene/layout.js'
import type { Notes, Piece } from '../scene/text.js'
import { estimate, type Measure } from '../scene/type.js'
import type { Item, Line, Visible } from '../scene/visible.js'
import type { Hues } from './hues.js'
import type { Mark } from './mark.js'
import { colouredAt, noOverlay, type Overlay } from './overlay.js'
import type { Spot } from './place.js'
import { lineLabel } from './words.js'

/** What a run that goes on says: for each scale (by its identity) a text such as `= 0.0190`, and branches that do not run. */
export type Now = { readonly scales: ReadonlyMap<string, string>; readonly idle: ReadonlySet<string> }
/** Before a run, and for drawings that stand still. */
export const NOTHING_YET: Now = { scales: new Map(), idle: new Set() }
/** The text of a scale beside its name. */
export const nowText = (now: Now, scale: string): string =>
  now.scales.has(scale) ? ` ${now.scales.get(scale) ?? ''}` : ''

/** How a drawing is made: its colours, how its text is measured, what is laid over it, and what a run says now. */
export type Look = {
  readonly hues: Hues
  readonly measure: Measure
  readonly over: Overlay
  readonly now: Now
}

/** A look without colours, numbers or a font. */
export const plainLook: Look = { hues: new Map(), measure: estimate, over: noOverlay, now: NOTHING_YET }

/** A drawing in the making. */
export type Drawing = Look & {
  readonly v: Visible
  readonly layout: Layout
  readonly spots: ReadonlyMap<string, Spot>
  /** Lines that carry the sign of a loss or a doubt: of those that begin in one point the first. */
  readonly signed: ReadonlySet<string>
}

/** The attributes by which metadata can be read back. */
export const metaAttrs = (m: Meta): Mark['attrs'] => ({
  'data-carry': m.carry,
  ...(m.bits === undefined ? {} : { 'data-bits': m.bits, 'data-signed': String(m.signed === true) }),
  ...(m.scale === undefined ? {} : { 'data-scale-id': m.scale }),
  ...(m.carry === 'stripped' || m.carry === 'claimed' ? { 'data-why': m.why ?? '' } : {}),
})

/** The label of a line, with the number of its scale where it is known. */
export const labelText = (over: Overlay, l: Line): string => {
  const name = `${lineLabel(l.source)}${l.source.carry === 'stripped' && l.source.loss === 'free' ? ', no cost' : ''}`
  const value = l.source.scale === undefined || name === '' ? undefined : over.scales.get(l.source.scale)
  return value === undefined ? name : `${name} = ${value}`
}

/** A number that changes takes this much room. */
const CHANGING = ' ≈ 0.00000'

/** What is written at a line, row by row; nothing at lines without metadata. */
export const rowsAt = (look: Pick<Look, 'over' | 'now'>, l: Line): readonly string[] => {
  const text = labelText(look.over, l)
  const wasted = look.over.wasted.get(l.source.id)
  const moving = look.now !== NOTHING_YET && l.source.scale !== undefined ? CHANGING : ''
  return text === '' ? [] : [`${text}${moving}`, ...(wasted === undefined ? [] : [wasted])]
}

/** What is laid over an item, in words. */
export const badgeAt = (over: Overlay, i: Item): Piece | undefined => {
  if (over.nonfinite.has(i.id)) return { text: 'NaN or ∞', tone: 'lost' }
  const text = colouredAt(over, i)?.text ?? ''
  return text === '' ? undefined : { text, tone: 'plain' }
}

/** What is noted of an item. */
export const notesAt = (over: Overlay, i: Item): Notes => ({
  badge: badgeAt(over, i),
  estimated: over.estimators.has(i.id),
})

/** How a layout is to be made so that all that a look may say has room. */
export const settingOf = (look: Pick<Look, 'measure' | 'over' | 'now'>): Setting => ({
  ...plainSetting,
  measure: look.measure,
  badge: look.over.longest,
  estimated: (i) => look.over.estimators.has(i.id),
  rows: (l) => rowsAt(look, l),
})
