/** Records that name parts of something: names that nothing has would do nothing, in silence. */
import type { QuantError } from './error.js'
import { nearestName } from './nearest.js'

const shown = (name: string): string => (name === '' ? "'' (the one without a name)" : JSON.stringify(name))

/** Errors for each name in `given` that is none of `known`, each with the nearest that is. `what` says what the known ones are: `input or output of this program`. */
export const strangers = (
  asker: string,
  option: string,
  given: object | undefined,
  about: { readonly known: readonly string[]; readonly what: string },
): readonly QuantError[] =>
  Object.keys(given ?? {})
    .filter((name) => !about.known.includes(name))
    .map((name) => {
      const near = nearestName(name, about.known)
      const all = about.known.slice(0, 8).map(shown).join(', ')
      const known = all === '' ? `leave ${option} out: there is no ${about.what}` : `known: ${all}`
      return {
        tag: 'ConfigError',
        option,
        path: '',
        message: `${asker} was given ${option} for ${shown(name)}, which is no ${about.what}`,
        fix: near === undefined ? known : `did you mean ${shown(near)}?`,
      }
    })
