/** What the cells share: a layer with its numbers, one call of it, and the comparisons that the tutorial makes. */
import * as E from 'fp-ts/lib/Either.js'
import {
  compile,
  orThrow,
  init,
  isQuantTensor,
  quantInput,
  tensorInput,
  trace,
  valueOf,
  type Carried,
  type Generator,
  type InputDecl,
  type Layer,
  type Output,
  type Program,
  type QuantErrors,
  type QuantTensor,
  type Ran,
  type RunArgs,
  type Tensor,
} from '../../src/index.js'
import { digits } from './format.js'

/** A cell's outcome: the lines it prints, and the values that later cells go on with. */
export type Cell<Made> = { readonly printed: readonly string[]; readonly made: Made }

/** A layer with its parameters and state: Python keeps all three in one object. */
export type Live<P, S> = { readonly layer: Layer<P, S>; readonly params: P; readonly state: S }

/** What a call gave, the layer with its next state, and what the trace says about metadata. */
export type Called<P, S> = { readonly out: Output; readonly next: Live<P, S>; readonly says: readonly string[] }

/** Draws a layer's weights from the stream, and gives the stream to go on with. */
export const construct = <P, S>(layer: Layer<P, S>, generator: Generator): readonly [Live<P, S>, Generator] => {
  const first = orThrow(init(layer, generator))
  return [{ layer, params: first.params, state: first.state }, first.generator]
}

/** A layer that draws no weights. */
export const fresh = <P, S>(layer: Layer<P, S>): Live<P, S> => {
  const { params, state } = orThrow(init(layer, 0))
  return { layer, params, state }
}

/** Declares an input that looks like the given value; a quant tensor as one with zero point 0, on its grid. */
export const declared = (x: Output): InputDecl =>
  isQuantTensor(x)
    ? quantInput(x.value.shape, {
        bits: x.bitWidth.data[0],
        signed: x.signed,
        training: x.training,
        scaleShape: x.scale.shape,
        zeroPointShape: x.zeroPoint.shape,
      })
    : tensorInput(x.shape)

/** What a value carries, in words. */
const inWords = (c: Carried): string => {
  const grid =
    'quant' in c
      ? `, ${c.quant.bits} bits ${c.quant.signed ? 'signed' : 'unsigned'}, ${'zero' in c.quant ? `integers ${c.quant.lo} … ${c.quant.hi}, zero point ${c.quant.zero === 'zero' ? '0' : 'maybe not 0'}` : 'minifloats'}`
      : ''
  const why = 'why' in c ? `: ${c.why}` : ''
  return `${c.tag}${grid}${why}`
}

/** What the trace knows before any number is computed: where metadata is lost on the way, and what the result carries. */
const traceSays = ({ graph, outputs }: Program): readonly string[] => {
  const lost = graph.nodes
    .filter((n) => n.carried.tag === 'stripped')
    .map((n) => `# trace: ${n.path === '' ? '' : `in ${n.path}, `}${n.op.name}: ${inWords(n.carried)}`)
  const results = outputs
    .filter((o) => o.kind === 'result')
    .map((o) => `# trace: the result: ${inWords(graph.nodes[o.node].carried)}`)
  return [...lost, ...results]
}

/** Runs a program once on the fastest backend here. */
export const runOnce = <P, S, I, O>(
  program: Program<P, S, I, O>,
  args: RunArgs<NoInfer<P>, NoInfer<S>, NoInfer<I>>,
): E.Either<QuantErrors, Ran<S, O>> => {
  const compiled = compile(program)
  if (E.isLeft(compiled)) return compiled
  const ran = compiled.right.run(args)
  compiled.right.dispose()
  return ran
}

/** Python's `layer(x)`: traces the layer for this input and runs the program once. The given layer stays as it was. */
export const call = <P, S>(live: Live<P, S>, x: Output, mode: 'train' | 'eval' = 'train'): Called<P, S> => {
  const program = orThrow(trace(live.layer, declared(x), { mode }))
  const ran = orThrow(runOnce(program, { params: live.params, state: live.state, inputs: x }))
  return { out: ran.outputs, next: { ...live, state: ran.state }, says: traceSays(program) }
}

/** The result as a quant tensor; throws if it is a plain one. */
export const quant = (x: Output): QuantTensor => {
  if (!isQuantTensor(x)) throw new Error('a quant tensor was expected, but the result is plain')
  return x
}

/** `torch.isclose(a, b).all()`, with torch's tolerances. */
export const allClose = (a: Output, b: Output): boolean => {
  const [x, y] = [valueOf(a).data, valueOf(b).data]
  return x.length === y.length && x.every((v, i) => v === y[i] || Math.abs(v - y[i]) <= 1e-8 + 1e-5 * Math.abs(y[i]))
}

/** `(a == b).all()`. */
export const allEqual = (a: Output, b: Output): boolean => {
  const [x, y] = [valueOf(a).data, valueOf(b).data]
  return x.length === y.length && x.every((v, i) => v === y[i])
}

/** A tensor times a number, in float32. */
export const times = (t: Tensor, factor: number): Tensor => ({ shape: t.shape, data: t.data.map((v) => v * factor) })

// ---------------------------------------------------------------- assertions

/** Throws unless the condition holds. */
export const expectTrue = (cell: number, what: string, holds: boolean): void => {
  if (!holds) throw new Error(`cell ${cell}: ${what} is False, the tutorial prints True`)
}

/** Throws unless each number of the tensor, printed, has the tutorial's digits. */
export const expectDigits = (cell: number, what: string, t: Tensor, expected: string): void => {
  const want = expected.trim().split(/\s+/)
  const got = [...t.data].map(digits)
  if (got.length !== want.length)
    throw new Error(`cell ${cell}: ${what} has ${got.length} numbers, the tutorial prints ${want.length}`)
  const wrong = got.findIndex((d, i) => d !== want[i])
  if (wrong >= 0)
    throw new Error(`cell ${cell}: element ${wrong} of ${what} is ${got[wrong]}, the tutorial prints ${want[wrong]}`)
}

/** Throws unless the text contains all the parts, one after the other. */
export const expectInOrder = (cell: number, what: string, text: string, parts: readonly string[]): void => {
  let from = 0
  for (const part of parts) {
    const found = text.indexOf(part, from)
    if (found < 0)
      throw new Error(
        `cell ${cell}: ${what} lacks ${JSON.stringify(part)}${from === 0 ? '' : ' where the tutorial has it'}; it is\n${text}`,
      )
    from = found + part.length
  }
}
