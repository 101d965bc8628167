/** What a JavaScript user meets where a call is wrong: the library's own error, which says what was given and how to write it. */
import * as E from 'fp-ts/lib/Either.js'
import * as assert from 'uvu/assert'
import * as q from '../../src/index.js'
import { isFailure } from '../../src/data/error.js'
import { suite } from '../support/suite.js'

const test = suite('the border: wrong calls in plain JavaScript')

/** The library as JavaScript sees it. */
const js: { readonly [name: string]: (...args: readonly unknown[]) => unknown } = Object.fromEntries(
  Object.entries(q).flatMap(([name, f]) =>
    typeof f === 'function'
      ? [[name, (...args: readonly unknown[]): unknown => Reflect.apply(f, undefined, args)]]
      : [],
  ),
)

/** The text with which a call is refused: a Left's, a thrown failure's, or the problems that a layer carries. */
const refusal = (call: () => unknown): string => {
  try {
    const given: unknown = call()
    if (typeof given === 'object' && given !== null && 'problems' in given && Array.isArray(given.problems))
      return given.problems.length === 0 ? 'accepted' : q.explainAll(given.problems)
    const either = given as E.Either<q.QuantErrors, unknown>
    return E.isLeft(either) ? q.explainAll(either.left) : 'accepted'
  } catch (e) {
    if (!isFailure(e)) throw e
    return e.message
  }
}

const net = q.chain({
  i: q.QuantIdentity({ returnQuantTensor: true }),
  fc: q.QuantLinear({ inFeatures: 4, outFeatures: 2 }),
})
const x = q.tensorInput([2, 4])
const traced = q.trace(net, x, { mode: 'eval' })
const args = { ...q.orThrow(q.init(net, 0)), inputs: q.zeros([2, 4]) }
const model = (forward: unknown): unknown => js.model({ fc: q.QuantLinear({ inFeatures: 4, outFeatures: 2 }) }, forward)

/** Calls, and what their refusals say. */
const CALLS: readonly (readonly [string, () => unknown, RegExp])[] = [
  ['sizes instead of a shape', () => js.tensorInput(2, 4), /tensorInput takes a shape.*given 2, 4\n.*\[2, 4\]/],
  ['zeros(2, 4)', () => js.zeros(2, 4), /zeros takes a shape.*\n.*\[2, 4\]/],
  ['a bare shape', () => js.trace(net, [2, 4], { mode: 'eval' }), /the bare shape \[2,4\].*\n.*tensorInput\(\[2,4\]\)/],
  [
    'a bare shape by name',
    () => js.trace(net, { x: [2, 4] }, { mode: 'eval' }),
    /input x was declared by the bare shape/,
  ],
  ['numbers as a declaration', () => js.trace(net, q.zeros([2, 4]), { mode: 'eval' }), /declare its shape alone/],
  ['no declaration', () => js.trace(net), /declared by undefined[^]*|needs the mode/],
  ['no options', () => js.trace(net, x), /needs the mode[^]*mode: 'train'/],
  ['the mode alone', () => js.trace(net, x, 'train'), /given "train"\n.*trace\(layer, inputs, \{ mode: 'train' \}\)/],
  [
    'what init gave, not unwrapped',
    () => {
      const { params, state } = js.init(net, 0) as { readonly params?: unknown; readonly state?: unknown }
      return js.run(q.orThrow(traced), { params, state, inputs: q.zeros([2, 4]) })
    },
    /orThrow\(init\(net, 0\)\) unwraps/,
  ],
  [
    'a misspelt option',
    () => js.trace(net, x, { mode: 'eval', stict: true }),
    /no option "stict"\n.*did you mean strict\?/,
  ],
  [
    'a misspelt mode',
    () => js.trace(net, x, { mode: 'evaluate' }),
    /mode: "evaluate"; it must be one of "train", "eval"/,
  ],
  [
    'an uncalled layer',
    () => js.trace(q.QuantIdentity, x, { mode: 'eval' }),
    /the function QuantIdentity itself\n.*call it: QuantIdentity\(\)/,
  ],
  ['an uncalled pool', () => js.trace(q.MaxPool2d, x, { mode: 'eval' }), /call it: MaxPool2d\(/],
  [
    'an uncalled layer in a chain',
    () => js.trace(js.chain({ act: q.QuantReLU }), x, { mode: 'eval' }),
    /in act: [^]*QuantReLU\(\)/,
  ],
  ['an uncalled layer to init', () => js.init(q.QuantReLU, 0), /call it: QuantReLU\(\)/],
  ['a seed that is none', () => js.init(net, 'zero'), /seed is "zero"/],
  [
    'an Either that was not unwrapped',
    () => js.run(traced, args),
    /run takes a program, and was given an Either.*\n.*orThrow/,
  ],
  [
    'a Left instead of a program',
    () => js.run(q.trace(net, q.tensorInput([2, 3]), { mode: 'eval' }), args),
    /a Left[^]*ShapeError/,
  ],
  ['the same to grad', () => js.grad(traced), /grad takes a program[^]*unwrap it/],
  ['the same to printProgram', () => js.printProgram(traced), /printProgram takes a program[^]*unwrap it/],
  ['no arguments', () => js.run(q.orThrow(traced)), /params, state and inputs/],
  [
    'a forward without its pair',
    () =>
      js.trace(
        model((...given: readonly q.Value[]) => q.relu(given[3])),
        x,
        { mode: 'eval' },
      ),
    /must return a pair, \[y, state\]/,
  ],
  [
    'a forward that returns nothing',
    () =>
      js.trace(
        model(() => undefined),
        x,
        { mode: 'eval' },
      ),
    /returned undefined; it must return a pair/,
  ],
  ['a forward that is none', () => model(5), /forward: 5; it must be a function/],
  [
    'a layer that the model has not',
    () =>
      js.trace(
        model((l: { readonly [n: string]: () => never }) => l.fd()),
        x,
        { mode: 'eval' },
      ),
    /layers\.fd[^]*layers\.fc\?/,
  ],
  [
    'a forward that calls a layer without params',
    () =>
      js.trace(
        model((l: { readonly [n: string]: (...a: unknown[]) => never }, _p: never, s: never, v: q.Value) => [
          l.fc(undefined, s, v),
          s,
        ]),
        x,
        { mode: 'eval' },
      ),
    /without its params/,
  ],
  ['too few numbers', () => js.tensorOf([2, 2], [1, 2, 3]), /\[2,2\] has 4 elements, but 3 numbers/],
  ['texts for numbers', () => js.tensorOf([2], ['1', '2']), /list or typed array of numbers/],
  ['storage of another size', () => js.tensor([3], new Float32Array(2)), /3 elements, but 2/],
  ['more elements than there can be', () => js.zeros([2 ** 40, 2 ** 10]), /which take 4.0 PiB, more than/],
  [
    'an option of Python',
    () => js.QuantLinear({ inFeatures: 4, outFeatures: 2, weight_bit_width: 4 }),
    /did you mean weightBitWidth\?/,
  ],
  [
    'weightBits',
    () => js.QuantLinear({ inFeatures: 4, outFeatures: 2, weightBits: 4 }),
    /did you mean weightBitWidth\?/,
  ],
  [
    'bitWidth of a layer with weights',
    () => js.QuantConv2d({ inChannels: 1, outChannels: 2, kernelSize: 3, bitWidth: 4 }),
    /did you mean weightBitWidth\?/,
  ],
  [
    'undefined for a quantizer',
    () => js.QuantIdentity({ actQuant: undefined }),
    /actQuant: undefined\n.*leave actQuant out/,
  ],
  ['undefined for a width', () => js.QuantIdentity({ bitWidth: undefined }), /bitWidth: undefined/],
  [
    'no options where they are needed',
    () => js.QuantLinear(),
    /QuantLinear takes a record of options[^]*inFeatures: 1/,
  ],
  ['numbers instead of options', () => js.QuantLinear(4, 2), /takes a record of options, and was given 4/],
  ['a number for an activation', () => js.QuantReLU(4), /write QuantReLU\(\{ inputQuant: Int8ActPerTensorFloat \}\)/],
  [
    'a size per axis too many',
    () => js.MaxPool2d({ kernelSize: [2, 2, 2] }),
    /kernelSize: \[2,2,2\]; it must be .* a list of 2/,
  ],
  ['a preset that is none', () => js.QuantReLU({ actQuant: 'Uint8' }), /actQuant is no quantizer, but "Uint8"/],
  ['a tensor for a value', () => js.relu(q.zeros([2])), /relu takes a traced value, and was given a tensor/],
  ['a number for a value', () => js.matmul(1, 2), /matmul takes a traced value/],
  ['a tensor added', () => js.add(q.zeros([2]), 1), /add takes a traced value or a number/],
  ['nothing to unwrap', () => js.orThrow(undefined), /orThrow unwraps an Either, and was given undefined/],
  [
    'a call that lacks its second half',
    () => js.orThrow(js.parseProgram(q.ops)),
    /was given function[^]*called with all that it takes/,
  ],
  ['a promise to unwrap', () => js.orThrow(Promise.resolve(traced)), /a promise[^]*awaited/],
  [
    'a parsed program to parse',
    () => (js.parseProgram(q.ops) as (x: unknown) => unknown)(JSON.parse(q.programToJSON(q.orThrow(traced)))),
    /it must be JSON text[^]*programToJSON\(program\)/,
  ],
  ['errors that are none', () => js.explainAll('text'), /explainAll takes a list of errors/],
]

test('wrong calls are answered by errors of the library that say how to write them', () => {
  for (const [what, call, pattern] of CALLS) assert.match(refusal(call), pattern, what)
})

test('what a forward throws of this library is told with its path, other errors go through', () => {
  const wrong = q.chain({ block: q.chain({ f: q.functionLayer('f', () => q.relu(Reflect.get({}, 'x'))) }) })
  const errors = q.trace(wrong, x, { mode: 'eval' })
  assert.ok(E.isLeft(errors))
  assert.equal(
    errors.left.map((e) => e.path),
    ['block.f'],
  )
  const own = q.functionLayer('f', () => {
    throw new SyntaxError('mine')
  })
  assert.throws(() => q.trace(own, x, { mode: 'eval' }), /mine/)
})

test.run()
