/** What a program starts from: its parameters, state and inputs as nodes of the graph, in the trees that they were declared in. */
import { declarationProblem } from '../data/declaration.js'
import type { Carried } from '../data/quant.js'
import { carries, claimed, exactly, HALF_ULP, intMax, intMin, reach } from '../data/quant.js'
import { showShape, type Shape } from '../data/shape.js'
import { mapTree, type Tree } from '../data/tree.js'
import type { Builder } from './builder.js'
import { isDecl, isLeafDecl, type InputDecl, type LeafDecl, type QuantInput } from './inputDecl.js'
import type { Value } from './op.js'
import type { ProgramInput } from './program.js'

/** A tree of values, and the same tree of their numbers. */
type Entered = { readonly values: Tree<Value>; readonly indices: Tree<number> }

/** All that a program starts from. */
export type Entries = {
  readonly inputs: readonly ProgramInput[]
  readonly params: Entered
  readonly state: Entered
  readonly data: Entered
}

const carriedBy = ({ valid, bits }: QuantInput, quant: Parameters<typeof carries>[0]): Carried => {
  if (!valid) return claimed(quant, 'the input was declared as not valid')
  return bits < 2 ? exactly(quant, 'one bit is valid only if both of its two integers occur') : carries(quant)
}

const declared = (
  b: Builder,
  d: QuantInput,
  parts: { readonly value: Value; readonly scale: Value; readonly zeroPoint: Value },
): Value => {
  const [lo, hi] = [intMin(d.bits, d.signed), intMax(d.bits, d.signed)]
  const grid = {
    scale: parts.scale.id,
    zeroPoint: parts.zeroPoint.id,
    bitWidth: b.constant(d.bits).id,
    bits: d.bits,
    signed: d.signed,
    training: d.training,
    zero: d.zeroPoint,
    lo,
    hi,
    slack: 0,
  }
  // A value is the rounded product of its scale and `int - zeroPoint`.
  const quant = { ...grid, slack: HALF_ULP * reach(grid) }
  return b.declare(parts.value, carriedBy(d, quant))
}

const isIndex = (x: unknown): x is number => typeof x === 'number'

const nameOf = ({ path, part }: Pick<ProgramInput, 'path' | 'part'>): string =>
  part === 'tensor' || part === 'value' ? path : `${path === '' ? 'input' : path}.${part}`

/** Enters everything into an empty graph; what can't be declared so is noted among the graph's errors. */
export const entriesOf = (
  b: Builder,
  spec: { readonly params: unknown; readonly state: unknown; readonly inputs: unknown },
): Entries => {
  const inputs: ProgramInput[] = []
  const values: Value[] = []
  const entered = (indices: Tree<number>): Entered => ({ values: mapTree(isIndex, indices, (i) => values[i]), indices })
  const add = (made: Omit<ProgramInput, 'node'>): Value => {
    const v = b.input(made.kind, nameOf(made), made.shape, undefined, made.dtype)
    const { kind, path, shape, learned, part, ...extra } = made
    inputs.push({ kind, path, node: v.id, shape, learned, part, ...extra })
    return v
  }
  const leaf =
    (kind: 'param' | 'state') =>
    ({ shape, learned, means }: LeafDecl, path: string): number => {
      const index = inputs.length
      values[index] = add({ kind, path, shape, learned, part: 'tensor', ...(means === undefined ? {} : { means }) })
      return index
    }
  const part = (path: string, shape: Shape, name: 'scale' | 'zeroPoint'): Value =>
    add({ kind: 'data', path, shape, learned: false, part: name })
  const quantized = (d: QuantInput, path: string): Value => {
    const { bits, signed, training, zeroPoint: zero, valid, shape } = d
    const problem = declarationProblem(d)
    const bad =
      problem === null
        ? null
        : b.failWith({
            tag: 'InputError',
            input: path,
            path: '',
            message: `the quant input ${path === '' ? '' : `${path} `}of shape ${showShape(shape)} can't be declared so: ${problem}`,
            fix: 'quantInput(shape, { bits, signed, scaleShape, zeroPointShape }): shapes are [] per tensor, [1, channels, 1, 1] per channel',
          })
    const quant = { bits, signed, training, zero, valid }
    const value = add({ kind: 'data', path, shape, learned: false, part: 'value', quant })
    const scale = part(path, d.scaleShape, 'scale')
    return bad ?? declared(b, d, { value, scale, zeroPoint: part(path, d.zeroPointShape, 'zeroPoint') })
  }
  const tensor = ({ shape, dtype }: Exclude<InputDecl, QuantInput>, path: string): Value => {
    const made = { kind: 'data', path, shape, learned: false, part: 'tensor' } as const
    return add(dtype === undefined ? made : { ...made, dtype })
  }
  const data = (d: InputDecl, path: string): number => {
    const index = inputs.length
    values[index] = d.input === 'quant' ? quantized(d, path) : tensor(d, path)
    return index
  }
  const params = entered(mapTree(isLeafDecl, spec.params, leaf('param')))
  const state = entered(mapTree(isLeafDecl, spec.state, leaf('state')))
  return { inputs, params, state, data: entered(mapTree(isDecl, spec.inputs, data)) }
}
