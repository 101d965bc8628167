/** Which kernel computes an op on its own. What has none runs on the host, by the op's reference. */
import { sizeOf } from '../../../data/shape.js'
import { computes, type Op } from '../../../graph/op.js'
import { exactText } from '../../plan/exactText.js'
import type { FlatNode, Ref } from '../../plan/flatten.js'
import type { Code } from '../asm/encode.js'
import { control, f32, i32, memory } from '../asm/instructions.js'
import { forLoop, type ModuleBuilder } from '../asm/module.js'
import { NO_BYTES, type ByteGrids } from '../../plan/bytes.js'
import type { IntegerLicence, Kernel, KernelSpec } from '../kernel.js'
import { isSigned } from '../elementwise/bytes.js'
import { alongKernel } from './along.js'
import { bytePoolKernel } from './bytePools.js'
import { extremeKernel } from './extreme.js'
import { affine, perUnit, shares, wordAt } from './loops.js'
import type { MathOf } from './math.js'
import { lookupKernel } from './lookups.js'
import { moveKernel } from './moves.js'
import { mseKernel } from './mse.js'
import { maxWindows, poolKernel } from './pools.js'
import { productKernel, takesIntegers } from './products/index.js'
import { rowKernel } from './rows.js'
import { scatterToFirstKernel } from './scatter.js'
import { kthKernel } from './selection.js'
import { firstEqual } from './selectionFilter.js'
import { firstEqualOfShort, isShort } from './shortRows.js'
import { sumKernel } from './sums.js'
import { softmaxKernel } from './softmax.js'
import { BASELINE, dotOf, type Rungs } from '../rungs.js'
import { ADDED_TO_PER_NS, MOVED_NS, PICKED_NS, SEEN_PER_NS, UNITS } from '../machine.js'

/** A kernel and the flat nodes that it reads, in the order of its operands. */
export type OpKernel = { readonly kernel: Kernel; readonly args: readonly number[] }

const specOf = (node: FlatNode): KernelSpec => ({
  op: computes(node.op).name,
  attrs: node.attrs,
  shapes: node.args.map((a) => a.shape),
  shape: node.shape,
})

const licenceOf = (node: FlatNode): IntegerLicence | null => {
  if (typeof node.licence !== 'object') return null
  const { x, w, scales, declared } = node.licence
  return { x: { lo: x[0], hi: x[1] }, w: { lo: w[0], hi: w[1] }, weightScales: sizeOf(scales[1].shape), declared }
}

const product = (node: FlatNode, bytes: ByteGrids, rungs: Rungs): OpKernel | null => {
  const licence = licenceOf(node)
  const grid = bytes.get(node.args[0].id)
  const spec = specOf(node)
  const kernel = productKernel(
    grid === undefined || licence === null
      ? spec
      : { ...spec, bytes: { signed: isSigned(grid), dot: dotOf(rungs, grid, licence.w) } },
    licence,
  )
  const scales = typeof node.licence === 'object' ? node.licence.scales.map((s) => s.id) : []
  return kernel === null ? null : { kernel, args: [...node.args.map((a) => a.id), ...scales] }
}

/** Finds a value among the `n` elements at an address. */
const findIn = (m: ModuleBuilder, n: number, abs: boolean) => {
  if (isShort(n)) {
    const short = firstEqualOfShort(m, n, abs)
    return (x: Code<'i32'>, value: Code<'f32'>): Code<'i32'> => short.call(x, value)
  }
  const long = firstEqual(m, abs)
  return (x: Code<'i32'>, value: Code<'f32'>): Code<'i32'> => long.call(x, i32.const(n), value)
}

/** Finds the place of the chosen element of each row. */
const firstIndex = (spec: KernelSpec): Kernel => {
  const [x, rows] = spec.shapes
  const count = sizeOf(rows)
  const n = sizeOf(x) / count
  return {
    name: 'firstIndex',
    scratch: 0,
    constants: null,
    flops: 0,
    bytes: 2 * sizeOf(x),
    stages: [
      {
        label: 'scan',
        units: count,
        cost: n / SEEN_PER_NS,
        emit: (m, at) => {
          const find = findIn(m, n, spec.attrs.abs === true)
          return m.func(
            perUnit((row) =>
              i32.store(
                wordAt(i32.const(at.outs[0]), row.get),
                find(affine(at.args[0], row.get, 4 * n), f32.load(wordAt(i32.const(at.args[1]), row.get))),
              ),
            ),
          )
        },
      },
    ],
  }
}

/** Picks, or adds to, one element of each row. */
const atPlaces = (spec: KernelSpec): Kernel => {
  const adds = spec.op === 'addAt'
  const inner = typeof spec.attrs.inner === 'number' ? spec.attrs.inner : 1
  const count = sizeOf(spec.shapes[adds ? 2 : 1])
  const size = sizeOf(spec.shapes[0])
  const n = size / count
  return {
    name: spec.op,
    scratch: 0,
    constants: null,
    flops: 0,
    bytes: 0,
    inPlace: adds,
    stages: [
      {
        label: spec.op,
        units: 1,
        cost: PICKED_NS * count + (adds ? size / ADDED_TO_PER_NS : 0),
        emit: (m, at) =>
          m.func({
            params: ['i32', 'i32'],
            body: (scope) => {
              const [row, place] = [scope.local('i32'), scope.local('i32')]
              const word = i32.shl(row.get, i32.const(2))
              const start = (along: Code<'i32'>): Code<'i32'> => i32.add(i32.mul(along, i32.const(n)), place.get)
              const index =
                inner === 1
                  ? start(row.get)
                  : i32.add(
                      i32.mul(start(i32.div_u(row.get, i32.const(inner))), i32.const(inner)),
                      i32.rem_u(row.get, i32.const(inner)),
                    )
              const element = i32.shl(index, i32.const(2))
              const found = adds
                ? f32.store(element, f32.add(f32.load(element, at.outs[0]), f32.load(word, at.args[1])), at.outs[0])
                : f32.store(word, f32.load(element, at.args[0]), at.outs[0])
              return [
                adds && at.outs[0] !== at.args[0]
                  ? memory.copy(i32.const(at.outs[0]), i32.const(at.args[0]), i32.const(4 * size))
                  : [],
                forLoop(row, i32.const(0), i32.const(count), 1, [
                  place.set(i32.load(word, at.args[adds ? 2 : 1])),
                  control.if(
                    i32.lt_u(place.get, i32.const(n)),
                    found,
                    adds ? [] : f32.store(word, f32.const(0), at.outs[0]),
                  ),
                ]),
              ]
            },
          }),
      },
    ],
  }
}

/** The whole numbers from 0 on. */
const counting = ({ shape }: KernelSpec): Kernel => {
  const work = shares(sizeOf(shape), UNITS.small)
  return {
    name: 'arange',
    scratch: 0,
    constants: null,
    flops: 0,
    bytes: 4 * sizeOf(shape),
    stages: [
      {
        label: 'count',
        units: work.count,
        cost: work.each * MOVED_NS,
        emit: (m, at) =>
          m.func(
            perUnit((unit, scope) => {
              const i = scope.local('i32')
              const store = f32.store(wordAt(i32.const(at.outs[0]), i.get), f32.convert_i32_s(i.get))
              return work.loop(scope, unit.get, i, store)
            }),
          ),
      },
    ],
  }
}

const BY_SPEC: readonly ((spec: KernelSpec) => Kernel | null)[] = [
  scatterToFirstKernel,
  sumKernel,
  moveKernel,
  lookupKernel,
  poolKernel,
  softmaxKernel,
  rowKernel,
]

const firstOf = (spec: KernelSpec): Kernel | null => {
  for (const make of BY_SPEC) {
    const made = make(spec)
    if (made !== null) return made
  }
  return null
}

/** Kernels that need nothing but the op and its shapes. */
const plainKernel = (spec: KernelSpec, abs: boolean, math: MathOf): Kernel | null => {
  if (spec.op === 'arange') return counting(spec)
  if (spec.shapes.length === 0) return null
  const along = alongKernel(spec)
  if (along !== null) return along
  if (spec.op === 'firstIndex') return firstIndex(spec)
  if (spec.op === 'gatherAt' || spec.op === 'addAt') return atPlaces(spec)
  if (spec.op === 'kthValue') return kthKernel(spec, { abs })
  return extremeKernel(spec, { abs }) ?? mseKernel(spec, math) ?? firstOf(spec)
}

/** May its first operand be bytes, because its kernel reads integers? Of a licensed product. */
export const takesBytes = (node: FlatNode): boolean => takesIntegers(specOf(node))

/** Is it a pool of the greatest element of each window, which may be one of bytes? */
export const picksBytes = (node: FlatNode): boolean => node.args.length > 0 && maxWindows(specOf(node)) !== null

/** Tells kernels apart: nodes of one op with equal keys have the same one. */
const keyOf = (node: FlatNode, bytes: ByteGrids): string => {
  const { licence, args, attrs, shape, absolute } = node
  const l = typeof licence === 'object' ? { ...licence, scales: licence.scales.map((s) => s.shape) } : null
  const grid = (id: number): readonly number[] => {
    const g = bytes.get(id)
    return g === undefined ? [] : [g.lo, g.hi]
  }
  const whole = [
    attrs,
    shape,
    args.map((a) => a.shape),
    l,
    absolute,
    grid(node.id),
    args.slice(0, 1).map((a) => grid(a.id)),
  ]
  return exactText(whole)
}

/** `kernelOf`, that makes equal kernels once: for one plan. */
export const newKernels = (math: MathOf, bytes: ByteGrids, rungs: Rungs): ((node: FlatNode) => OpKernel | null) => {
  const known = new Map<Op, Map<string, Kernel | null>>()
  return (node) => {
    if (node.op.guards === true) return null
    const own = known.get(node.op) ?? new Map<string, Kernel | null>()
    known.set(node.op, own)
    const key = keyOf(node, bytes)
    const found = own.get(key)
    if (found === undefined) {
      const made = kernelOf(node, math, bytes, rungs)
      own.set(key, made?.kernel ?? null)
      return made
    }
    if (found === null) return null
    const scales = typeof node.licence === 'object' ? node.licence.scales.map((s) => s.id) : []
    return { kernel: found, args: [...node.args.map((a) => a.id), ...scales] }
  }
}

/** The kernel for a node, or null: then the host runs it. `math` gives functions of one lane of a module; `bytes` are values stored so. */
export const kernelOf = (
  node: FlatNode,
  math: MathOf,
  bytes: ByteGrids = NO_BYTES,
  rungs: Rungs = BASELINE,
): OpKernel | null => {
  const grid = bytes.get(node.id)
  if (grid !== undefined) {
    const kernel = bytePoolKernel(specOf(node), isSigned(grid))
    return kernel === null ? null : { kernel, args: node.args.map((a) => a.id) }
  }
  if (node.op.guards === true || node.shape.includes(0) || node.args.some((a) => a.shape.includes(0))) return null
  const plain = plainKernel(specOf(node), node.absolute === true, math)
  if (plain === null && node.args.length === 0) return null
  return plain === null ? product(node, bytes, rungs) : { kernel: plain, args: node.args.map((a) => a.id) }
}

/** Does a kernel take the magnitudes of this operand on the fly? */
export const absorbsAbs = (node: FlatNode, operand: Ref): boolean =>
  !operand.shape.includes(0) &&
  (node.op.name === 'kthValue'
    ? kthKernel(specOf(node), { abs: true })
    : extremeKernel(specOf(node), { abs: true })) !== null
