/** Kernels of depthwise convolutions: forward, in float32 and on integers, and the gradient to the input. */
import { sizeOf } from '../../../../../data/shape.js'
import { f32, f32x4, i32, i32x4, v128 } from '../../../asm/instructions.js'
import type { ByteOperand, IntegerLicence, Kernel, Stage } from '../../../kernel.js'
import { indexed, range } from '../code.js'
import { correlationBytes, kernelOf } from '../correlate.js'
import { exactKernel, watchStage } from '../exact.js'
import { onIntegers, withFallback } from '../fallback.js'
import { correlationFlops, type Correlation } from '../geometry.js'
import { bound, channelPairs, newQuantizer, newScales, tapPairs, weightStage } from '../integers.js'
import { argument, newLayout, type Layout } from '../layout.js'
import { isIdentity } from '../planes.js'
import { planesStage } from './planes.js'
import { byteMover, floatMover, quantizedMover } from './rooms.js'
import { floatRows, loadTaps } from './rowSums.js'
import { backwardStrips, forwardStrips, wordStrips, type Strips } from './strips.js'

const floatStage = (s: Strips, layout: Layout): Stage =>
  planesStage(s, layout, 4, (m, scope, at) => {
    const taps = range(sizeOf(s.kernel)).map(() => scope.local('v128'))
    return {
      begin: [],
      mover: floatMover(s),
      rows: floatRows(m, scope, s, taps),
      channel: (k) => loadTaps(taps, indexed(i32.const(argument(1)(at)), k, 4 * taps.length)),
      end: [],
    }
  })

const floatKernel = (name: string, c: Correlation, s: Strips, before: readonly Stage[]): Kernel => {
  const layout = newLayout()
  const stages = [...before, floatStage(s, layout)]
  return kernelOf(`${name} f32 depthwise`, layout, stages, correlationFlops(c), correlationBytes(c))
}

/** The forward convolution in float32. */
export const depthwiseForward = (name: string, c: Correlation): Kernel => floatKernel(name, c, forwardStrips(c), [])

/** The gradient to the input, or the transposed convolution. */
export const depthwiseBackward = (name: string, c: Correlation): Kernel => {
  const s = backwardStrips(c)
  if (isIdentity(c.placement)) return floatKernel(name, c, s, [])
  // Margins are multiplied by the weight, which must be finite for that.
  const kernel = floatKernel(name, c, s, [watchStage(argument(1), c.groups * sizeOf(c.kernel))])
  return withFallback(kernel, 0, exactKernel(name, c))
}

/** The forward convolution of 16-bit integers; where they don't fit, the float kernel takes over, or, of bytes, the guard is raised. */
export const depthwiseIntegers = (
  c: Correlation,
  licence: IntegerLicence,
  bytes: ByteOperand | null,
  float: Kernel | null,
): Kernel => {
  const layout = newLayout()
  const s = wordStrips(c)
  const scales = newScales(layout, licence, c.groups, bytes !== null)
  const words = sizeOf(s.kernel)
  const taps = sizeOf(c.kernel)
  const weight = layout.scratch(c.groups * words * 4)
  const paired = c.dilation[c.dilation.length - 1] === 1
  const columns = c.kernel[c.kernel.length - 1]
  const weights = weightStage(
    scales,
    { most: bound(licence.w), channels: c.groups, numbers: taps, words, target: weight, per: 2 },
    paired ? tapPairs(taps / columns, columns) : channelPairs(1, taps),
  )
  const product = planesStage(s, layout, 2, (_m, scope, at) => {
    const held = range(words).map(() => scope.local('v128'))
    const scale = scope.local('v128')
    const q = bytes === null ? newQuantizer(scope, bound(licence.x), i32.const(scales.flag(at)), scales.declared) : null
    return {
      begin: q?.begin(i32.const(scales.x(at))) ?? [],
      mover: q === null ? byteMover(s, bytes?.signed === true) : quantizedMover(s, q),
      rows: {
        scope,
        strips: s,
        element: 2,
        add: (sum, room, offset, k) => i32x4.add(sum, i32x4.dot_i16x8_s(v128.load(room, offset), held[k].get)),
        end: (sum) => f32x4.mul(f32x4.convert_i32x4_s(sum), scale.get),
      },
      channel: (k) => [
        loadTaps(held, indexed(i32.const(weight(at)), k, 4 * words)),
        scale.set(f32x4.splat(f32.load(indexed(i32.const(scales.products(at)), k, 4)))),
      ],
      end: q?.end ?? [],
    }
  })
  const name = `conv ${bytes === null ? 'i16' : 'bytes i16'} depthwise`
  // Only when planes are multiplied is it known whether all are integers.
  return onIntegers(kernelOf(name, layout, [weights, product], correlationFlops(c), correlationBytes(c)), 1, float)
}
