/** The leaves of an imported model: which tensors of the file are parameters, which are state, and under which names. */
import { sameShape, type Shape } from '../../../data/shape.js'
import type { Tensor } from '../../../data/tensor.js'
import { at } from '../../../data/tree.js'
import type { Kit, Value } from '../../../graph/op.js'
import { isValue } from '../../../graph/trace.js'
import type { LeafSpec, SpecTree } from '../../../nn/layers/layer.js'
import type { Known, Role } from './entry.js'
import { float32, type Host } from './host.js'
import { importError } from './model.js'
import type { Leaves } from './session.js'

/** One leaf: where it stands, and the tensor with which it starts. */
export type Leaf = { readonly path: readonly string[]; readonly role: Role; readonly host: Host; readonly shape: Shape }

const keyOf = (k: Known): string => k.key ?? k.leaf

/** Names of records: no dots, none of JavaScript's own. */
const segment = (part: string): string => {
  const name = part.replace(/[^A-Za-z0-9_-]/g, '_')
  return name === '__proto__' || name === 'constructor' || name === 'prototype' ? `${name}_` : name
}

/** `conv1.weight` or `/conv1/Constant_output_0` as the way down to a leaf. */
const wayTo = (name: string): readonly string[] => {
  const parts = name
    .split(/[./:]+/)
    .filter((p) => p !== '')
    .map(segment)
  // Deeper than any network; a tree may not be deeper than 256.
  if (parts.length === 0) return ['tensor']
  return parts.length > 32 ? [parts.join('_')] : parts
}

/** Notes which leaves a model needs; each name is used once, and no leaf stands where another has branches. */
export const newLedger = () => {
  const leaves = new Map<string, Leaf>()
  const taken = new Set<string>()
  const branches = new Set<string>()
  const free = (path: readonly string[]): boolean =>
    !taken.has(path.join('.')) &&
    !branches.has(path.join('.')) &&
    path.every((_, i) => i === 0 || !taken.has(path.slice(0, i).join('.')))
  const place = (name: string): readonly string[] => {
    const way = wayTo(name)
    const flat = [way.join('_')]
    let path = free(way) ? way : flat
    for (let k = 2; !free(path); k++) path = [`${flat[0]}_${k}`]
    taken.add(path.join('.'))
    path.forEach((_, i) => i > 0 && branches.add(path.slice(0, i).join('.')))
    return path
  }
  return {
    leaves: leaves as ReadonlyMap<string, Leaf>,
    /** The leaf of a known tensor; one that anybody trains is a parameter for all. */
    note: (known: Known, role: Role): void => {
      const key = keyOf(known)
      const old = leaves.get(key)
      if (old === undefined)
        leaves.set(key, { path: place(known.leaf), role, host: known.host, shape: known.host.shape })
      else if (old.role === 'constant' && role !== 'constant') leaves.set(key, { ...old, role })
    },
  }
}

const MEANINGS: { readonly [R in Role]?: string } = {
  scale: 'the end of a grid of an ONNX file: a scale times 2^(bits - 1), of unsigned integers times 2^bits',
  zero: 'the zero point of a quantizer, as in an ONNX file',
}

const specOf = (leaf: Leaf): LeafSpec => {
  const t: Tensor = { shape: leaf.shape, data: float32(leaf.host) }
  const means = MEANINGS[leaf.role]
  return {
    shape: leaf.shape,
    learned: leaf.role !== 'constant',
    ...(means === undefined ? {} : { means }),
    init: (g) => [t, g],
  }
}

/** Where a leaf stands: weights in the parameters, all else in the state. */
export const isParam = (leaf: Leaf): boolean => leaf.role === 'weight'

type Growing = { [name: string]: LeafSpec | Growing }

/** The leaves as nested records. */
export const treeOf = (leaves: Iterable<Leaf>): SpecTree => {
  const root: Growing = {}
  for (const leaf of leaves) {
    let branch = root
    for (const name of leaf.path.slice(0, -1)) {
      const next = branch[name] ?? {}
      branch[name] = next
      branch = next as Growing
    }
    branch[leaf.path[leaf.path.length - 1]] = specOf(leaf)
  }
  return root as SpecTree
}

const sameHost = (a: Host, b: Host): boolean => {
  if (a === b || a.data === b.data) return sameShape(a.shape, b.shape) || a.data.length === 1
  if (!sameShape(a.shape, b.shape)) return false
  for (let i = 0; i < a.data.length; i++) if (!Object.is(a.data[i], b.data[i])) return false
  return true
}

/** Finds leaves in the trees of a trace. What depends on sizes may be another tensor there than when the model was imported. */
export const leavesIn =
  (leaves: ReadonlyMap<string, Leaf>, params: unknown, state: unknown): Leaves =>
  (known: Known, _role: Role, kit: Kit): Value => {
    const leaf = leaves.get(keyOf(known))
    const found = leaf === undefined ? undefined : at(isParam(leaf) ? params : state, leaf.path.join('.'))
    if (leaf !== undefined && isValue(found) && sameHost(leaf.host, known.host)) return found
    return kit.failWith(
      importError(
        `the constant ${JSON.stringify(known.leaf)} depends on the sizes of the inputs, which are not those for which the model was imported`,
        'import it again for these sizes: importOnnx(bytes, { inputs: { name: shape } })',
        'constant',
        kit.path(),
      ),
    )
  }
