/** Which kernel computes an op on its own. What has none runs on the host, by the op's reference. */
import { sizeOf } from '../../../data/shape.js'
import type { FlatNode } from '../../plan/flatten.js'
import type { Func, ModuleBuilder } from '../asm/module.js'
import type { IntegerLicence, Kernel, KernelSpec } from '../kernel.js'
import { productKernel } from './products/index.js'

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

/** The kernel for a node, or null: then the host runs it. `named` gives functions of one lane of a module. */
export const kernelOf = (node: FlatNode, _nodes: readonly FlatNode[], _named: (m: ModuleBuilder) => (name: string) => Func): OpKernel | null =>
  node.op.guards === true || node.shape.includes(0) || node.args.some((a) => a.shape.includes(0)) ? null : product(node)
