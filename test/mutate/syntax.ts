/** The syntax tree of a source file, from the parser that comes with the formatter (TypeScript 7 has none that can be called). */
import { parsers } from 'prettier/plugins/babel'

/** A node: its kind, where it stands in the text, and whatever else its kind has. */
export type Ast = {
  readonly type: string
  readonly start: number
  readonly end: number
  readonly [key: string]: unknown
}

/** Is it a node of a tree? */
export const isAst = (x: unknown): x is Ast =>
  typeof x === 'object' &&
  x !== null &&
  'type' in x &&
  typeof x.type === 'string' &&
  'start' in x &&
  typeof x.start === 'number'

/** The parser wants all options of the formatter and reads none of those that are missing here. */
const OPTIONS = {} as Parameters<(typeof parsers)['babel-ts']['parse']>[1]

/** The whole file. */
export const parse = async (source: string): Promise<Ast> => {
  const tree: unknown = await parsers['babel-ts'].parse(source, OPTIONS)
  if (!isAst(tree) || !isAst(tree.program)) throw new Error('the parser gave no tree')
  return tree.program
}

const ELSEWHERE: ReadonlySet<string> = new Set(['loc', 'extra', 'comments', 'tokens', 'errors', 'range'])

/** What stands directly below a node, each under its key. */
export const below = (node: Ast): readonly (readonly [key: string, child: Ast])[] =>
  Object.entries(node).flatMap(([key, value]) => {
    if (ELSEWHERE.has(key)) return []
    const list: readonly unknown[] = Array.isArray(value) ? value : [value]
    return list.filter(isAst).map((child) => [key, child] as const)
  })

/** The name of an identifier, or the text of a string. */
export const textOf = (node: unknown): string | null => {
  if (!isAst(node)) return null
  if (node.type === 'Identifier' && typeof node.name === 'string') return node.name
  return node.type === 'StringLiteral' && typeof node.value === 'string' ? node.value : null
}
