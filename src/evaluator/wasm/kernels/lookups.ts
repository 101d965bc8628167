/** Planes read, mixed and summed through tables: padding by mirror images, resizing, and their gradients. */
import { sizeOf, type Shape } from '../../../data/shape.js'
import { lookupOf, mixtureOf, type AxisLookup } from '../../../ops/support/lookup.js'
import { padAxes, type PadAttrs, type PadMode } from '../../../ops/support/padding.js'
import { linearAxes, nearestAxes, type LinearAttrs } from '../../../ops/support/resizing.js'
import type { Code } from '../asm/encode.js'
import { f32, f64, i32, memory } from '../asm/instructions.js'
import { forLoop, type Local, type Scope } from '../asm/module.js'
import type { Kernel, KernelSpec, Places } from '../kernel.js'
import { affine, bump, perUnit, rounded, shares } from './loops.js'
import { pickKernel, type Picks } from './picks.js'
import { pack } from './tables.js'
import { MOST_ENTRIES, TABLED_NS, UNITS } from '../machine.js'

/**
 * A linear map of planes: element i of the outer plane is the sum of `weights[j] * inner[members[j]]` for j from
 * `starts[i]` on; without weights, of the members themselves. The gradient is the adjoint.
 */
type LinearMap = {
  readonly inner: number
  readonly starts: Int32Array
  readonly members: Int32Array
  readonly weights: Float64Array | null
}

const ofLookup = (table: Int32Array, inner: number): LinearMap => {
  const starts = new Int32Array(table.length + 1)
  table.forEach((m, i) => {
    starts[i + 1] = starts[i] + (m < 0 ? 0 : 1)
  })
  return { inner, starts, members: table.filter((m) => m >= 0), weights: null }
}

const numbers = (list: unknown): readonly number[] =>
  Array.isArray(list) ? list.filter((n): n is number => typeof n === 'number') : []
const PAD_MODES: readonly PadMode[] = ['constant', 'reflect', 'replicate', 'circular']

const padding = (x: Shape, { attrs }: KernelSpec): LinearMap | null => {
  const mode = PAD_MODES.find((m) => m === attrs.mode)
  const pad = Array.isArray(attrs.pad)
    ? attrs.pad.map((p): readonly [number, number] => {
        const [a, b] = numbers(p)
        return [a, b]
      })
    : []
  if (mode === undefined) return null
  // Axes in front of the first padded one only count planes.
  const first = pad.findIndex(([a, b]) => a !== 0 || b !== 0)
  const skip = first < 0 ? x.length : first
  const own: PadAttrs = { pad: pad.slice(skip), mode, value: 0 }
  const plane = x.slice(skip)
  const axes: readonly AxisLookup[] = padAxes(plane, own)
  return ofLookup(lookupOf(axes, plane), sizeOf(plane))
}

const resizing = (x: Shape, { op, attrs }: KernelSpec): LinearMap => {
  const scales = Array.isArray(attrs.scales) ? attrs.scales.map((s) => (typeof s === 'number' ? s : null)) : []
  const size = numbers(attrs.size)
  const own: LinearAttrs = { size, scales, alignCorners: attrs.alignCorners === true }
  const plane = x.slice(-size.length)
  if (!op.startsWith('upsampleLinear')) {
    const exact = op.endsWith('Grad') ? 'exactGrad' : 'exact'
    const mode = op.includes('Exact') ? exact : 'nearest'
    return ofLookup(lookupOf(nearestAxes(x, own, mode), plane), sizeOf(plane))
  }
  const { taps, members, weights } = mixtureOf(linearAxes(x, own), plane)
  const starts = Int32Array.from({ length: members.length / taps + 1 }, (_, i) => i * taps)
  return { inner: sizeOf(plane), starts, members, weights }
}

const OPS = [
  'pad',
  'padGrad',
  ...['', 'Exact'].flatMap((e) => [`upsampleNearest${e}`, `upsampleNearest${e}Grad`]),
  'upsampleLinear',
  'upsampleLinearGrad',
]

/** The table of an op that pads with zeros or with what is there, or that repeats; null of others, of mixtures and gradients. */
export const picksOf = (spec: KernelSpec): Picks | null => {
  const {
    op,
    attrs,
    shapes: [x],
    shape,
  } = spec
  const pads = op.startsWith('pad')
  const fills = pads && attrs.mode === 'constant' && !Object.is(attrs.value, 0)
  if (!OPS.includes(op) || op.endsWith('Grad') || fills || sizeOf(x) === 0 || sizeOf(shape) === 0) return null
  const map = pads ? padding(x, spec) : resizing(x, spec)
  if (map === null || map.weights !== null || map.starts.length > MOST_ENTRIES) return null
  const { starts, members, inner } = map
  const table = Int32Array.from({ length: starts.length - 1 }, (_, i) =>
    starts[i + 1] > starts[i] ? members[starts[i]] : -1,
  )
  return { planes: sizeOf(x) / inner, inner, table }
}

type Plane = {
  readonly map: LinearMap
  readonly at: Places
  readonly tables: { readonly weights: number; readonly starts: number; readonly members: number }
}

/** What is done at an element of the outer plane: before its entries, for each of them, and after. */
type Visit = {
  readonly before: Code
  readonly entry: (member: Code<'i32'>, weight: Code<'f64'> | null) => Code
  readonly after: Code
}

/** Walks the outer plane at `outer` (4 bytes a turn) and, at each element, its entries. */
const overMap = (scope: Scope, { map, tables }: Plane, outer: Local, { before, entry, after }: Visit): Code => {
  const [i, j, end, starts] = Array.from({ length: 4 }, () => scope.local('i32'))
  const member = i32.load(i32.add(i32.const(tables.members), i32.shl(j.get, i32.const(2))))
  const weight =
    map.weights === null ? null : f64.load(i32.add(i32.const(tables.weights), i32.shl(j.get, i32.const(3))))
  return [
    starts.set(i32.const(tables.starts)),
    end.set(i32.const(0)),
    forLoop(i, i32.const(0), i32.const(map.starts.length - 1), 1, [
      before,
      j.set(i32.load(starts.get)),
      end.set(i32.load(starts.get, 4)),
      forLoop(j, j.get, end.get, 1, entry(member, weight)),
      after,
      bump(starts, 4),
      bump(outer, 4),
    ]),
  ]
}

/** The result from x: what a lookup reads (or the fill), or a mixture. */
const forward = (scope: Scope, plane: Plane, fill: number, x: Local, out: Local): Code => {
  const [sum, copied] = [scope.local('f64'), scope.local('f32')]
  const read = (member: Code<'i32'>): Code<'f32'> => f32.load(i32.add(x.get, member))
  return plane.map.weights === null
    ? overMap(scope, plane, out, {
        before: copied.set(f32.const(fill)),
        entry: (member) => copied.set(read(member)),
        after: f32.store(out.get, copied.get),
      })
    : overMap(scope, plane, out, {
        before: sum.set(f64.const(0)),
        entry: (member, weight) =>
          sum.set(f64.add(sum.get, f64.mul(weight ?? f64.const(1), f64.promote_f32(read(member))))),
        after: f32.store(out.get, f32.demote_f64(sum.get)),
      })
}

/** The adjoint: each cotangent, weighted, added in double to what it was made of. */
const backward = (scope: Scope, plane: Plane, g: Local, sums: Local, out: Local): Code => {
  const [p, end, address] = Array.from({ length: 3 }, () => scope.local('i32'))
  const v = scope.local('f64')
  const add = (member: Code<'i32'>, weight: Code<'f64'> | null): Code => [
    address.set(i32.add(sums.get, i32.shl(member, i32.const(1)))),
    f64.store(address.get, f64.add(f64.load(address.get), weight === null ? v.get : f64.mul(weight, v.get))),
  ]
  const bytes = i32.const(8 * plane.map.inner)
  return [
    memory.fill(sums.get, i32.const(0), bytes),
    overMap(scope, plane, g, { before: v.set(f64.promote_f32(f32.load(g.get))), entry: add, after: [] }),
    end.set(i32.add(sums.get, bytes)),
    forLoop(p, sums.get, end.get, 8, [f32.store(out.get, f32.demote_f64(f64.load(p.get))), bump(out, 4)]),
  ]
}

/** The kernel from bytes to bytes; null where an element of the result is none of x, and no zero either. */
export const byteLookupKernel = (spec: KernelSpec): Kernel | null => {
  const picks = picksOf(spec)
  return picks === null ? null : pickKernel(spec, picks, 1)
}

/** Padding and resizing by table, plane by plane. */
export const lookupKernel = (spec: KernelSpec): Kernel | null => {
  const {
    op,
    attrs,
    shapes: [arg],
    shape,
  } = spec
  if (!OPS.includes(op) || sizeOf(arg) === 0 || sizeOf(shape) === 0) return null
  const grad = op.endsWith('Grad')
  const x = grad ? shape : arg
  const picks = picksOf(spec)
  if (picks !== null && !picks.table.includes(-1)) return pickKernel(spec, picks, 4)
  const map = op.startsWith('pad') ? padding(x, spec) : resizing(x, spec)
  if (map === null || map.members.length > MOST_ENTRIES || map.starts.length > MOST_ENTRIES) return null
  const planes = sizeOf(x) / map.inner
  const outer = map.starts.length - 1
  const work = shares(planes, grad ? UNITS.withScratch : UNITS.most)
  const lane = grad ? rounded(8 * map.inner) : 0
  const tables = pack(
    map.weights ?? new Float64Array(0),
    map.starts,
    map.members.map((m) => 4 * m),
  )
  return {
    name: `${op} by table`,
    scratch: lane * work.count,
    constants: tables.bytes,
    flops: 2 * planes * map.members.length,
    bytes: 4 * (sizeOf(arg) + sizeOf(shape)),
    stages: [
      {
        label: op,
        units: work.count,
        cost: work.each * TABLED_NS * (map.members.length + outer),
        emit: (m, at) =>
          m.func(
            perUnit((unit, scope) => {
              const [piece, large, small, sums] = Array.from({ length: 4 }, () => scope.local('i32'))
              const [weights, starts, members] = tables.at.map((offset) => at.constants + offset)
              const plane: Plane = { map, at, tables: { weights, starts, members } }
              const [largeAt, smallAt] = grad ? [at.args[0], at.outs[0]] : [at.outs[0], at.args[0]]
              return [
                sums.set(affine(at.scratch, unit.get, lane)),
                work.loop(scope, unit.get, piece, [
                  large.set(affine(largeAt, piece.get, 4 * outer)),
                  small.set(affine(smallAt, piece.get, 4 * map.inner)),
                  grad
                    ? backward(scope, plane, large, sums, small)
                    : forward(scope, plane, op === 'pad' ? Number(attrs.value) : 0, small, large),
                ]),
              ]
            }),
          ),
      },
    ],
  }
}
