/** An integer program as C99: one source, one header, nothing else needed. */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantErrors } from '../../data/error.js'
import { fieldProblems, required, text } from '../../data/fields.js'
import { showShape, sizeOf } from '../../data/shape.js'
import type { Graph, Node } from '../../graph/graph.js'
import { integerProgramProblems } from '../checks.js'
import type { IntegerProgram } from '../program.js'
import { WIDTHS, type IntegerTensor } from '../values.js'
import { counters, indented, nest, type Lines } from './code.js'
import { heads } from './heads.js'
import { movedElement } from './moved.js'
import { commentOf, identifierOf, isIdentifier, uniqueNames } from './names.js'
import { headerOf, parametersOf, signature, type COptions, type CProgram } from './header.js'
import { planOf, sourceOf, type Group, type Plan } from './plan.js'
import { tableOf, unpacker, type Table } from './tables.js'
import { tails } from './tails.js'

export type { COptions, CProgram }

const FIELDS = { name: required(text) }

/** What is collected while the loops are written. */
type Sheet = {
  readonly p: IntegerProgram
  readonly graph: Graph
  readonly plan: Plan
  readonly prefix: string
  readonly name: (wanted: string) => string
  readonly tables: Map<string, Table>
  readonly helpers: Map<string, string>
}

const PACKED = new Set(['integerConv', 'integerConvTranspose', 'integerLinear', 'integerMatmul'])

const constantOf = (s: Sheet, id: number): IntegerTensor => {
  const t = s.p.constants[String(s.graph.nodes[id].attrs.name)]
  if (t === undefined) throw new Error(`internal: node ${id} is no constant`)
  return t
}

/** The table of a constant; made when it is first read. */
const tableFor = (s: Sheet, id: number, mayPack: boolean): Table => {
  const node = s.graph.nodes[id]
  const key = String(node.attrs.name)
  const known = s.tables.get(key)
  if (known !== undefined) return known
  const name = s.name(`${s.prefix}_${identifierOf(node.path)}_${key}`)
  const made = tableOf(name, constantOf(s, id), mayPack, s.prefix)
  s.tables.set(key, made)
  if (made.packed !== null) s.helpers.set(`packed${made.packed}`, unpacker(s.prefix, made.packed))
  return made
}

const helperFor = (s: Sheet, name: string, write: (fn: string) => string): string => {
  const fn = `${s.prefix}_${name}`
  if (!s.helpers.has(name)) s.helpers.set(name, write(fn))
  return fn
}

/** A table of places, for moves. */
const placesTable = (s: Sheet, node: Node, numbers: ArrayLike<number>): string => {
  const name = s.name(`${s.prefix}_${identifierOf(node.path)}_places`)
  s.tables.set(name, tableOf(name, { shape: [numbers.length], data: Int32Array.from(numbers) }, false, s.prefix))
  return name
}

/** Reads an element of an operand of a group's head. */
const reader =
  (s: Sheet, head: Node): ((operand: number, place: string) => string) =>
  (operand, place) => {
    const id = sourceOf(s.graph, head.inputs[operand])
    const value = s.plan.places.get(id)
    if (value !== undefined) return `${value.pointer}[${place}]`
    return tableFor(s, id, PACKED.has(head.op.name)).read(place)
  }

/** The pointers into the arena that a group needs. */
const pointers = (s: Sheet, g: Group): Lines => {
  const ids = [...new Set([...g.head.inputs.map((id) => sourceOf(s.graph, id)), g.result.id])]
  return ids.flatMap((id) => {
    const value = s.plan.places.get(id)
    if (value === undefined || value.offset === null) return []
    const constant = id === g.result.id ? '' : 'const '
    return [
      `${constant}${value.type}_t *const ${value.pointer} = ${s.prefix}_arena.${value.type} + ${value.offset / WIDTHS[value.type]};`,
    ]
  })
}

const element = (s: Sheet, g: Group, at: readonly string[]): Lines => {
  const { head } = g
  const writing = {
    node: head,
    shapes: head.inputs.map((id) => s.graph.nodes[id].shape),
    at,
    read: reader(s, head),
    table: (numbers: ArrayLike<number>) => placesTable(s, head, numbers),
  }
  const first = heads[head.op.name] ?? movedElement
  const behind = [...(tails[head.op.name] === undefined ? [] : [head]), ...g.tail]
  return [
    ...first(writing),
    ...behind.flatMap((node) => {
      const tail = tails[node.op.name]
      if (tail === undefined) throw new Error(`internal: ${node.op.name} has no C`)
      return tail({
        node,
        at,
        prefix: s.prefix,
        constant: (operand) => constantOf(s, node.inputs[operand]),
        table: (operand) => tableFor(s, node.inputs[operand], false),
        helper: (name, write) => helperFor(s, name, write),
      })
    }),
  ]
}

/** One layer: its name as a comment, and its loops. */
const block = (s: Sheet, g: Group): Lines => {
  const { result, head } = g
  const to = s.plan.places.get(result.id)
  if (to === undefined || sizeOf(result.shape) === 0) return []
  const at = counters(result.shape)
  const axes = result.shape.map((n, d) => ({ i: at[d], n }))
  const ops = [head, ...g.tail].map((n) => n.op.name).join(', ')
  const where = [...new Set([head, ...g.tail].map((n) => n.path).filter((p) => p !== ''))].join(', ')
  const store = to.type === 'int32' ? 'a' : `(${to.type}_t)a`
  const body = [...element(s, g, at), `${to.pointer}[at++] = ${store};`]
  const sum = s.p.accumulators.find((a) => a.node === head.id)
  const proof = sum === undefined ? '' : `; sums stay in ${sum.accumulator.lo} ... ${sum.accumulator.hi}`
  return [
    `/* ${commentOf(where === '' ? 'network' : where)}: ${commentOf(ops)} -> ${showShape(result.shape)}${proof} */`,
    '{',
    ...indented([...pointers(s, g), 'int32_t at = 0;', ...nest(axes, body)]),
    '}',
    '',
  ]
}

const copied = (s: Sheet): Lines =>
  s.plan.copies.flatMap(({ from, to, size, path }) => {
    const source = s.plan.places.get(from)?.pointer
    return [`/* result ${commentOf(path)} */`, `for (int32_t i = 0; i < ${size}; i++) ${to}[i] = ${source}[i];`, '']
  })

const arenaOf = (name: string, bytes: number): Lines => {
  if (bytes === 0) return []
  const member = (type: keyof typeof WIDTHS): string => `    ${type}_t ${type}[${Math.ceil(bytes / WIDTHS[type])}];`
  return [
    '/* Values between layers: two share bytes where they are not needed at once. */',
    'static union {',
    ...(['int8', 'uint8', 'int16', 'uint16', 'int32'] as const).map(member),
    `} ${name}_arena;`,
    '',
  ]
}

const nameProblems = (name: string): QuantErrors =>
  isIdentifier(name)
    ? []
    : [
        {
          tag: 'ConfigError',
          option: 'name',
          path: '',
          message: `toC was given the name ${JSON.stringify(name)}, which is no name in C`,
          fix: `give letters, digits and underscores, a letter first: ${JSON.stringify(`net_${identifierOf(name)}`.slice(0, 48))}`,
        },
      ]

/**
 * An integer program as C99: `<name>.c` and `<name>.h`, with `stdint.h` alone, no allocation, no floating point, and no behaviour that C leaves undefined: every
 * sum was proved to fit. Values between layers share one static arena, small weights are packed 2 or 4 to a byte. `<name>_run` takes the integers that
 * `quantizeInputs` makes of data, and writes those that `runInteger` returns. Errors: a ConfigError for a name that C does not know.
 * @example
 * ```ts
 * import { chain, init, orThrow, QuantIdentity, QuantLinear, tensorInput, trace } from 'quantrace'
 * import { toC, toInteger } from 'quantrace/integer'
 *
 * const net = chain({
 *   input: QuantIdentity({ returnQuantTensor: true }),
 *   fc: QuantLinear({ inFeatures: 2, outFeatures: 1 }),
 * })
 * const program = orThrow(trace(net, tensorInput([1, 2]), { mode: 'eval' }))
 * const { source, header } = orThrow(toC(orThrow(toInteger(program, orThrow(init(net, 0)))), { name: 'tiny' }))
 * console.log(source.includes('#include "tiny.h"'), header.includes('int8_t'))
 * ```
 * ```text
 * true true
 * ```
 */
export const toC = (integer: IntegerProgram, options: COptions): E.Either<QuantErrors, CProgram> => {
  const bad = [...integerProgramProblems('toC', integer), ...fieldProblems('toC', options, FIELDS)]
  const problems = bad.length > 0 ? bad : nameProblems(options.name)
  return problems.length > 0 ? E.left(problems) : E.right(written(integer, options.name))
}

const written = (p: IntegerProgram, name: string): CProgram => {
  const parameters = parametersOf(p)
  const names = parameters.map((q) => q.name)
  const plan = planOf(p, names.slice(0, p.inputs.length), names.slice(p.inputs.length))
  const s: Sheet = {
    p,
    graph: p.program.graph,
    plan,
    prefix: name,
    name: uniqueNames(),
    tables: new Map(),
    helpers: new Map(),
  }
  const body = [...plan.groups.flatMap((g) => block(s, g)), ...copied(s)]
  const unused = p.inputs.flatMap((_, k) =>
    body.some((l) => new RegExp(`\\b${names[k]}\\b`).test(l)) ? [] : [`(void)${names[k]};`],
  )
  const weightBytes = [...s.tables.values()].reduce((n, t) => n + t.bytes, 0)
  const source = [
    `/* ${name}: a network on integers, written by quantrace. */`,
    `#include "${name}.h"`,
    '',
    ...arenaOf(name, plan.arena),
    ...[...s.tables.values()].flatMap((t) => [t.declaration, '']),
    ...[...s.helpers.values()].flatMap((t) => [t, '']),
    signature(name, parameters),
    '{',
    ...indented([...unused, ...body]).map((l) => l.trimEnd()),
    '}',
    '',
  ].join('\n')
  return {
    name,
    source,
    header: headerOf(name, parameters, plan.arena, weightBytes),
    arenaBytes: plan.arena,
    weightBytes,
    parameters: parameters.map(({ name: q, type, size, of }) => ({ name: q, type, size, of })),
  }
}
