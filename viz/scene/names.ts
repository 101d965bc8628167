/** Names of boxes and nodes: layers by path, primitives by id, nodes of branches by where they stand. */
import type { Node } from '../../src/graph/graph.js'
import { branchName } from '../../src/graph/print.js'
import type { SceneBox } from './scene.js'

/** Prefix of the ids of a graph: empty at the top, `15.collect.` in a branch of phase 15. */
export type Scope = { readonly prefix: string; readonly box: string }

/** The scope of the program itself. */
export const top: Scope = { prefix: '', box: '' }

/** The scope of a branch of a phase, or of the body of a loop. */
export const branchScope = (id: string, node: Node, branch: number): Scope => ({
  prefix: `${id}.${branchName(node, branch)}.`,
  box: `${id}.${branchName(node, branch)}`,
})

/** Begins the names of boxes of the backward pass. */
const BACK = '∂'

/** A box name for a path; one that could be read as a node's id, or as a backward box, is told apart. */
export const boxOf = (path: string): string => (/^[\d∂]/.test(path) ? `/${path}` : path)

/** The box of the backward pass that mirrors a layer. */
export const backBox = (path: string): string => (path === '' ? '' : `${BACK}${path}`)

/** The box on the other side: that of the backward pass for a layer, and the layer for that of the backward pass. */
export const mirrorBox = (box: string): string =>
  box.startsWith(BACK) ? boxOf(box.slice(BACK.length)) : backBox(box.replace(/^\/(?=[\d∂])/, ''))

/** All layers of the paths that occur, each after the one that holds it; those of the backward pass beside the others. */
export const layerBoxes = (paths: readonly string[], side?: 'backward'): readonly SceneBox[] => {
  const name = side === undefined ? boxOf : backBox
  const found = new Map<string, SceneBox>()
  for (const path of new Set(paths)) {
    if (path === '') continue
    const parts = path.split('.')
    parts.forEach((label, i) => {
      const id = name(parts.slice(0, i + 1).join('.'))
      if (!found.has(id))
        found.set(id, {
          id,
          label: side !== undefined && i === 0 ? `∂ ${label}` : label,
          parent: i === 0 ? '' : name(parts.slice(0, i).join('.')),
          kind: 'layer',
          ...(side === undefined ? {} : { side }),
        })
    })
  }
  return [...found.values()]
}

/** The innermost known box that holds a leaf such as `conv1.weight`, and what remains of its name. */
export const homeOf = (boxes: ReadonlySet<string>, path: string): readonly [box: string, label: string] => {
  const parts = path.split('.')
  for (let n = parts.length - 1; n > 0; n--) {
    const box = boxOf(parts.slice(0, n).join('.'))
    if (boxes.has(box)) return [box, parts.slice(n).join('.')]
  }
  return ['', path]
}
