/** How layers may be named, and how deep they may be nested. */
import type { QuantError } from '../../data/error.js'

const isNumeric = (name: string): boolean => /^\d+$/.test(name)

const whyNot = (name: string): string => {
  if (name === '') return 'it needs a name'
  if (isNumeric(name)) return 'JavaScript reorders numeric keys'
  return name === '__proto__'
    ? 'it is what JavaScript calls the prototype of a record'
    : 'a dot separates names in paths'
}

/** What is wrong with the names of layers. */
export const nameProblems = (names: readonly string[]): readonly QuantError[] =>
  names
    .filter((n) => n === '' || isNumeric(n) || n.includes('.') || n === '__proto__')
    .map((n) => ({
      tag: 'ConfigError',
      option: n,
      path: '',
      message: `a layer can't be named ${JSON.stringify(n)}: ${whyNot(n)}`,
      fix: `name it l${n.replace(/[^A-Za-z0-9_]/g, '_')}`,
    }))

/** Trees of tensors are no deeper either; a network of ten thousand layers in a row is one deep. */
export const DEEPEST = 200

/** Says that layers are nested deeper than that. */
export const tooDeep = (name: string): QuantError => ({
  tag: 'ConfigError',
  option: 'layers',
  path: '',
  message: `${name}: layers are nested more than ${DEEPEST} deep`,
  fix: 'put layers side by side in one chain: chain({ a, b, c })',
})
