/** Formulas of two doubles at a time against the functions that they are: the same bits for every double, not only for float32 numbers. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { erf, exp, exp2, expm1, log, log2, sigmoid, tanh } from '../../src/data/math.js'
import { f64x2 } from '../../src/evaluator/wasm/asm/instructions.js'
import { newModule } from '../../src/evaluator/wasm/asm/module.js'
import { newWriter } from '../../src/evaluator/wasm/kernels/doubles.js'
import { formulas, type Precision } from '../../src/evaluator/wasm/kernels/formulas.js'
import { newMath, type MathName } from '../../src/evaluator/wasm/kernels/math.js'
import { planOf } from '../../src/evaluator/wasm/planning.js'
import { suite } from '../support/suite.js'
import { programOfBody } from './support/programs.js'

const test = suite('wasm: doubles')

const FUNCTIONS = { exp, exp2, expm1, log, log2, tanh, sigmoid, erf } as const
const NAMES = Object.keys(FUNCTIONS) as readonly MathName[]

/** The formula as a function of one double. */
const compiled = (name: MathName, precision: Precision): ((x: number) => number) => {
  const m = newModule()
  m.func({
    name: 'f',
    params: ['f64'],
    result: 'f64',
    body: (scope) => {
      const w = newWriter(scope)
      const [value] = formulas[name](w, w.keep([f64x2.splat(scope.params[0].get)]), precision)
      return [w.fill(), w.statements(), f64x2.extract(0, value)]
    },
  })
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1 })
  const code = new WebAssembly.Module(m.bytes({ pages: 1, maximum: 1, shared: false }))
  const { f } = new WebAssembly.Instance(code, { env: { memory } }).exports
  assert.ok(typeof f === 'function')
  return (x) => Number(f(x))
}

/** Logarithms of doubles at the ends of the range are left out: float32 numbers, and sums of few, are none. */
const takes = (name: MathName, x: number): boolean =>
  !name.startsWith('log') || !(x > 0 && (x < 1e-300 || (x > 1e300 && x < Infinity)))

const BENDS = [
  [0, 1, 0.5, 6, 5.99, 20, 20.5, 22, 40, 41, 700, 701, 708.3, 708.5, 709.782712893384, 709.7827128933841, 710],
  [720, 745.1332191019412, 745.133219101942, 746, 1023.9999, 1024, 1074, 1074.5, 1075, 1076, 1e5, 1e300],
  [5e-324, 1e-310, 1e-17, 5.5e-17, 5.6e-17, 1e-3, Infinity, NaN],
].flat()

test('formulas have the bits of the functions, for every double', () => {
  for (const name of NAMES) {
    const [exact, rounded] = [compiled(name, 'double'), compiled(name, 'single')]
    const check = (x: number): void => {
      if (!takes(name, x)) return
      const wanted = FUNCTIONS[name](x)
      assert.ok(Object.is(exact(x), wanted), `${name}(${x}) is ${wanted} and not ${exact(x)}`)
      assert.ok(Object.is(Math.fround(rounded(x)), Math.fround(wanted)), `${name}(${x}), rounded`)
    }
    for (const x of BENDS) [x, -x].forEach(check)
    fc.assert(fc.property(fc.double(), check), { numRuns: 1000 })
    for (const most of [1, 3, 50, 800, 1e-3, 1e-16])
      fc.assert(fc.property(fc.double({ min: -most, max: most }), check), { numRuns: 500 })
  }
})

test('a quantized bias joins the loop of what is done with the sum', () => {
  const shapes = [[2, 3, 5], [3]]
  const program = programOfBody(shapes, ([y, b], kit) => [
    kit.emit('relu', [kit.emit('addBias', [y, b], { axis: 1, sameScale: true })]),
  ])
  const plan = planOf(program, (i) => new Float32Array(i === 0 ? 30 : 3), [], newMath())
  assert.deepEqual(
    plan.steps.map((s) => s.kernel === null),
    [false],
  )
})

test.run()
