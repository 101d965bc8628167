/** The assembler: operands of wrong types are compile errors, and functions have names for profilers. */
import * as assert from 'uvu/assert'
import type { Code } from '../../src/evaluator/wasm/asm/encode.js'
import { control, f32, f32x4, i32, i32x4, v128 } from '../../src/evaluator/wasm/asm/instructions.js'
import { newModule, type Local, type ModuleBuilder } from '../../src/evaluator/wasm/asm/module.js'
import { suite } from '../support/suite.js'

const test = suite('WebAssembly code')

/** Never called: each line is a compile error, or none. */
export const lines = (m: ModuleBuilder, i: Local, x: Local<'f32'>, v: Local<'v128'>): readonly Code[] => {
  const half = m.func({ params: ['f32', 'i32'], result: 'f32', body: ({ params: [y] }) => y.get })
  return [
    x.set(f32.add(x.get, f32.const(1))),
    // @ts-expect-error an integer for a float
    x.set(f32.add(i.get, f32.const(1))),
    // @ts-expect-error a vector for a float
    x.set(f32.add(x.get, f32x4.const(1))),
    // @ts-expect-error a float kept as an integer
    i.set(x.get),
    i.set(f32.lt(x.get, x.get)),
    // @ts-expect-error a comparison of vectors is a vector
    i.set(f32x4.lt(v.get, v.get)),
    i.set(i32x4.extract(0, v.get)),
    // @ts-expect-error an address that is a float
    f32.store(x.get, x.get),
    // @ts-expect-error a value of another type than the store's
    f32.store(i.get, i.get),
    v128.store(i.get, v.get),
    // @ts-expect-error a condition that is a float
    control.if(x.get, []),
    // @ts-expect-error sides of two types
    x.set(control.select(x.get, i.get, i.get)),
    x.set(half.call(x.get, i.get)),
    // @ts-expect-error an operand of a wrong type
    x.set(half.call(i.get, i.get)),
    // @ts-expect-error an operand is missing
    x.set(half.call(x.get)),
    // @ts-expect-error a result of another type
    i.set(half.call(x.get, i.get)),
    // @ts-expect-error a statement is no value
    x.set(f32.store(i.get, x.get)),
  ]
}

test('a labelled function stands in the name section, and the module runs', () => {
  const m = newModule()
  m.func({ params: [], body: () => [] })
  const double = m.func({
    name: 'double',
    params: ['i32'],
    result: 'i32',
    body: ({ params: [x] }) => i32.add(x.get, x.get),
  })
  m.label(double, 'conv1 twice: the stage')
  const module = new WebAssembly.Module(m.bytes({ pages: 1, maximum: 1, shared: false }))
  const [names] = WebAssembly.Module.customSections(module, 'name')
  assert.match(new TextDecoder().decode(names), /conv1 twice: the stage/)
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1 })
  const { exports } = new WebAssembly.Instance(module, { env: { memory } })
  assert.is((exports.double as (x: number) => number)(21), 42)
})

test.run()
