/** How a program's layers are written, and how they are written after a change: edits as data, and as code to paste. */
import type { Program, ProgramLayer } from '../../src/graph/program.js'
import type { Edit } from './scene.js'

/** Options as code. */
export type Options = ProgramLayer['given']
/** A program's layers by path. */
export type Written = ReadonlyMap<string, ProgramLayer>

/** Looks up the layers of a program; none are known of one that was made by hand or stored by an older version. */
export const writtenOf = (program: Program): Written => new Map((program.layers ?? []).map((l) => [l.path, l]))

/** The path of the layer around a path, and its last name. */
export const split = (path: string): readonly [around: string, name: string] => {
  const dot = path.lastIndexOf('.')
  return dot < 0 ? ['', path] : [path.slice(0, dot), path.slice(dot + 1)]
}

/** Options with others laid over them; those that were given stay in their places. */
export const merged = (given: Options, over: Options): Options => {
  const replaced = new Map(over)
  const known = new Set(given.map(([k]) => k))
  return [...given.map(([k, code]) => [k, replaced.get(k) ?? code] as const), ...over.filter(([k]) => !known.has(k))]
}

const call = (layer: string, options: Options): string =>
  options.length === 0 ? `${layer}()` : `${layer}({ ${options.map(([k, code]) => `${k}: ${code}`).join(', ')} })`

const line = (path: string, layer: string, options: Options): string => {
  const [, name] = split(path)
  return path === '' ? call(layer, options) : `${name}: ${call(layer, options)}`
}

/** `x + body(x)` with a join that quantizes both; the body stays as it is. */
const joined = (path: string): string => {
  const [, name] = split(path)
  return `${path === '' ? '' : `${name}: `}model(
  { body, join: QuantEltwiseAdd({ returnQuantTensor: true }) },
  (layers, params, state, x: Value) => {
    const [y, body] = layers.body(params.body, state.body, x)
    const [sum, join] = layers.join(params.join, state.join, [x, y])
    return [sum, { body, join }]
  },
)`
}

/** An edit as code: the line that takes the place of the old one, or that stands behind it. */
export const codeOf = (written: Written, edit: Edit): string => {
  if (edit.do === 'set') {
    const layer = written.get(edit.path)
    return layer === undefined
      ? edit.options.map(([k, code]) => `${k}: ${code}`).join(', ')
      : line(edit.path, layer.layer, merged(layer.given, edit.options))
  }
  if (edit.do === 'join') return joined(edit.path)
  if (edit.do === 'replace') return line(edit.path, edit.layer, edit.options)
  return `${edit.name}: ${call(edit.layer, edit.options)}`
}

/** `a, b and c`, or `a, b and 3 more`. */
export const names = (all: readonly string[], most = 4): string => {
  const shown = all.length <= most ? all : [...all.slice(0, most - 1), `${all.length - most + 1} more`]
  return shown.length < 2 ? shown.join('') : `${shown.slice(0, -1).join(', ')} and ${shown.at(-1)}`
}

/** Does the layer have this option? */
export const takes = (layer: ProgramLayer | undefined, option: string): boolean =>
  layer?.takes.includes(option) === true
