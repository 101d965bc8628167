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

/** Goes down to a branch, below those that are `above`. A tree that holds itself, or is deeper than any network, is refused with a `QuantFailure`. */
const enter = (above: object[], branch: object, path: string): void => {
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
  above.push(branch)
}

/** Every leaf with its path, in order. What is neither leaf nor record nor array is passed over. */
export const leaves = <A>(isLeaf: IsLeaf<A>, tree: unknown, path = ''): readonly Leaf<A>[] => {
  const out: Leaf<A>[] = []
  const above: object[] = []
  const visit = (t: unknown, at: string): void => {
    if (isLeaf(t)) out.push({ path: at, leaf: t })
    else if (isBranch(t) && !ArrayBuffer.isView(t)) {
      enter(above, t, at)
      for (const key of Object.keys(t)) visit(t[key], join(at, key))
      above.pop()
    }
  }
  visit(tree, path)
  return out
}

/** The same structure with each leaf replaced. */
export const mapTree = <A, B>(
  isLeaf: IsLeaf<A>,
  tree: unknown,
  f: (leaf: A, path: string) => B,
  path = '',
): Tree<B> => {
  const above: object[] = []
  const branch = (t: { readonly [key: string]: unknown }, at: string): Tree<B> => {
    if (Array.isArray(t)) return t.map((e: unknown, i) => visit(e, join(at, String(i))))
    const out: Record<string, Tree<B>> = {}
    for (const key of Object.keys(t)) out[key] = visit(t[key], join(at, key))
    return out
  }
  const visit = (t: unknown, at: string): Tree<B> => {
    if (isLeaf(t)) return f(t, at)
    if (!isBranch(t) || ArrayBuffer.isView(t)) return {}
    enter(above, t, at)
    const mapped = branch(t, at)
    above.pop()
    return mapped
  }
  return visit(tree, path)
}

/** What stands at a path of a tree, or undefined. */
export const at = (tree: unknown, path: string): unknown =>
  path === ''
    ? tree
    : path.split('.').reduce<unknown>((t, key) => (isBranch(t) && Object.hasOwn(t, key) ? t[key] : undefined), tree)
