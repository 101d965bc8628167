/** `x · wᵀ`. Brevitas: QuantLinear without its bias (SEMANTICS 12). */
import type { Shape } from '../data/shape.js'
import { showShape } from '../data/shape.js'
import type { NoAttrs } from '../graph/attributes.js'
import type { Op, Refusal } from '../graph/op.js'
import { refuse } from '../graph/op.js'
import { accumulated } from './support/accumulate.js'
import { dotRows } from './support/products.js'

const linearShape = ([x, w]: readonly Shape[]): Shape | Refusal => {
  if (w.length !== 2 || x.length < 1)
    return refuse(
      `linear needs an input [...,I] and a weight [O,I], not ${showShape(x)} and ${showShape(w)}`,
      'flatten the weight to two axes; give the input at least one',
    )
  return x[x.length - 1] === w[1]
    ? [...x.slice(0, -1), w[0]]
    : refuse(
        `input ${showShape(x)} has ${x[x.length - 1]} features, but weight ${showShape(w)} reads ${w[1]}`,
        `use a weight of shape [${w[0]},${x[x.length - 1]}], or flatten the input first`,
      )
}

/**
 * x [...,I] times the transpose of w [O,I], giving [...,O]. Gradient: `matmul` with w, and `linearWeightGrad`.
 * Source: torch.nn.functional.linear.
 */
export const linear: Op = {
  name: 'linear',
  doc: 'x [...,I] times the transpose of w [O,I] (torch.nn.functional.linear).',
  operands: ['x', 'weight'],
  exact: 'sum',
  product: { called: 'linear layer', integers: true },
  attributes: {},
  shape: linearShape,
  grids: 'learned',
  carry: (args, _attrs, kit, shape) => {
    const terms = args[1].shape[1]
    return accumulated(args, kit, {
      shape,
      axis: shape.length - 1,
      weightAxis: 0,
      counted: terms,
      terms,
      repeats: 1,
      together: terms,
    })
  },
  vjp: ({ g, args: [x, w], needs, kit }) => [
    needs[0] ? kit.emit('matmul', [g, w]) : null,
    needs[1] ? kit.emit('linearWeightGrad', [x, g]) : null,
  ],
  evaluate: ([x, w], _attrs, out) => {
    const [outs, ins] = w.shape
    const rows = outs === 0 ? 0 : out.data.length / outs
    const operands = { x: x.data, w: w.data, n: ins, count: outs, out: out.data }
    for (let r = 0; r < rows; r++) dotRows(operands, r * ins, r * outs)
    return null
  },
  examples: [
    { args: [{ shape: [3, 5] }, { shape: [6, 5] }], attrs: {} },
    { args: [{ shape: [4] }, { shape: [3, 4] }], attrs: {} },
    { args: [{ shape: [2, 2, 3] }, { shape: [5, 3] }], attrs: {} },
    {
      args: [
        { shape: [3, 4], quant: { bits: 4, signed: false } },
        { shape: [5, 4], quant: { bits: 4, signed: true } },
      ],
      attrs: {},
    },
    {
      args: [
        { shape: [2, 2, 3], quant: { bits: 4, signed: true } },
        { shape: [2, 3], quant: { bits: 3, signed: true, scaleShape: [2, 1] } },
      ],
      attrs: {},
    },
  ],
  smooth: true,
}

declare module '../graph/op.js' {
  interface Primitives {
    linear: NoAttrs
  }
}
