/** Ops that hand their operand on: for the backward pass, for state, and to drop metadata on purpose. */
import { flag, text } from '../graph/attr.js'
import type { AttrsOf, NoAttrs } from '../graph/attributes.js'
import type { Attrs, Op } from '../graph/op.js'
import { noPath, strips, unary, unaryExamples } from './support/elementwise.js'
import { keep } from './support/metadata.js'

const leaf = { leaf: text }
const reason = { why: text }
const mode = { training: flag }

const same = (name: string, doc: string): Op =>
  unary({
    name,
    doc,
    attrs: {},
    f: (x) => x,
    lanes: (_e, [x]) => x,
    layout: 'view',
    dtype: 'same',
    grids: 'all',
    carry: keep,
    vjp: ({ g }) => [g],
  })

/** x itself (nn.Identity, unary plus, `contiguous`). */
export const identity: Op = same('identity', 'x itself (nn.Identity).')

/** x, through which no gradient flows (`detach`). */
export const detach: Op = {
  ...same('detach', 'x, through which no gradient flows, its metadata detached too (torch detach).'),
  carry: (args, _attrs, kit) => {
    const carried = keep(args)
    if (carried.tag !== 'carries' && carried.tag !== 'claimed') return carried
    const cut = (id: number): number => kit.emit('detach', [kit.value(id)]).id
    return {
      ...carried,
      quant: { ...carried.quant, scale: cut(carried.quant.scale), zeroPoint: cut(carried.quant.zeroPoint) },
    }
  },
  layout: 'alias',
  vjp: noPath,
  smooth: false,
}

/**
 * The new value of a learned leaf of state. Gradients with respect to that leaf are taken here and go no further.
 * Attribute: `leaf`, the path of the leaf.
 */
export const assign: Op = {
  ...same('assign', 'The new value of a learned leaf of state; gradients of that leaf are taken here.'),
  attributes: leaf,
  layout: 'alias',
  updates: true,
  vjp: noPath,
  smooth: false,
  examples: unaryExamples<Attrs>({ leaf: 'act.value' }),
}

/** x without its metadata, because `why`. */
export const dequantize: Op = {
  ...same('dequantize', 'x as a plain tensor: the metadata is dropped on purpose.'),
  attributes: reason,
  carry: (_args, attrs) => strips(String(attrs.why))(),
  examples: unaryExamples<Attrs>({ why: 'it was asked for' }),
}

/** x whose quant tensor is marked as made in training, or not: a disabled layer stamps its own mode. */
export const asTraining: Op = {
  ...same('asTraining', 'x, its quant tensor marked as made in training mode or not.'),
  attributes: mode,
  carry: (args, attrs) => {
    const carried = keep(args)
    return carried.tag === 'carries' || carried.tag === 'claimed'
      ? { ...carried, quant: { ...carried.quant, training: attrs.training === true } }
      : carried
  },
  examples: unaryExamples<Attrs>({ training: true }),
}

declare module '../graph/op.js' {
  interface Primitives {
    identity: NoAttrs
    detach: NoAttrs
    assign: AttrsOf<typeof leaf>
    dequantize: AttrsOf<typeof reason>
    asTraining: AttrsOf<typeof mode>
  }
}
