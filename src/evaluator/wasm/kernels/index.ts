/** Which kernel computes an op on its own. What has none runs on the host, by the op's reference. */
import { sizeOf } from '../../../data/shape.js'
import { computes, type Op } from '../../../graph/op.js'
import { exactText } from '../../plan/exactText.js'
import type { FlatNode, Ref } from '../../plan/flatten.js'
import { f32, i32 } from '../asm/instructions.js'
import { NO_BYTES, type ByteGrids } from '../../plan/bytes.js'
import type { IntegerLicence, Kernel, KernelSpec } from '../kernel.js'
import { isSigned } from '../elementwise/bytes.js'
import { alongKernel } from './along.js'
import { averagesBytes, byteAverageKernel } from './byteAverages.js'
import { bytePoolKernel } from './bytePools.js'
import { extremeKernel } from './extreme.js'
import { perUnit, shares, wordAt } from './loops.js'
import type { MathOf } from './math.js'
import { byteLookupKernel, lookupKernel, picksOf } from './lookups.js'
import { atPlaces, firstIndex } from './places.js'
import { byteMoveKernel, movedOperands, moveKernel } from './moves.js'
import { mseKernel } from './mse.js'
import { poolKernel } from './pools.js'
import { maxWindows } from './poolWindows.js'
import { productKernel, takesIntegers } from './products/index.js'
import { rowKernel } from './rows.js'
import { scatterToFirstKernel } from './scatter.js'
import { kthKernel } from './selection.js'
import { sumKernel } from './sums.js'
import { softmaxKernel } from './softmax.js'
import { BASELINE, dotOf, type Rungs } from '../rungs.js'
import { MOVED_NS, UNITS } from '../machine.js'

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

/** The operands of which each element of its result is one: of a pool of greatest elements, or of an op that moves, repeats or pads them. */
export const picksBytes = (node: FlatNode): readonly number[] | null => {
  if (node.args.length === 0) return null
  const spec = specOf(node)
  return maxWindows(spec) === null && picksOf(spec) === null ? movedOperands(spec) : [0]
}

/** May its operand be bytes, because it is an average pool whose kernel reads them? */
export const readsAverages = (node: FlatNode): boolean => node.args.length > 0 && averagesBytes(specOf(node))

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

/** The flat nodes that the kernel of a node reads: scales stand behind what is stored in steps of them. */
const operandsOf = (node: FlatNode, bytes: ByteGrids): readonly number[] => {
  const own = node.args.map((a) => a.id)
  if (typeof node.licence === 'object') return [...own, ...node.licence.scales.map((s) => s.id)]
  const read = own.length > 0 && !bytes.has(node.id) ? bytes.get(own[0]) : undefined
  return read === undefined ? own : [...own, read.scale]
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
    return found === null ? null : { kernel: found, args: operandsOf(node, bytes) }
  }
}

/** The kernel from bytes to bytes, or from bytes to averages; null where there is none, undefined where nothing is bytes, or a product reads them. */
const byteKernel = (node: FlatNode, bytes: ByteGrids): OpKernel | null | undefined => {
  const [made, read] = [bytes.get(node.id), bytes.get(node.args[0]?.id ?? -1)]
  if (made === undefined && read === undefined) return undefined
  const spec = specOf(node)
  const kernel =
    made === undefined
      ? byteAverageKernel(spec, read !== undefined && isSigned(read))
      : (bytePoolKernel(spec, isSigned(made)) ?? byteMoveKernel(spec) ?? byteLookupKernel(spec))
  if (kernel !== null) return { kernel, args: operandsOf(node, bytes) }
  return made === undefined ? undefined : null
}

/** The kernel for a node, or null: then the host runs it. `math` gives functions of one lane of a module; `bytes` are values stored so. */
export const kernelOf = (
  node: FlatNode,
  math: MathOf,
  bytes: ByteGrids = NO_BYTES,
  rungs: Rungs = BASELINE,
): OpKernel | null => {
  const stored = byteKernel(node, bytes)
  if (stored !== undefined) return stored
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
