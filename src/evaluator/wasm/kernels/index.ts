/** Which kernel computes an op on its own. What has none runs on the host, by the op's reference. */
import type { FlatNode } from '../../plan/flatten.js'
import type { Func, ModuleBuilder } from '../asm/module.js'
import type { Kernel } from '../kernel.js'

/** A kernel and the flat nodes that it reads, in the order of its operands. */
export type OpKernel = { readonly kernel: Kernel; readonly args: readonly number[] }

/** The kernel for a node, or null: then the host runs it. `named` gives functions of one lane of a module. */
export const kernelOf = (_node: FlatNode, _nodes: readonly FlatNode[], _named: (m: ModuleBuilder) => (name: string) => Func): OpKernel | null => null
