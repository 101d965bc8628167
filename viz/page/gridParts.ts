/** Part of the panel: the integer grid on which a value lies. */
import { number, scaleName, setFormula, typeName } from '../draw/words.js'
import { headsOf } from '../scene/around.js'
import type { SceneNode, SceneNumbers } from '../scene/scene.js'
import { scalesChart } from './charts.js'
import { el } from './dom.js'
import { numbersFor, type PanelContext } from './parts.js'

/** Netron's form: `−2.435 ≤ 0.0190·q ≤ 2.416`. */
const rangeLine = (n: SceneNode, x: SceneNumbers): string => {
  const [s, z] = [x.scales?.[0] ?? 1, x.zeroPoints?.[0] ?? 0]
  const [lo, hi] = [n.lo ?? x.from, n.hi ?? x.to].map((q) => (q - z) * s)
  return `${number(lo)} ≤ ${number(s)}·${z === 0 ? 'q' : `(q − ${number(z)})`} ≤ ${number(hi)}`
}

/** The scale as a formula, or in words where it has none. */
const scaleLine = (c: PanelContext, scale: string, formula: string): string => {
  const [name, text, op] = [scaleName(scale), setFormula(formula), c.index.node.get(scale)?.op]
  if (text !== name) return `${name} = ${text}`
  if (op === 'get') return `${name}: statistics while collecting, then a learned value`
  return op === 'input' ? `${name}: given to the program` : name
}

/** The numbers of a grid, as a run gives them. */
const gridNumbers = (c: PanelContext, n: SceneNode): readonly Node[] => {
  const x = numbersFor(c, n)
  const unit = x?.channels !== undefined && headsOf(c.index.scene, n.id) === x.channels ? 'head' : 'channel'
  if (x?.scales === undefined)
    return [el('p', { class: 'soft' }, 'Numbers appear when the page is given a run: toHtml(program, { values }).')]
  return (x.channels ?? 1) > 1
    ? [
        el(
          'p',
          { class: 'range' },
          `${x.channels} ${unit}s, s = ${number(Math.min(...x.scales))} … ${number(Math.max(...x.scales))}`,
        ),
        scalesChart(x.scales, unit),
      ]
    : [
        el('p', { class: 'range' }, `s = ${number(x.scales[0])}, z = ${number(x.zeroPoints?.[0] ?? 0)}`),
        el('p', { class: 'range' }, rangeLine(n, x)),
      ]
}

/** The integers that a value surely lies between, where that says anything. */
const sureOf = ({ lo, hi }: SceneNode): string =>
  lo === undefined || hi === undefined || Math.abs(hi) > 1e15 ? '' : `, integers ${number(lo)} … ${number(hi)}`

/** The grid of a node: its type, the formulas of scale and zero point, and their numbers. */
export const gridParts = (c: PanelContext, n: SceneNode): readonly Node[] =>
  n.scale === undefined
    ? []
    : [
        el('p', { class: 'formula' }, `${typeName(n)}${sureOf(n)}`),
        el('p', { class: 'formula' }, scaleLine(c, n.scale, n.formula ?? '')),
        el('p', { class: 'formula' }, `z = ${n.zeroPoint === undefined ? '0' : setFormula(n.zeroPoint)}`),
        ...gridNumbers(c, n),
      ]
