/** Watches that a forward written by hand threads the state of its layers. */
import { callSite } from '../../graph/builder.js'
import type { Kit } from '../../graph/op.js'

/** One state record in flight: whose it is, where it was made, and where it was used up. */
type Ticket = { readonly made: string; used: string | null }

/** Watches that each layer's state is used once and that the last one is handed back. One per call of a model's forward. */
export type Watch = {
  readonly call: (name: string, state: object, kit: Kit) => boolean
  readonly made: (name: string, state: object, matters: boolean) => void
  readonly check: (returned: { readonly [name: string]: unknown }, kit: Kit) => void
}

/** A watch of one call of a forward. */
export const newWatch = (): Watch => {
  const tickets = new Map<object, Ticket>()
  const latest = new Map<string, object>()
  const stale = (kit: Kit, name: string, first: string, second: string, message: string): boolean => {
    latest.delete(name)
    kit.failWith({
      tag: 'StateError',
      path: kit.path() === '' ? name : `${kit.path()}.${name}`,
      first,
      second,
      message: `${message}\n    first:  ${first}\n    second: ${second}`,
      fix: `thread the state: const [y, ${name}1] = layers.${name}(…, state.${name}, x); const [z, ${name}2] = layers.${name}(…, ${name}1, y); return ${name}2`,
    })
    return false
  }
  return {
    call: (name, state, kit) => {
      const known = tickets.get(state)
      const site = callSite()
      if (known === undefined) tickets.set(state, { made: 'the state that the model was given', used: site })
      else if (known.used !== null)
        return stale(
          kit,
          name,
          known.used,
          site,
          `the same state of ${name} was used twice: the second call does not see what the first one changed`,
        )
      else known.used = site
      return true
    },
    made: (name, state, matters) => {
      tickets.set(state, { made: callSite(), used: null })
      if (matters) latest.set(name, state)
    },
    check: (returned, kit) => {
      for (const [name, state] of latest) {
        const back = returned[name]
        if (back !== state)
          stale(
            kit,
            name,
            typeof back === 'object' && back !== null
              ? (tickets.get(back)?.made ?? 'the state that the model was given')
              : 'nothing',
            tickets.get(state)?.made ?? '',
            `the state of ${name} that the forward hands back is not the last one it was given`,
          )
      }
    },
  }
}
