/** The `forward` of a generated class: calls of its layers, and what its function does between them. */
import type { QuantError } from '../../../data/error.js'
import { leaves } from '../../../data/tree.js'
import type { Value } from '../../../graph/op.js'
import { isValue } from '../../../graph/trace.js'
import { ATTENTION_CALL, isAttention } from './layers.js'
import { call, literal, submodule, textLiteral, variable } from './python.js'
import type { Import } from './quantizers.js'
import type { Frame } from './record.js'
import { bind, newName, newScope, resolve, type Read, type Scope } from './scope.js'

/** The lines of a forward. */
export type Forward = {
  readonly args: readonly string[]
  readonly lines: readonly string[]
  readonly imports: readonly Import[]
  readonly refusals: readonly QuantError[]
}

/** Access to one leaf of what a layer gave: `out["a"][0]`. */
const part = (name: string, path: string, whole: unknown): string => {
  if (path === '') return name
  type At = { readonly at: unknown; readonly code: string }
  const step = ({ at, code }: At, key: string): At => ({
    at: typeof at === 'object' && at !== null ? Reflect.get(at, key) : undefined,
    code: `${code}[${Array.isArray(at) ? key : textLiteral(key)}]`,
  })
  return path.split('.').reduce(step, { at: whole, code: name }).code
}

/** A tree of values as dicts and lists. */
const treeCode = (tree: unknown, code: (v: Value) => string): string => {
  if (isValue(tree)) return code(tree)
  if (Array.isArray(tree)) return `[${tree.map((t: unknown) => treeCode(t, code)).join(', ')}]`
  if (typeof tree !== 'object' || tree === null) return 'None'
  const entries = Object.entries(tree).map(([k, t]) => `${textLiteral(k)}: ${treeCode(t, code)}`)
  return `{${entries.join(', ')}}`
}

const argumentName = (path: string): string => {
  if (path === '') return 'x'
  return /^\d/.test(path) ? `x${path}` : path
}

/** Names of a forward's arguments: x, or the names of its inputs. */
export const argumentNames = (input: unknown): readonly string[] => {
  const taken = new Set(['self'])
  return leaves(isValue, input).map(({ path }) => {
    const name = variable(argumentName(path), taken)
    taken.add(name)
    return name
  })
}

/** An attention is called by keywords: its operands, and what each of its calls does. */
const attentionArguments = (s: Scope, { input, layer }: Frame): readonly string[] => {
  const given: { readonly [name: string]: unknown } = { ...layer?.source?.options, ...(isObject(input) ? input : {}) }
  return Object.entries(ATTENTION_CALL).flatMap(([name, theirs]) => {
    const x = given[name]
    const code = isValue(x) ? resolve(s, x.id, null) : literal(x)
    return code === null || x === null ? [] : [`${theirs}=${code}`]
  })
}

const isObject = (x: unknown): x is object => typeof x === 'object' && x !== null

/** What a layer is called with; QuantCat takes its values in a list. */
const argumentsOf = (s: Scope, frame: Frame): readonly string[] => {
  const { input, layer } = frame
  if (layer !== null && isAttention(layer.layer)) return attentionArguments(s, frame)
  const values = leaves(isValue, input).map(({ leaf }) => resolve(s, leaf.id, null))
  if (layer?.layer !== 'QuantCat') return values
  const dim: unknown = typeof input === 'object' && input !== null ? Reflect.get(input, 'dim') : undefined
  return [`[${values.join(', ')}]`, `dim=${typeof dim === 'number' ? dim : 1}`]
}

/** The last line's expression is returned itself where its variable is all that is. */
const returned = (lines: readonly string[], result: string): readonly string[] => {
  const last = lines[lines.length - 1]
  return last !== undefined && last.startsWith(`${result} = `)
    ? [...lines.slice(0, -1), `return ${last.slice(result.length + 3)}`]
    : [...lines, `return ${result}`]
}

/** Writes the forward of one call. */
export const forwardOf = (frame: Frame, read: Read): Forward => {
  const args = argumentNames(frame.input)
  const s = newScope(frame, read, args)
  // A chain hands one value on: it keeps one name.
  const isChain = frame.layer?.source?.layer === 'chain'
  leaves(isValue, frame.input).forEach(({ leaf }, i) => bind(s, leaf.id, args[i]))
  for (const inner of frame.calls) {
    const own = inner.path.split('.').slice(-1)[0]
    const given = argumentsOf(s, inner)
    const name = isChain ? args[0] : newName(s, own)
    s.lines.push(`${name} = ${call(submodule(own), given, '        ')}`)
    for (const { path, leaf } of leaves(isValue, inner.output)) bind(s, leaf.id, part(name, path, inner.output))
  }
  const result = treeCode(frame.output, (v) => resolve(s, v.id, null))
  return { args, lines: returned(s.lines, result), imports: s.imports, refusals: s.refusals }
}
