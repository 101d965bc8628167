/** Kernels of all products: convolutions, their gradients, linear, matmul. */
import { sizeOf } from '../../../../data/shape.js'
import { i32, memory } from '../../asm/instructions.js'
import type { IntegerLicence, Kernel, KernelSpec } from '../../kernel.js'
import { correlationKernel } from './correlate.js'
import { backwardOf, forwardOf, geometryOf, type Geometry } from './geometry.js'
import { linearKernel, linearWeightGradKernel, matmulKernel } from './matrix.js'
import { weightGradKernel } from './weightGrad.js'

/** Sums of nothing. */
const zeroKernel = (spec: KernelSpec): Kernel => {
  const bytes = sizeOf(spec.shape) * 4
  return {
    name: `${spec.op} of nothing`, scratch: 0, constants: null, flops: 0, bytes,
    stages: bytes === 0 ? [] : [{
      label: 'zero', units: 1, cost: bytes / 20,
      emit: (m, at) => m.func({ params: ['i32', 'i32'], body: () => memory.fill(i32.const(at.outs[0]), i32.const(0), i32.const(bytes)) }),
    }],
  }
}

const convolution = (op: string, g: Geometry): Kernel => {
  if (op === 'convWeightGrad') return weightGradKernel(g)
  return correlationKernel(op, op === 'conv' ? forwardOf(g) : backwardOf(g))
}

/**
 * A kernel for a convolution, one of its gradients, linear, its gradient or matmul; null for other ops. With a licence,
 * conv and linear run on integers: operands 2 and 3 are then the scales of x and of the weight.
 */
export const productKernel = (spec: KernelSpec, licence: IntegerLicence | null): Kernel | null => {
  void licence
  const g = geometryOf(spec)
  const known = g !== null || spec.op === 'linear' || spec.op === 'linearWeightGrad' || spec.op === 'matmul'
  if (!known) return null
  if (sizeOf(spec.shape) === 0 || spec.shapes.some((s) => sizeOf(s) === 0)) return zeroKernel(spec)
  if (g !== null) return convolution(spec.op, g)
  return spec.op === 'linear' ? linearKernel(spec) : spec.op === 'matmul' ? matmulKernel(spec) : linearWeightGradKernel(spec)
}
