/** Watches that a forward written by hand threads the state of its layers. */
import { callSite } from '../../graph/builder.js'
import { leaves } from '../../data/tree.js'
import type { Kit } from '../../graph/op.js'
import { isValue } from '../../graph/trace.js'

/** One state record in flight: where it was made, how many loops deep, and where it was used up. */
type Ticket = { readonly made: string; readonly depth: number; used: string | null }

/** Watches that each layer's state is used once and that the last one is handed back. One per call of a model's forward. */
export type Watch = {
  readonly call: (name: string, state: object, kit: Kit) => boolean
  readonly made: (name: string, state: object, matters: boolean, kit: Kit) => void
  readonly check: (returned: { readonly [name: string]: unknown }, kit: Kit) => void
}

/**
 * Is it what a loop made of a state that its body handed back? The state itself never leaves the body: each leaf goes round as part of the carry,
 * and comes out as a value of the graph around the loop; one that the body left alone is the same value.
 */
const cameOutOfLoop = (state: object, back: object, given: unknown): boolean => {
  const [made, out] = [leaves(isValue, state), leaves(isValue, back)]
  const old = new Set(leaves(isValue, given).map((l) => l.leaf.id))
  return (
    made.length === out.length &&
    made.every(({ path, leaf }, i) => {
      const { path: place, leaf: after } = out[i]
      return path === place && (leaf.id === after.id || (leaf.kit !== after.kit && !old.has(after.id)))
    })
  )
}

/** A watch of one call of a forward, by the state that it was given. */
export const newWatch = (given: unknown): Watch => {
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
  const madeAt = (back: unknown): string =>
    typeof back === 'object' && back !== null
      ? (tickets.get(back)?.made ?? 'the state that the model was given')
      : 'nothing'
  const isOfLoop = (state: object, back: unknown, kit: Kit): boolean => {
    const deeper = (tickets.get(state)?.depth ?? 0) > (kit.depth?.() ?? 0)
    return (
      deeper && typeof back === 'object' && back !== null && !tickets.has(back) && cameOutOfLoop(state, back, given)
    )
  }
  return {
    call: (name, state, kit) => {
      const known = tickets.get(state)
      const site = callSite()
      if (known === undefined) tickets.set(state, { made: 'the state that the model was given', depth: 0, used: site })
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
    made: (name, state, matters, kit) => {
      tickets.set(state, { made: callSite(), depth: kit.depth?.() ?? 0, used: null })
      if (matters) latest.set(name, state)
    },
    check: (returned, kit) => {
      for (const [name, state] of latest) {
        const back = returned[name]
        if (back === state || isOfLoop(state, back, kit)) continue
        const second = tickets.get(state)?.made ?? ''
        const message = `the state of ${name} that the forward hands back is not the last one it was given`
        stale(kit, name, madeAt(back), second, message)
      }
    },
  }
}
