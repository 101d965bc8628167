/** The trained network on integers only: its C, and what it costs in bytes and in accuracy. */
import * as E from 'fp-ts/lib/Either.js'
import {
  compareInteger,
  dequantizeOutputs,
  layersOf,
  quantizeInputs,
  runInteger,
  toC,
  toInteger,
  type CProgram,
  type IntegerProgram,
} from '../../src/integer/index.js'
import {
  explainAll,
  run,
  trace,
  tensorInput,
  valueOf,
  type Layer,
  type Program,
  type QuantErrors,
  type Tensor,
} from '../../src/index.js'
import type { Digits } from './data.js'

/** How many held-out digits are asked of both programs, one by one, and on how many each layer's integers are compared. */
const ASKED = 200
const COMPARED = 10

/** The files of C by name, and what is said of them. */
export type OnIntegers = { readonly files: { readonly [file: string]: Uint8Array }; readonly says: string }

const SHAPE = [1, 1, 28, 28]
const digit = ({ images }: Digits, i: number): Tensor => ({
  shape: SHAPE,
  data: images.data.slice(784 * i, 784 * (i + 1)),
})

const largest = ({ data }: Tensor): number => data.indexOf(data.reduce((a, b) => Math.max(a, b), -Infinity))
const percent = (share: number): string => `${(100 * share).toFixed(2)}%`

/** Share of digits that a classifier gets right. */
const rightOf = (
  test: Digits,
  n: number,
  classify: (x: Tensor) => E.Either<QuantErrors, Tensor>,
): E.Either<QuantErrors, number> => {
  let right = 0
  for (let i = 0; i < n; i++) {
    const y = classify(digit(test, i))
    if (E.isLeft(y)) return y
    if (largest(y.right) === test.labels.data[i]) right++
  }
  return E.right(right / n)
}

const onIntegers =
  (p: IntegerProgram) =>
  (x: Tensor): E.Either<QuantErrors, Tensor> => {
    const given = quantizeInputs(p, x)
    const ran = E.isLeft(given) ? given : runInteger(p, given.right)
    const values = E.isLeft(ran) ? ran : dequantizeOutputs(p, ran.right)
    return E.map((all: { readonly [path: string]: Tensor }) => all[''])(values)
  }

type Both = {
  readonly p: IntegerProgram
  readonly program: Program
  readonly fixed: { readonly params: unknown; readonly state: unknown }
}

/** Accuracy of both programs on the same digits, and how many integers differ. */
const compared = ({ p, program, fixed }: Both, test: Digits): E.Either<QuantErrors, string> => {
  const n = Math.min(ASKED, test.labels.data.length)
  const integer = rightOf(test, n, onIntegers(p))
  if (E.isLeft(integer)) return integer
  const float = rightOf(test, n, (x) =>
    E.map(({ outputs }: { readonly outputs: unknown }) => valueOf(outputs as Tensor))(
      run(program, { ...fixed, inputs: x }),
    ),
  )
  if (E.isLeft(float)) return float
  const layers = compareInteger(
    p,
    program,
    fixed,
    Array.from({ length: Math.min(n, COMPARED) }, (_, i) => digit(test, i)),
  )
  if (E.isLeft(layers)) return layers
  const apart = layers.right.map((l) => l.elements - l.equal).reduce((a, b) => a + b, 0)
  const elements = layers.right.map((l) => l.elements).reduce((a, b) => a + b, 0)
  return E.right(
    `of ${n} digits ${percent(integer.right)} right on integers, ${percent(float.right)} fake-quantized; ${percent(apart / elements)} of all integers one step apart`,
  )
}

const sizes = (c: CProgram, p: IntegerProgram): string => {
  const bits = layersOf(p).map((l) => l.accumulator.bits)
  return `integers       ${c.weightBytes} bytes of weights and tables, ${c.arenaBytes} of arena, accumulators of ${Math.min(...bits)} to ${Math.max(...bits)} bits`
}

/** The network on integers. Where it has none, at 16 bits for instance, that is said, and why. */
export const deliverIntegers = <P, S>(
  net: Layer<P, S>,
  fixed: { readonly params: P; readonly state: S },
  test: Digits,
): E.Either<QuantErrors, OnIntegers> => {
  const program = trace(net, tensorInput(SHAPE), { mode: 'eval' })
  if (E.isLeft(program)) return program
  const made = toInteger(program.right, fixed)
  if (E.isLeft(made)) return E.right({ files: {}, says: `integers       none: ${explainAll(made.left.slice(0, 1))}` })
  const c = toC(made.right, { name: 'digits' })
  if (E.isLeft(c)) return c
  const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
  return E.map((says: string): OnIntegers => ({
    files: { 'digits.c': bytes(c.right.source), 'digits.h': bytes(c.right.header) },
    says: `${sizes(c.right, made.right)}\n               ${says}`,
  }))(compared({ p: made.right, program: program.right as Program, fixed }, test))
}
