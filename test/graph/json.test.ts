import { readFileSync } from 'node:fs'
import * as E from 'fp-ts/lib/Either.js'
import * as assert from 'uvu/assert'
import { parseProgram, programToJSON } from '../../src/graph/json.js'
import { full, ops, run, type Op, type Program, type QuantError } from '../../src/index.js'
import { suite } from '../support/suite.js'
import { deep, net, netGrad, right } from './fixtures/programs.js'

const test = suite('json')
const parse = parseProgram(ops)
const text = programToJSON(net('train'))

const errorOf = (t: string): QuantError => {
  const e = parse(t)
  if (E.isRight(e)) throw new Error('this text should be refused')
  assert.is(e.left.length, 1)
  assert.is(e.left[0].tag, 'ParseError')
  assert.ok(e.left[0].fix.length > 0)
  return e.left[0]
}

const frozen = (x: unknown): boolean =>
  typeof x !== 'object' || x === null || (Object.isFrozen(x) && Object.values(x).every(frozen))

/** The text with one piece replaced; the piece must be there. */
const changed = (from: string | RegExp, to: string): string => {
  const out = text.replace(from, to)
  assert.is.not(out, text)
  return out
}

test('gives back what was stored, frozen', () => {
  for (const program of [net('train'), net('eval'), net('train', 4), netGrad()]) {
    const stored = programToJSON(program)
    const back = right(parse(stored))
    assert.equal(back, program)
    assert.is(programToJSON(back), stored)
    assert.ok(frozen(back))
    assert.ok(back.graph.nodes.every((n, i) => n.op === program.graph.nodes[i].op))
  }
})

test('keeps -0, NaN and infinities in attributes and metadata', () => {
  const program = deep(1)
  const { attributes: _, ...rest } = ops.identity
  const loose: Op = { ...rest, name: 'loose' }
  const attrs = { odd: [-0, NaN, [Infinity, -Infinity]] }
  const nodes = program.graph.nodes.map((n) => (n.op.name === 'relu' ? { ...n, op: loose, attrs } : n))
  const odd: Program = { ...program, graph: { ...program.graph, nodes } }
  const back = right(parseProgram({ ...ops, loose })(programToJSON(odd)))
  assert.equal(back.graph.nodes.find((n) => n.op === loose)?.attrs, attrs)
  const minusZero = right(parse(text)).graph.nodes.some((n) => n.op.name === 'const' && n.attrs.value === '-0')
  assert.ok(minusZero)
})

test('still reads the stored files of version 1', () => {
  for (const name of ['net-v1.json', 'grad-v1.json']) {
    const stored = readFileSync(new URL(`fixtures/${name}`, import.meta.url), 'utf8')
    assert.is(programToJSON(right(parse(stored))), stored)
  }
})

test('what was read runs to the same bits', () => {
  const program = deep(20)
  const args = { params: {}, state: {}, inputs: full([2], 0.3) }
  const [a, b] = [program, right(parse(programToJSON(program)))].map((p) => right(run(p, args)).outputs)
  assert.equal(a, b)
})

test('names what is wrong', () => {
  assert.match(errorOf('').message, /no JSON/)
  assert.match(errorOf('[]').message, /record/)
  assert.match(errorOf('{}').message, /not a stored program/)
  assert.match(errorOf(changed('"version":1', '"version":2')).message, /version 1/)
  assert.match(errorOf(changed('"op":"relu"', '"op":"rehu"')).message, /no op named "rehu"/)
  assert.match(errorOf(changed('"op":"relu"', '"op":"constructor"')).message, /no op named "constructor"/)
  assert.match(errorOf(changed('"op":"relu","in":[49]', '"op":"relu","in":[50]')).message, /before it/)
  assert.match(
    errorOf(changed('"op":"relu","in":[49],"shape":[1,3,4,4]', '"op":"relu","in":[49],"shape":[1,3,4,5]')).message,
    /relu gives \[1,3,4,4\]/,
  )
  assert.match(errorOf(changed('"op":"relu","in":[49]', '"op":"relu","in":[]')).message, /operands/)
  assert.match(errorOf(changed('"rounding":"ROUND",', '')).message, /rounding/)
  assert.match(errorOf(changed('"scale":42', '"scale":4200')).message, /metadata/)
  assert.match(
    errorOf(changed('"kind":"result","path":"","node":74', '"kind":"result","path":"","node":73')).message,
    /outputs of the graph/,
  )
  assert.match(errorOf(changed('"strict":false', '"strict":0')).message, /true or false/)
  assert.match(errorOf(changed('"limit":30', '"limit":"x"')).message, /phase/)
  assert.match(errorOf(changed('"attrs":{"index":1}', '"attrs":{"index":7}')).message, /get/)
})

/** The first node that carries metadata, with its claim changed. */
const claiming = (change: (quant: Record<string, unknown>) => void): string => {
  const program = JSON.parse(text)
  const node = program.graph.nodes.find((n: { carried?: { tag: string } }) => n.carried?.tag === 'carries')
  change(node.carried.quant)
  return JSON.stringify(program)
}

test('what metadata claims must be possible', () => {
  const claims: readonly (readonly [Record<string, unknown>, RegExp])[] = [
    [{ bits: 0 }, /metadata names 0 bits/],
    [{ bits: 2000 }, /metadata names a width of 2000 bits/],
    [{ bits: 7 }, /do not fit 7 signed bits/],
    [{ bits: 1.5 }, /integer was expected/],
    [{ signed: 1 }, /true or false/],
    [{ signed: false }, /do not fit 8 unsigned bits/],
    [{ lo: 3, hi: 2 }, /integers from 3 to 2/],
    [{ hi: 1e9 }, /do not fit 8 signed bits/],
    [{ lo: { $: 'NaN' } }, /integers from NaN/],
    [{ slack: -1 }, /a slack of -1/],
    [{ zero: 'some' }, /one of zero, integer, any/],
    [{ scale: 9999 }, /names node 9999, which does not stand before its user/],
    [{ bitWidth: 0 }, /node 0 as its bit width, which is no constant 8/],
  ]
  for (const [claim, words] of claims) {
    const found = errorOf(claiming((quant) => void Object.assign(quant, claim)))
    assert.match(found.message, words, JSON.stringify(claim))
  }
})

test('a phase is read by get alone, and no tensor is too large for every backend', () => {
  const [phase] = net('train').graph.nodes.filter((n) => n.branches !== undefined)
  errorOf(changed(/"op":"relu","in":\[\d+\]/, `"op":"relu","in":[${phase.id}]`))
  const huge = { op: 'input', in: [], shape: [2 ** 33], attrs: { kind: 'data', name: '' } }
  const input = { kind: 'data', path: '', node: 0, shape: [2 ** 33], learned: false, part: 'tensor' }
  const program = {
    ...JSON.parse(programToJSON(deep(0))),
    graph: { nodes: [huge], inputs: [0], outputs: [0] },
    inputs: [input],
  }
  assert.match(errorOf(JSON.stringify(program)).message, /has 8589934592 elements, more than/)
})

test('is not polluted, and survives deep nesting', () => {
  errorOf(changed('"structure":{', '"structure":{"__proto__":{"polluted":1},'))
  errorOf(changed('"attrs":{', '"attrs":{"__proto__":{"polluted":1},'))
  errorOf(changed('"params":{', '"params":{"__proto__":0,'))
  assert.is(Object.hasOwn(Object.prototype, 'polluted'), false)
  errorOf('['.repeat(1e6))
  errorOf(changed('"attrs":{"value":30}', `"attrs":{"value":${'['.repeat(1e5)}${']'.repeat(1e5)}}`))
  errorOf(changed('"data":8', `"data":${'['.repeat(1e5)}${']'.repeat(1e5)}`))
})

test('a text that was cut off is refused', () => {
  for (let end = 0; end < text.length; end += 37) errorOf(text.slice(0, end))
})

/** A small generator of numbers, so that a failure can be repeated. */
const numbers = (seed: number) => () => (seed = (seed * 1103515245 + 12345) % 2147483648) / 2147483648

test('a changed text never throws', () => {
  const next = numbers(7)
  const pieces = ['0', '-1', '1e9', 'null', '"x"', '[', ']', '{', '}', ',', '"__proto__"', 'true', '1.5', '99']
  const small = programToJSON(net('eval'))
  for (let i = 0; i < 1500; i++) {
    const at = Math.floor(next() * small.length)
    const cut = Math.floor(next() * 4)
    const e = parse(small.slice(0, at) + pieces[Math.floor(next() * pieces.length)] + small.slice(at + cut))
    if (E.isLeft(e)) assert.is(e.left[0].tag, 'ParseError')
  }
})

test('a value of another type anywhere never throws', () => {
  const next = numbers(11)
  const values: readonly unknown[] = [null, -1, 1e9, 0.5, 'x', [], {}, true, [[1]], { $: 'NaN' }]
  for (let i = 0; i < 1500; i++) {
    let count = 0
    const target = Math.floor(next() * 1500)
    const value = values[Math.floor(next() * values.length)]
    const e = parse(JSON.stringify(JSON.parse(text), (_, v: unknown) => (count++ === target ? value : v)))
    if (E.isLeft(e)) assert.is(e.left[0].tag, 'ParseError')
  }
})

test('10,000 nodes in a row make the round trip', () => {
  const program = deep(10_000)
  const stored = programToJSON(program)
  assert.is(programToJSON(right(parse(stored))), stored)
})

test.run()
