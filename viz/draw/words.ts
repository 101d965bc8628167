/** What is said of values, nodes and lines, in words and in numbers. */
import type { Carry, Meta, SceneNode } from '../scene/scene.js'
import type { Item, Line } from '../scene/visible.js'

const DIGITS = '₀₁₂₃₄₅₆₇₈₉'

/** Digits as subscripts. */
export const subscript = (text: string): string => text.replace(/\d/g, (d) => DIGITS[Number(d)])

/** A scale by its identity: `s₁₆`; within a branch by its last part. */
export const scaleName = (scale: string): string => `s${subscript(scale.split('.').at(-1) ?? scale)}`

/** A formula with the names of scales, zero points and bit widths set as subscripts. */
export const setFormula = (text: string): string =>
  text.replace(/\b([szb])(\d+)\b/g, (_, letter: string, digits: string) => `${letter}${subscript(digits)}`)

const digits = (x: number): string => {
  const size = Math.abs(x)
  if (Number.isInteger(x) && size < 1e6) return String(x)
  return size >= 1e-4 && size < 1e6 ? x.toPrecision(4) : x.toExponential(3)
}

/** A number with four significant digits and a true minus sign. */
export const number = (x: number): string => {
  if (!Number.isFinite(x)) {
    if (Number.isNaN(x)) return 'NaN'
    return x > 0 ? '∞' : '−∞'
  }
  return digits(x).replaceAll('-', '−')
}

/** `int8`, `uint4`, or the empty string. */
export const typeName = (m: Meta): string =>
  m.kind ?? (m.bits === undefined ? '' : `${m.signed === true ? '' : 'u'}int${m.bits}`)

/** As what a value is drawn: a claim that is no doubt looks like what integers make it, carried metadata. */
export const lookOf = (m: Meta): Carry => (m.calm === undefined ? m.carry : 'carries')

/** The label of a line: `int8 · s₁₆`, `stripped`, or nothing. */
export const lineLabel = (m: Meta): string => {
  if (m.carry === 'stripped') return 'stripped'
  return m.scale === undefined
    ? ''
    : `${lookOf(m) === 'claimed' ? 'claimed ' : ''}${typeName(m)} · ${scaleName(m.scale)}`
}

/** What is known of the metadata of a value, as a sentence. */
export const saysOf = (m: Meta): string => {
  const grid = m.scale === undefined ? '' : `${typeName(m)}, scale ${scaleName(m.scale)}`
  if (m.carry === 'carries') return `carries ${grid}`
  if (m.calm === 'exact') return `carries ${grid}, exact in integers: ${m.why ?? ''}`
  if (m.calm === 'training') return `carries ${grid}, of two scales in training only: ${m.why ?? ''}`
  if (m.carry === 'claimed') return `claims ${grid}, but need not lie on that grid: ${m.why ?? ''}`
  return m.carry === 'stripped' ? `metadata stripped: ${m.why ?? ''}` : 'has no metadata'
}

/** A node's name for people: its layer, its op, its number. */
export const nodeName = (n: SceneNode): string =>
  n.origin !== undefined ? n.origin : `${n.box === '' ? '' : `${n.box} · `}${n.op} %${n.id}`

/** What a screen reader says of an item; `seen` is its text in the drawing. */
export const sayItem = (i: Item, seen: string, more: readonly string[] = []): string => {
  if (i.kind === 'result') return `${seen}, named result`
  if (i.kind === 'box') {
    const inside = [
      i.hidden.stripped > 0 ? `${i.hidden.stripped} stripped inside` : '',
      i.hidden.claimed > 0 ? `${i.hidden.claimed} claimed inside` : '',
    ].filter((t) => t !== '')
    return [`${seen}, ${i.box?.kind ?? 'layer'} ${i.id}`, i.open ? 'open' : 'closed', ...inside, ...more].join(', ')
  }
  return i.node === undefined ? seen : `${seen}, ${nodeName(i.node)}, ${[saysOf(i.node), ...more].join(', ')}`
}

/** What a screen reader says of a line. */
export const sayLine = (l: Line, from: Item | undefined, to: Item | undefined, seen = lineLabel(l.source)): string =>
  `${seen} from ${from?.label ?? l.from} to ${to?.label ?? l.to}: ${saysOf(l.source)}`
