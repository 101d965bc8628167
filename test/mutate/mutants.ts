/**
 * Mutants of a source file, and the file with all of them in it: each is chosen at run time by its number (`runtime.ts`), so that thousands of mutants
 * need one bundle.
 */
import { below, isAst, parse, textOf, type Ast } from './syntax.js'

/** One change of one place. */
export type Mutant = {
  readonly file: string
  readonly line: number
  readonly from: string
  readonly to: string
  readonly at: number
  /** Which of the changes of its line from and to the same. */
  readonly nth: number
}

/** How a place is written so that the number of a mutant chooses; `part` gives a part of it, with its own mutants in it. */
type Written = (id: number, part: (node: Ast) => string) => string

/** A place that can be changed. */
type Place = {
  readonly start: number
  readonly end: number
  readonly from: string
  readonly to: string
  readonly written: Written
}

/** Operators with both operands computed: the name of their function in `runtime.ts` is that of both. */
const BINARY: { readonly [op: string]: readonly [to: string, helper: string] | undefined } = {
  '<': ['<=', 'less'],
  '<=': ['<', 'lessEqual'],
  '>': ['>=', 'greater'],
  '>=': ['>', 'greaterEqual'],
  '===': ['!==', 'equal'],
  '!==': ['===', 'unequal'],
  '+': ['-', 'plus'],
  '-': ['+', 'minus'],
  '*': ['/', 'times'],
  '/': ['*', 'over'],
  '%': ['*', 'modulo'],
  '**': ['*', 'power'],
}
const LOGICAL: { readonly [op: string]: readonly [to: string, helper: string] | undefined } = {
  '&&': ['||', 'and'],
  '||': ['&&', 'or'],
}
const OF_MATH: { readonly [name: string]: string | undefined } = {
  min: 'max',
  max: 'min',
  floor: 'ceil',
  ceil: 'floor',
}
const OF_LISTS: { readonly [name: string]: string | undefined } = { some: 'every', every: 'some' }
const EMITTED: { readonly [op: string]: string | undefined } = {
  mul: 'div',
  div: 'mul',
  add: 'sub',
  sub: 'add',
  minimum: 'maximum',
  maximum: 'minimum',
  less: 'lessEqual',
  lessEqual: 'less',
  floor: 'ceil',
  ceil: 'floor',
}
const NUMBERS: ReadonlySet<unknown> = new Set([0, 1, 2, 0.5])

/** What a table itself has: no name that every object has. */
const own = (table: { readonly [name: string]: string | undefined }, name: string): string | undefined =>
  Object.hasOwn(table, name) ? table[name] : undefined

/** What only says how something is called, drawn or described. */
const SAID: ReadonlySet<string> = new Set(['examples', 'doc', 'like', 'says', 'infix'])

const operator = (node: Ast): string => String(node.operator)

/** Is there a node of one of these kinds in it? */
const within = (node: Ast, kinds: readonly string[]): boolean =>
  kinds.includes(node.type) || below(node).some(([, child]) => within(child, kinds))

/** The one place of a node itself, where it has one. */
const placeOf = (node: Ast, source: string): Place | null => {
  const { start, end } = node
  const place = (from: string, to: string, written: Written): Place => ({ start, end, from, to, written })
  const value = (to: string): Place => {
    const from = source.slice(start, end)
    return place(from, to, (id) => `($M.on(${id}) ? ${to} : ${from})`)
  }
  const { left, right, argument } = node
  switch (node.type) {
    case 'BinaryExpression':
    case 'LogicalExpression': {
      const found = (node.type === 'BinaryExpression' ? BINARY : LOGICAL)[operator(node)]
      if (found === undefined || !isAst(left) || !isAst(right)) return null
      const [to, helper] = found
      const late = node.type === 'LogicalExpression' ? '() => ' : ''
      if (late !== '' && within(right, ['AwaitExpression', 'YieldExpression'])) return null
      return place(operator(node), to, (id, part) => `$M.${helper}(${id}, (${part(left)}), ${late}(${part(right)}))`)
    }
    case 'AssignmentExpression': {
      const found = BINARY[operator(node).slice(0, -1)]
      if (!/^[-+*/]=$/.test(operator(node)) || found === undefined || !isAst(left) || !isAst(right)) return null
      // Written as `l = l + r`, where reading `l` twice changes nothing.
      if (within(left, ['UpdateExpression', 'CallExpression', 'AssignmentExpression'])) return null
      const [to, helper] = found
      const target = source.slice(left.start, left.end)
      return place(
        operator(node),
        `${to}=`,
        (id, part) => `${target} = $M.${helper}(${id}, ${part(left)}, (${part(right)}))`,
      )
    }
    case 'UnaryExpression': {
      if (!isAst(argument) || !['!', '-'].includes(operator(node))) return null
      const helper = operator(node) === '!' ? 'not' : 'negative'
      return place(operator(node), '', (id, part) => `$M.${helper}(${id}, (${part(argument)}))`)
    }
    case 'BooleanLiteral':
      return value(String(node.value !== true))
    case 'NumericLiteral':
      return NUMBERS.has(node.value) ? value(String(Number(node.value) + 1)) : null
    default:
      return null
  }
}

/** Names that are changed: a function of Math, some and every, the op that a rule emits. */
const namedPlace = (node: Ast, source: string): readonly Place[] => {
  const { object, property, callee } = node
  if (node.type === 'MemberExpression' && isAst(property) && isAst(object)) {
    const name = textOf(property) ?? ''
    if (node.computed === true || node.optional === true) return []
    const to = own(textOf(object) === 'Math' ? OF_MATH : OF_LISTS, name)
    if (to === undefined) return []
    const { start } = property
    const before = source.lastIndexOf('.', start)
    const written: Written = (id) => `[$M.on(${id}) ? '${to}' : '${name}']`
    return [{ start: before, end: property.end, from: name, to, written }]
  }
  if (node.type !== 'CallExpression' || !isAst(callee) || !isAst(callee.property)) return []
  const [first] = Array.isArray(node.arguments) ? node.arguments : []
  if (textOf(callee.property) !== 'emit' || !isAst(first) || first.type !== 'StringLiteral') return []
  const [op] = String(first.value).split('~')
  const to = own(EMITTED, op)
  return to === undefined || op !== first.value
    ? []
    : [
        {
          start: first.start,
          end: first.end,
          from: `'${op}'`,
          to: `'${to}'`,
          written: (id) => `($M.on(${id}) ? '${to}' : '${op}')`,
        },
      ]
}

/** Is it how an op is sampled: operands and attributes? */
const isExample = (node: Ast): boolean => {
  const keys = below(node).map(([, child]) => textOf(child.key))
  return node.type === 'ObjectExpression' && keys.includes('args') && keys.includes('attrs') && keys.length === 2
}

/** Is this where nothing is changed: types, texts, keys, places of a list, what is only said? */
const isLeftOut = (key: string, child: Ast, node: Ast): boolean => {
  if (child.type === 'TemplateLiteral' || child.type === 'ImportDeclaration') return true
  if (isExample(child)) return true
  if (node.type === 'VariableDeclarator' && key === 'init' && /examples$/i.test(textOf(node.id) ?? '')) return true
  if (child.type.startsWith('TS')) return !/^TS(?:As|Satisfies|NonNull)Expression$/.test(child.type)
  if (key === 'typeAnnotation' || key === 'typeParameters' || key === 'typeArguments') return true
  if (node.type === 'ObjectProperty' && key === 'value') return SAID.has(textOf(node.key) ?? '')
  if (key === 'key' && node.computed !== true) return true
  return node.type === 'MemberExpression' && key === 'property' && child.type === 'NumericLiteral'
}

/** All places, outer ones before what they hold. */
const placesOf = (node: Ast, source: string): readonly Place[] => {
  const own = placeOf(node, source)
  const inner = below(node).flatMap(([key, child]) => (isLeftOut(key, child, node) ? [] : placesOf(child, source)))
  return [...(own === null ? [] : [own]), ...namedPlace(node, source), ...inner]
}

/** A source with its mutants, and with all of them written into it. */
export type Mutated = { readonly mutants: readonly Mutant[]; readonly text: string }

/** Writes the places of a range, each with those inside it. */
const writer = (source: string, places: readonly Place[], first: number) => {
  const numbered = places
    .map((p, i) => ({ ...p, id: first + i }))
    .toSorted((a, b) => a.start - b.start || b.end - a.end)
  const range = (start: number, end: number): string => {
    let [text, at] = ['', start]
    for (const p of numbered) {
      if (p.start < at || p.end > end) continue
      text += source.slice(at, p.start) + p.written(p.id, (node) => range(node.start, node.end))
      at = p.end
    }
    return text + source.slice(at, end)
  }
  return range
}

/** All mutants of a file; the first has this number. */
export const mutantsOf = async (file: string, source: string, first = 0): Promise<Mutated> => {
  const places = placesOf(await parse(source), source)
  const lineAt = (at: number): number => source.slice(0, at).split('\n').length
  const mutants: Mutant[] = []
  for (const { start, from, to } of places) {
    const line = lineAt(start)
    const nth = mutants.filter((m) => m.line === line && m.from === from && m.to === to && m.at < start).length
    mutants.push({ file, at: start, from, to, line, nth })
  }
  return {
    mutants,
    text: writer(source, places, first)(0, source.length),
  }
}
