/** The header of a program in C: its sizes, its function, and what its integers mean. */
import { showShape, sizeOf } from '../../data/shape.js'
import type { Border, IntegerProgram } from '../program.js'
import { commentOf, identifierOf, uniqueNames } from './names.js'
import { typeOfNode } from './plan.js'

/** How C is written. */
export type COptions = {
  /** Prefix of all names and the name of the files: an identifier of C, up to 48 letters, digits and underscores. */
  readonly name: string
}

/** A program in C. */
export type CProgram = {
  readonly name: string
  /** Text of `<name>.c`. */
  readonly source: string
  /** Text of `<name>.h`. */
  readonly header: string
  /** Bytes of the static arena. */
  readonly arenaBytes: number
  /** Bytes of all constant tables, packed. */
  readonly weightBytes: number
  /** The function's parameters in order: inputs, then results. */
  readonly parameters: readonly {
    readonly name: string
    readonly type: string
    readonly size: number
    readonly of: string
  }[]
}

const showNumber = (v: number): string => (Number.isInteger(v) ? String(v) : v.toPrecision(9))

/** How many numbers of a grid per channel a comment shows. */
const SHOWN = 8
const shown = (data: ArrayLike<number>): string => {
  const some = Array.from({ length: Math.min(SHOWN, data.length) }, (_, i) => showNumber(data[i]))
  return data.length === 1 ? some[0] : `[${some.join(', ')}${data.length > SHOWN ? ', ...' : ''}]`
}

const borderComment = (what: string, b: Border): string =>
  commentOf(`${what} ${b.name === '' ? '(unnamed)' : b.name} ${showShape(b.shape)}: ${b.range.lo} ... ${b.range.hi}`) +
  `, value = (integer - ${shown(b.zeroPoint.data)}) * ${shown(b.scale.data)}`

/** A parameter, and what is said of it. */
export type Parameter = CProgram['parameters'][number] & { readonly comment: string; readonly constant: boolean }

const parameterName = (what: 'input' | 'result', name: string): string => {
  if (name === '') return what === 'input' ? 'x' : 'y'
  return `${what === 'input' ? 'in' : 'out'}_${identifierOf(name)}`
}

/** Inputs and results in order. */
export const parametersOf = (p: IntegerProgram): readonly Parameter[] => {
  const name = uniqueNames()
  const { nodes } = p.program.graph
  const one =
    (what: 'input' | 'result') =>
    (b: Border): Parameter => ({
      name: name(parameterName(what, b.name)),
      type: `${typeOfNode(p, nodes[b.node])}_t`,
      size: sizeOf(b.shape),
      of: b.name,
      comment: borderComment(what, b),
      constant: what === 'input',
    })
  return [...p.inputs.map(one('input')), ...p.outputs.map(one('result'))]
}

export const signature = (name: string, parameters: readonly Parameter[]): string =>
  `void ${name}_run(${parameters.map((q) => `${q.constant ? 'const ' : ''}${q.type} *${q.name}`).join(', ')})`

export const headerOf = (name: string, parameters: readonly Parameter[], arena: number, bytes: number): string => {
  const guard = `${name.toUpperCase()}_H`
  return [
    `/* ${name}: a network on integers, written by quantrace. */`,
    `#ifndef ${guard}`,
    `#define ${guard}`,
    '',
    '#include <stdint.h>',
    '',
    '/* Bytes of the static memory between layers, and of all constants. */',
    `#define ${name.toUpperCase()}_ARENA_BYTES ${arena}`,
    `#define ${name.toUpperCase()}_CONSTANT_BYTES ${bytes}`,
    '',
    '/* Numbers that go in and come out, last axis fastest. */',
    ...parameters.flatMap((q) => [
      `/* ${q.comment} */`,
      `#define ${name.toUpperCase()}_${q.name.toUpperCase()}_SIZE ${q.size}`,
    ]),
    '',
    '/* One pass. The memory between layers is static: one call at a time. */',
    `${signature(name, parameters)};`,
    '',
    '#endif',
    '',
  ].join('\n')
}
