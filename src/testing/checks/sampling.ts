/** Numbers for declared inputs. */
import fc from 'fast-check'
import type { QuantTensor } from '../../data/quantTensor.js'
import { sizeOf } from '../../data/shape.js'
import type { Tensor } from '../../data/tensor.js'
import { mapTree, leaves, type Tree } from '../../data/tree.js'
import type { InputDecl } from '../../graph/trace.js'
import { quantTensorArb } from '../arbitraries.js'
import { numberArb } from '../programs/numbers.js'

/** Is it the declaration of an input? */
export const isDeclared = (x: unknown): x is InputDecl =>
  typeof x === 'object' && x !== null && 'input' in x && 'shape' in x

const tensorFor = (d: InputDecl, numbers: fc.Arbitrary<number>): fc.Arbitrary<Tensor | QuantTensor> => {
  if (d.input === 'quant') {
    const { bits, signed, zeroPoint, scaleShape, training } = d
    return quantTensorArb(d.shape, { bits, signed, zero: zeroPoint, scaleShape }).map((t) => ({ ...t, training }))
  }
  const n = sizeOf(d.shape)
  const number = d.dtype === undefined ? numbers : fc.integer({ min: 0, max: 1 })
  return fc.array(number, { minLength: n, maxLength: n }).map((xs) => ({ shape: d.shape, data: Float32Array.from(xs) }))
}

/** Eighths between -4 and 4: differences of what is computed from them keep enough bits. */
export const gentle: fc.Arbitrary<number> = fc.integer({ min: -32, max: 32 }).map((n) => n / 8)

/** A tensor for each declared input, in the structure of the declarations. Integers are 0 and 1: what they index is not known here. */
export const dataFor = (
  declared: unknown,
  numbers: fc.Arbitrary<number> = numberArb(),
): fc.Arbitrary<Tree<Tensor | QuantTensor>> => {
  const places = leaves(isDeclared, declared)
  return fc.tuple(...places.map(({ leaf }) => tensorFor(leaf, numbers))).map((drawn) => {
    let next = 0
    return mapTree(isDeclared, declared, () => drawn[next++])
  })
}
