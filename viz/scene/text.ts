/** What is written in an item: its name, and the line under it. Knows no coordinates. */
import type { Item } from './visible.js'

/** A piece of the second line of an item. */
export type Piece = { readonly text: string; readonly tone: 'good' | 'lost' | 'doubt' | 'soft' | 'plain' }

/** Between two pieces. */
export const BETWEEN = ' · '

const shapeText = (shape: readonly number[]): string => (shape.length === 0 ? 'scalar' : shape.join('×'))

/** How a product multiplies, of a node or of all products in a closed box. */
const unitOf = (i: Item): readonly Piece[] => {
  const integer = i.kind === 'box' ? i.integer : i.node?.integer
  return integer === undefined ? [] : [{ text: integer ? 'int' : 'float', tone: integer ? 'good' : 'lost' }]
}

const KINDS = { integer: 'integers', boolean: 'booleans' } as const

/** What a node gives: its shape, and what is no float, or is picked out of a table. */
const nodeText = ({ dtype, rows, shape }: NonNullable<Item['node']>): string => {
  const kind = dtype === undefined ? '' : KINDS[dtype]
  return [rows === undefined ? kind : `rows of ${rows}`, shapeText(shape)].filter((t) => t !== '').join(BETWEEN)
}

/** What a box says that loses nothing. */
const calmText = (box: Item['box'], leaving: Item['leaving']): string => {
  const { loop, kind } = box ?? {}
  if (loop !== undefined) return kind === 'phase' ? loopText(loop) : `one of ${loop.steps} steps`
  if (kind === 'phase') return 'collect | learned'
  if (kind === 'branch') return 'branch'
  return leaving.length === 1 ? shapeText(leaving[0].shape) : ''
}

const loopText = ({ steps, states, reverse }: NonNullable<NonNullable<Item['box']>['loop']>): string =>
  `${steps} steps${reverse ? ' back' : ''}, ${states} ${states === 1 ? 'state' : 'states'}`

/** Which losses in a closed box no line that leaves it shows; else the shape of what leaves it. */
const boxPieces = ({ box, hidden, leaving }: Item): readonly Piece[] => {
  const shown = (loss: string, carry: string): number =>
    leaving.filter((n) => n.loss === loss && n.carry === carry).length
  const [costly, claimed] = [hidden.costly - shown('costly', 'stripped'), hidden.claimed - shown('free', 'claimed')]
  const free = hidden.stripped - hidden.costly - shown('free', 'stripped')
  const losses: readonly Piece[] = [
    ...(costly > 0 ? [{ text: `${costly} stripped`, tone: 'lost' as const }] : []),
    ...(claimed > 0 ? [{ text: `${claimed} claimed`, tone: 'doubt' as const }] : []),
    ...(free > 0 ? [{ text: `${free} stripped, no cost`, tone: 'soft' as const }] : []),
  ]
  const calm = calmText(box, leaving)
  const heads: readonly Piece[] = box?.heads === undefined ? [] : [{ text: `${box.heads} heads`, tone: 'soft' }]
  if (losses.length > 0) return [...heads, ...losses]
  return calm === '' ? heads : [...heads, { text: calm, tone: 'soft' }]
}

/** What an overlay has to say of an item, and whether its gradient is an estimate. */
export type Notes = { readonly badge?: Piece | undefined; readonly estimated?: boolean | undefined }

const ESTIMATED: Piece = { text: '∂ est.', tone: 'plain' }

/** The second line of an item: how it multiplies; what is laid over it, else its losses or its shape; an estimated gradient. Of an open box only what is laid over it. */
export const piecesOf = (
  i: Item,
  { badge, estimated = i.node?.estimator !== undefined }: Notes = {},
): readonly Piece[] => {
  if (i.kind === 'result') return [{ text: 'result', tone: 'soft' }]
  const over = badge === undefined ? [] : [badge]
  if (i.open) return over
  if (i.node?.op === 'const') return []
  const plain = (): readonly Piece[] =>
    i.kind === 'box' ? boxPieces(i) : [{ text: i.node === undefined ? '' : nodeText(i.node), tone: 'soft' }]
  const own = badge === undefined ? plain() : over
  return [...unitOf(i), ...own, ...(estimated ? [ESTIMATED] : [])]
}

/** Pieces as one text. */
export const lineOf = (pieces: readonly Piece[]): string => pieces.map((p) => p.text).join(BETWEEN)

/** A constant as one reads it; all its digits stand in the panel. */
const constant = (text: string): string => {
  const x = Number(text)
  return text.length > 9 && Number.isFinite(x) ? String(Number(x.toPrecision(4))).replaceAll('-', '−') : text
}

/** The name of an item: of an input the name that its program gives it. */
export const nameOf = (i: Item): string =>
  i.kind === 'node'
    ? (i.values.find((v) => v.role === 'input')?.name ?? (i.node?.op === 'const' ? constant(i.label) : i.label))
    : i.label
