/** Nested plain records and arrays with leaves of one type: parameters, state, inputs, outputs. */
import { failure } from './error.js'

/** A leaf, or a record or array of trees. Record keys keep their order of insertion. */
export type Tree<A> = A | { readonly [key: string]: Tree<A> } | readonly Tree<A>[]

/** Says whether something is a leaf rather than a record or an array of trees. */
export type IsLeaf<A> = (x: unknown) => x is A

/** One leaf and where it stands: `conv1.weight`. */
export type Leaf<A> = { readonly path: string; readonly leaf: A }

const join = (path: string, key: string): string => (path === '' ? key : `${path}.${key}`)

const isBranch = (x: unknown): x is { readonly [key: string]: unknown } => typeof x === 'object' && x !== null

const DEEPEST = 256

/** The way down to a branch. A tree that holds itself, or is deeper than any network, is refused with a `QuantFailure`. */
const below = (above: readonly object[], branch: object, path: string): readonly object[] => {
  if (above.includes(branch) || above.length > DEEPEST)
    throw failure([
      {
        tag: 'InputError',
        input: path,
        path: '',
        message: `a tree of tensors ${above.includes(branch) ? 'holds itself' : `is nested more than ${DEEPEST} deep`}, at ${path}`,
        fix: 'give plain records and lists whose leaves are tensors',
      },
    ])
  return [...above, branch]
}

/** Every leaf with its path, in order. What is neither leaf nor record nor array is passed over. */
export const leaves = <A>(isLeaf: IsLeaf<A>, tree: unknown, path = ''): readonly Leaf<A>[] => {
  const out: Leaf<A>[] = []
  const visit = (t: unknown, at: string, above: readonly object[]): void => {
    if (isLeaf(t)) out.push({ path: at, leaf: t })
    else if (isBranch(t) && !ArrayBuffer.isView(t)) {
      const down = below(above, t, at)
      for (const key of Object.keys(t)) visit(t[key], join(at, key), down)
    }
  }
  visit(tree, path, [])
  return out
}

/** The same structure with each leaf replaced. */
export const mapTree = <A, B>(
  isLeaf: IsLeaf<A>,
  tree: unknown,
  f: (leaf: A, path: string) => B,
  path = '',
): Tree<B> => {
  const visit = (t: unknown, at: string, above: readonly object[]): Tree<B> => {
    if (isLeaf(t)) return f(t, at)
    if (!isBranch(t) || ArrayBuffer.isView(t)) return {}
    const down = below(above, t, at)
    if (Array.isArray(t)) return t.map((e: unknown, i) => visit(e, join(at, String(i)), down))
    const out: Record<string, Tree<B>> = {}
    for (const key of Object.keys(t)) out[key] = visit(t[key], join(at, key), down)
    return out
  }
  return visit(tree, path, [])
}

/** What stands at a path of a tree, or undefined. */
export const at = (tree: unknown, path: string): unknown =>
  path === ''
    ? tree
    : path.split('.').reduce<unknown>((t, key) => (isBranch(t) && Object.hasOwn(t, key) ? t[key] : undefined), tree)
