/** Nested plain records and arrays with leaves of one type: parameters, state, inputs, outputs. */

/** A leaf, or a record or array of trees. Record keys keep their order of insertion. */
export type Tree<A> = A | { readonly [key: string]: Tree<A> } | readonly Tree<A>[]

/** Says whether something is a leaf rather than a record or an array of trees. */
export type IsLeaf<A> = (x: unknown) => x is A

/** One leaf and where it stands: `conv1.weight`. */
export type Leaf<A> = { readonly path: string; readonly leaf: A }

const join = (path: string, key: string): string => (path === '' ? key : `${path}.${key}`)

const isBranch = (x: unknown): x is { readonly [key: string]: unknown } => typeof x === 'object' && x !== null

/** Every leaf with its path, in order. What is neither leaf nor record nor array is passed over. */
export const leaves = <A>(isLeaf: IsLeaf<A>, tree: unknown, path = ''): readonly Leaf<A>[] => {
  const out: Leaf<A>[] = []
  const visit = (t: unknown, at: string): void => {
    if (isLeaf(t)) out.push({ path: at, leaf: t })
    else if (isBranch(t)) for (const key of Object.keys(t)) visit(t[key], join(at, key))
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
  if (isLeaf(tree)) return f(tree, path)
  if (Array.isArray(tree)) return tree.map((t: unknown, i) => mapTree(isLeaf, t, f, join(path, String(i))))
  const out: Record<string, Tree<B>> = {}
  if (isBranch(tree)) for (const key of Object.keys(tree)) out[key] = mapTree(isLeaf, tree[key], f, join(path, key))
  return out
}

/** What stands at a path of a tree, or undefined. */
export const at = (tree: unknown, path: string): unknown =>
  path === ''
    ? tree
    : path.split('.').reduce<unknown>((t, key) => (isBranch(t) && Object.hasOwn(t, key) ? t[key] : undefined), tree)
