/** What the compiler says of primitives: names, attributes, and that none is left out. Checked by `npm run typecheck`. */
import * as assert from 'uvu/assert'
import type { Kit, Value } from '../../src/graph/op.js'
import { finite, list, optional, orNull, whole, word } from '../../src/graph/attr.js'
import type { AttrsOf } from '../../src/graph/attributes.js'
import { ops } from '../../src/index.js'
import { suite } from '../support/suite.js'

const test = suite('types of primitives')

/** Never called: each line is a compile error, or none. */
export const calls = (kit: Kit, x: Value): readonly Value[] => [
  kit.emit('softsign', [x]),
  // @ts-expect-error a misspelt name
  kit.emit('sofsign', [x]),
  kit.emit('clamp', [x], { min: 0, max: null }),
  // @ts-expect-error a misspelt attribute
  kit.emit('clamp', [x], { mini: 0, max: null }),
  // @ts-expect-error a missing attribute
  kit.emit('clamp', [x], { min: 0 }),
  // @ts-expect-error no attributes at all
  kit.emit('clamp', [x]),
  // @ts-expect-error an attribute of another kind
  kit.emit('clamp', [x], { min: '0', max: null }),
  // @ts-expect-error attributes of an op that has none
  kit.emit('relu', [x], { slope: 1 }),
  // @ts-expect-error a rounding that is not known
  kit.emit('mseThreshold', [x], { lo: 0, hi: 1, threshold: 1, rounding: 'X', restriction: 'none', minVal: 0 }),
  kit.emit('adaptiveAvgPool', [x], { outputSize: [1] }),
  kit.emit('adaptiveAvgPool', [x], { outputSize: [1], correct: true }),
  // @ts-expect-error an optional attribute of another kind
  kit.emit('adaptiveAvgPool', [x], { outputSize: [1], correct: 1 }),
]

const schema = { a: finite, b: orNull(word('x', 'y')), c: optional(list(whole)) }
/** What the schema's type must be: assignable both ways. */
type Expected = { readonly a: number; readonly b: 'x' | 'y' | null; readonly c?: readonly number[] }
export const there = (x: AttrsOf<typeof schema>): Expected => x
export const back = (x: Expected): AttrsOf<typeof schema> => x

test('the type of attributes derives from their schema, and what it lets through is of that type', () => {
  assert.ok(schema.b.holds('x') && schema.b.holds(null) && !schema.b.holds('z'))
  assert.ok(schema.c.holds([1, 2]) && !schema.c.holds([1, -2]) && !schema.c.holds(new Array(2)))
})

test('every primitive says what it is called with', () => {
  for (const op of Object.values(ops)) {
    assert.ok(op.operands !== undefined, `${op.name} names no operands`)
    assert.ok(op.attributes !== undefined, `${op.name} has no schema`)
  }
})

test.run()
