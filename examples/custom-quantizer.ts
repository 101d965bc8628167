/** A quantizer and a surrogate of one's own. Run it: `npx tsx examples/custom-quantizer.ts`. */
import { fileURLToPath } from 'node:url'
import * as q from '../src/index.js'

/** Rounding: ties away from zero. What it computes, in one op; its gradient, from another. */
export const halfAway: q.Op = q.unary({
  name: 'halfAway',
  doc: 'x to the nearest integer, ties away from zero.',
  attrs: {},
  smooth: false,
  f: (x) => Math.sign(x) * Math.floor(Math.abs(x) + 0.5),
  carry: q.strips('integers lie on no grid with scale 0.7'),
  vjp: { none: 'a staircase has no useful gradient; use its surrogate' },
})
/** The same with the gradient of the identity; prints as `halfAway~identity`. */
export const halfAwaySte = q.surrogate(halfAway, q.ops.identity)

/** Statistic: the mean magnitude and three standard deviations (never quite 0, where the root has no slope). */
const meanAnd3Std = (x: q.Value): q.Value => {
  const size = q.abs(x)
  const d = q.sub(size, q.mean(size))
  return q.add(q.mean(size), q.mul(q.sqrt(q.add(q.mean(q.mul(d, d)), 1e-12)), 3))
}
/** Restriction: up to the next multiple of 1/16, straight-through. */
const sixteenths = (t: q.Value): q.Value => q.div(q.apply(q.ops['ceil~identity'], [q.mul(t, 16)]), 16)

/** All three, on signed 4-bit integers. */
export const quantizer = q.customQuantizer({
  name: 'Int4MeanStd',
  bits: 4,
  signed: true,
  threshold: meanAnd3Std,
  restrict: sixteenths,
  round: halfAwaySte,
})

/** A surrogate: the sign of x with the gradient of hardtanh, 1 between -1 and 1. */
export const hardSign = q.surrogate(q.ops.binarySign, q.ops.hardtanh)
/** Applies it; the attributes are those that hardtanh's gradient reads. */
export const signed = (x: q.Value): q.Value => q.apply(hardSign, [x], { minVal: -1, maxVal: 1 })

/** Traces a function of one value in training, prints it, and runs it and its gradient over x with a cotangent of ones. */
export const show = (
  name: string,
  f: (x: q.Value) => q.Value,
  x: q.Tensor,
  print: (line: string) => void,
): { readonly y: q.Output; readonly dx: q.Tensor } => {
  const program = q.orThrow(q.trace(q.functionLayer(name, f), q.tensorInput(x.shape), { mode: 'train' }))
  print(q.printProgram(program))
  const inputs = { inputs: x, cotangent: q.full(x.shape, 1) }
  const compiled = q.orThrow(q.compile(q.orThrow(q.vjp(program, { inputs: true }))))
  const ran = q.orThrow(compiled.run({ params: {}, state: {}, inputs }))
  compiled.dispose()
  const dx = ran.grads.inputs as q.Tensor
  print(`x     ${[...x.data]}\n${name}(x) ${[...q.valueOf(ran.outputs).data]}\ndx    ${[...dx.data]}\n`)
  return { y: ran.outputs, dx }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const x = q.tensorOf([8], [-4, -1.25, -0.25, 0, 0.125, 0.5, 0.75, 2])
  show('quantizer', quantizer, x, console.log)
  show('signed', signed, x, console.log)
}
