/** Padding (F.pad, nn.ZeroPad2d). Brevitas keeps metadata (SEMANTICS 11). */
import type { Carried } from '../data/quant.js'
import { gridOf } from '../data/quant.js'
import { showShape, sizeOf } from '../data/shape.js'
import type { Kit, Op, Value } from '../graph/op.js'
import { gatherPlanes, lookupOf } from './support/lookup.js'
import { channelAxes, claim, keep, losesGroups, zeroIsOnGrid } from './support/metadata.js'
import { padAxes, type PadAttrs, paddedShape, padding } from './support/padding.js'

const carry = (args: readonly Value[], { pad, mode, value }: PadAttrs, kit: Kit): Carried => {
  const [x] = args
  const q = gridOf(x.carried)
  if (q === null || pad.every((p) => p.every((n) => n === 0))) return keep(args)
  const lost = losesGroups(args, 'padding moves elements from group to group')
  if (lost !== null) return lost
  const axis = channelAxes(q, x.shape.length, kit).find((d) => d < 0 || pad[d].some((n) => n !== 0))
  if (axis !== undefined)
    return claim(
      args,
      q,
      `the scale ${showShape(kit.value(q.scale).shape)} varies along padded axis ${axis} of ${showShape(x.shape)} and no longer fits it`,
    )
  if (mode !== 'constant' || pad.flat().every((n) => n <= 0)) return keep(args)
  if (value !== 0)
    return claim(args, q, `the value ${value} is not on the grid: it is no multiple of a scale of 0.7; pad with 0`)
  return zeroIsOnGrid(q)
    ? keep(args)
    : claim(args, q, 'its zero point may be a fraction or out of range, and then 0 is off the grid')
}

/** x with `[before, after]` elements added to each axis. Gradient: `padGrad`. Source: torch.nn.functional.pad. */
export const pad: Op<PadAttrs> = {
  name: 'pad',
  doc: 'x with elements added before and after each axis (torch.nn.functional.pad, nn.ZeroPad2d).',
  operands: ['x'],
  attributes: padding,
  shape: ([x], attrs) => paddedShape(x, attrs),
  grids: 'all',
  carry,
  vjp: ({ g, args: [x], attrs, kit }) => [kit.emit('padGrad', [g], { ...attrs, inputShape: x.shape })],
  evaluate: ([x], attrs, out) => {
    gatherPlanes(x.data, sizeOf(x.shape), lookupOf(padAxes(x.shape, attrs), x.shape), attrs.value, out.data)
    return null
  },
  examples: [
    {
      args: [{ shape: [2, 3], quant: { bits: 4, signed: true } }],
      attrs: {
        pad: [
          [1, 0],
          [2, 1],
        ],
        mode: 'constant',
        value: 0,
      },
    },
    {
      args: [{ shape: [1, 2, 2], quant: { bits: 4, signed: false, zero: 'integer' } }],
      attrs: {
        pad: [
          [0, 0],
          [0, 0],
          [1, 1],
        ],
        mode: 'constant',
        value: 0.5,
      },
    },
    {
      args: [{ shape: [1, 4] }],
      attrs: {
        pad: [
          [0, 0],
          [-1, 2],
        ],
        mode: 'constant',
        value: -1,
      },
    },
    {
      args: [{ shape: [1, 4], quant: { bits: 4, signed: true } }],
      attrs: {
        pad: [
          [0, 0],
          [3, 2],
        ],
        mode: 'reflect',
        value: 0,
      },
    },
    {
      args: [{ shape: [2, 3] }],
      attrs: {
        pad: [
          [1, 1],
          [0, 4],
        ],
        mode: 'replicate',
        value: 0,
      },
    },
    {
      args: [{ shape: [1, 3, 2] }],
      attrs: {
        pad: [
          [0, 0],
          [3, 1],
          [1, 0],
        ],
        mode: 'circular',
        value: 0,
      },
    },
  ],
  smooth: true,
}

declare module '../graph/op.js' {
  interface Primitives {
    pad: PadAttrs
  }
}
