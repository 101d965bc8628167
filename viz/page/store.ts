/** A state that changes by actions alone, and what is done with each change. */

/** Takes actions, and has the state that they led to. */
export type Store<S, A> = { readonly state: () => S; readonly dispatch: (action: A) => void }

/** Keeps the state; `render` hears of each change: the state before, the one behind, and what was done. */
export const storeOf = <S, A>(
  first: S,
  reduce: (state: S, action: A) => S,
  render: (before: S, now: S, action: A) => void,
): Store<S, A> => {
  let state = first
  return {
    state: () => state,
    dispatch: (action) => {
      const before = state
      state = reduce(before, action)
      render(before, state, action)
    },
  }
}
