/** Which kernel computes an op on its own. What has none runs on the host, by the op's reference. */
import { sizeOf } from '../../../data/shape.js'
import type { FlatNode, Ref } from '../../plan/flatten.js'
import { f32, i32 } from '../asm/instructions.js'
import type { IntegerLicence, Kernel, KernelSpec } from '../kernel.js'
import { extremeKernel } from './extreme.js'
import { affine, perUnit, wordAt } from './loops.js'
import type { MathOf } from './math.js'
import { poolKernel } from './pools.js'
import { productKernel } from './products/index.js'
import { kthKernel } from './selection.js'
import { firstEqual } from './selectionFilter.js'
import { softmaxKernel, unaryKernel } from './unary.js'

/** A kernel and the flat nodes that it reads, in the order of its operands. */
export type OpKernel = { readonly kernel: Kernel; readonly args: readonly number[] }

const specOf = (node: FlatNode): KernelSpec => ({ op: node.op.name, attrs: node.attrs, shapes: node.args.map((a) => a.shape), shape: node.shape })

const licenceOf = (node: FlatNode): IntegerLicence | null => {
  if (typeof node.licence !== 'object') return null
  const { x, w, scales } = node.licence
  return { x: { lo: x[0], hi: x[1] }, w: { lo: w[0], hi: w[1] }, weightScales: sizeOf(scales[1].shape) }
}

const product = (node: FlatNode): OpKernel | null => {
  const licence = licenceOf(node)
  const kernel = productKernel(specOf(node), licence)
  const scales = typeof node.licence === 'object' ? node.licence.scales.map((s) => s.id) : []
  return kernel === null ? null : { kernel, args: [...node.args.map((a) => a.id), ...scales] }
}

/** Finds the place of the chosen element of each row. */
const firstIndex = (spec: KernelSpec): Kernel => {
  const [x, rows] = spec.shapes
  const count = sizeOf(rows)
  const n = sizeOf(x) / count
  return {
    name: 'firstIndex', scratch: 0, constants: null, flops: 0, bytes: 2 * sizeOf(x),
    stages: [{
      label: 'scan', units: count, cost: n / 8,
      emit: (m, at) => {
        const find = firstEqual(m, spec.attrs.abs === true)
        return m.func(perUnit((row) => i32.store(wordAt(i32.const(at.outs[0]), row.get),
          find.call(affine(at.args[0], row.get, 4 * n), i32.const(n), f32.load(wordAt(i32.const(at.args[1]), row.get))))))
      },
    }],
  }
}

/** Kernels that need nothing but the op and its shapes. */
const plainKernel = (spec: KernelSpec, abs: boolean, math: MathOf): Kernel | null => {
  if (spec.op === 'firstIndex') return firstIndex(spec)
  if (spec.op === 'kthValue') return kthKernel(spec, { abs })
  return extremeKernel(spec, { abs }) ?? poolKernel(spec) ?? softmaxKernel(spec, math) ?? unaryKernel(spec, math)
}

/** The kernel for a node, or null: then the host runs it. `math` gives functions of one lane of a module. */
export const kernelOf = (node: FlatNode, math: MathOf): OpKernel | null => {
  if (node.op.guards === true || node.shape.includes(0) || node.args.some((a) => a.shape.includes(0))) return null
  const plain = plainKernel(specOf(node), node.absolute === true, math)
  return plain === null ? product(node) : { kernel: plain, args: node.args.map((a) => a.id) }
}

/** Does a kernel take the magnitudes of this operand on the fly? */
export const absorbsAbs = (node: FlatNode, operand: Ref): boolean =>
  !operand.shape.includes(0) && (node.op.name === 'kthValue' ? kthKernel(specOf(node), { abs: true }) : extremeKernel(specOf(node), { abs: true })) !== null
