/** Which parts of a network are meant: by their paths, with all that lies inside. */
import type { QuantError } from './error.js'
import { nearestName } from './nearest.js'

/** Paths of layers or quantizers (`bn1`, `conv1.weightQuant`), or a function that says of a path whether it is meant. All that lies inside is meant too. */
export type Where = string | readonly string[] | ((path: string) => boolean)

/** A path and all that it lies in: `a.b` lies in `a` and in the whole, whose path is empty. */
export const outwards = (path: string): readonly string[] => {
  const names = path === '' ? [] : path.split('.')
  return names.map((_, i) => names.slice(0, names.length - i).join('.')).concat('')
}

/** The names that are asked for, or none where a function decides. */
export const namesIn = (where: Where): readonly string[] => {
  if (typeof where === 'function') return []
  return typeof where === 'string' ? [where] : where
}

/** Does `path` lie in what is meant? Answers are remembered: a function is asked once a path. */
export const liesIn = (where: Where): ((path: string) => boolean) => {
  const names = new Set(namesIn(where))
  const meant = typeof where === 'function' ? where : (path: string): boolean => names.has(path)
  const known = new Map<string, boolean>()
  return (path) => {
    const found = known.get(path) ?? outwards(path).some((p) => meant(p) === true)
    known.set(path, found)
    return found
  }
}

/** Can it say which parts are meant? */
export const isWhere = (x: unknown): x is Where =>
  typeof x === 'string' || typeof x === 'function' || (Array.isArray(x) && x.every((p) => typeof p === 'string'))

/** Names that are no part of a network whose leaves and nodes have these paths, each with the nearest one that is. */
export const partProblems = (
  asker: string,
  where: Where,
  placed: readonly { readonly path: string }[],
): readonly QuantError[] => {
  if (namesIn(where).length === 0) return []
  const known = new Set(placed.flatMap(({ path }) => outwards(path)))
  return namesIn(where)
    .filter((name) => !known.has(name))
    .map((name) => {
      const near = nearestName(name, [...known])
      return {
        tag: 'ConfigError',
        option: 'freeze',
        path: '',
        message: `${asker} was told to freeze ${JSON.stringify(name)}, which is no part of this network`,
        fix:
          near === undefined
            ? `name layers or quantizers by their paths: ${[...known]
                .filter((n) => n !== '')
                .slice(0, 8)
                .join(', ')}, …`
            : `did you mean ${JSON.stringify(near)}?`,
      }
    })
}
