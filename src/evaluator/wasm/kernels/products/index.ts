/** Kernels of all products: convolutions, their gradients, linear, matmul. */
import { sizeOf } from '../../../../data/shape.js'
import { i32, memory } from '../../asm/instructions.js'
import type { IntegerLicence, Kernel, KernelSpec } from '../../kernel.js'
import { backwardKernel, directKernel as floatKernel, forwardKernel } from './correlate.js'
import { depthwiseBackward, depthwiseForward, depthwiseIntegers } from './depthwise/kernels.js'
import { suitsDepthwise } from './depthwise/strips.js'
import { backwardOf, forwardOf, geometryOf, type Geometry } from './geometry.js'
import { integerConvKernel } from './integerConv.js'
import { integerLinearKernel } from './integerLinear.js'
import { isFew, linearKernel, linearWeightGradKernel, matmulKernel } from './matrix.js'
import { weightGradKernel } from './weightGrad.js'
import { COPIED_PER_NS, DEPTHWISE } from '../../machine.js'

/** Sums of nothing. */
const zeroKernel = (spec: KernelSpec): Kernel => {
  const bytes = sizeOf(spec.shape) * 4
  return {
    name: `${spec.op} of nothing`,
    scratch: 0,
    constants: null,
    flops: 0,
    bytes,
    stages:
      bytes === 0
        ? []
        : [
            {
              label: 'zero',
              units: 1,
              cost: bytes / COPIED_PER_NS,
              emit: (m, at) =>
                m.func({
                  params: ['i32', 'i32'],
                  body: () => memory.fill(i32.const(at.outs[0]), i32.const(0), i32.const(bytes)),
                }),
            },
          ],
  }
}

const convolution = ({ op, bytes }: KernelSpec, g: Geometry, licence: IntegerLicence | null): Kernel => {
  if (op === 'convWeightGrad') return weightGradKernel(g)
  const isForward = op === 'conv'
  const c = isForward ? forwardOf(g) : backwardOf(g)
  const suits = suitsDepthwise(c, licence === null ? DEPTHWISE.floats : DEPTHWISE.taps)
  if (!isForward) return suits ? depthwiseBackward(op, c) : backwardKernel(op, c)
  if (licence === null) return suits ? depthwiseForward(op, c) : forwardKernel(op, c)
  if (!suits) return integerConvKernel(op, c, licence, bytes ?? null)
  return depthwiseIntegers(c, licence, bytes ?? null, bytes === undefined ? floatKernel(op, c) : null)
}

/** With few rows the time of linear goes into reading the weight: to make integers of it first would double that. */
const fewRows = ({ shapes: [x, w] }: KernelSpec): boolean => isFew({ rows: sizeOf(x.slice(0, -1)), terms: w[1] })

/** Would its kernel run on integers, with a licence? */
export const takesIntegers = (spec: KernelSpec): boolean =>
  sizeOf(spec.shape) > 0 &&
  spec.shapes.every((s) => sizeOf(s) > 0) &&
  (spec.op === 'conv' || (spec.op === 'linear' && !fewRows(spec)))

/**
 * A kernel for a convolution, one of its gradients, linear, its gradient or matmul; null for other ops. With a licence,
 * conv and linear run on integers: operands 2 and 3 are then the scales of x and of the weight.
 */
export const productKernel = (spec: KernelSpec, licence: IntegerLicence | null): Kernel | null => {
  const g = geometryOf(spec)
  const known = g !== null || spec.op === 'linear' || spec.op === 'linearWeightGrad' || spec.op === 'matmul'
  if (!known) return null
  if (sizeOf(spec.shape) === 0 || spec.shapes.some((s) => sizeOf(s) === 0)) return zeroKernel(spec)
  if (g !== null) return convolution(spec, g, licence)
  if (spec.op === 'linear') {
    const float = linearKernel(spec)
    return licence === null || fewRows(spec) ? float : integerLinearKernel(spec, licence, float)
  }
  return spec.op === 'matmul' ? matmulKernel(spec) : linearWeightGradKernel(spec)
}
