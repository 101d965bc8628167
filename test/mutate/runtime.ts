/**
 * What stands in a bundle for each place that can be changed: a function of the mutant's number and of the operands. Counts how often each place is
 * reached, and ends a mutant that is reached without end.
 */

/** Thrown where the active mutant was reached far more often than its place is in the unchanged tree. */
export class Endless extends Error {}

/** How often each place was reached, and which mutant is active. */
export type Switches = {
  /** Makes one mutant active, or none (-1), and says how often it may be reached. */
  readonly choose: (id: number, most: number) => void
  /** How often each place has been reached since the last `forget`. */
  readonly reached: Uint32Array
  readonly forget: () => void
}

type Num = number

/** The functions that places call, and the switches behind them. */
export const newRuntime = (mutants: number) => {
  const reached = new Uint32Array(mutants)
  let [active, left] = [-1, 0]
  const on = (id: number): boolean => {
    reached[id]++
    if (id !== active) return false
    if (--left < 0) throw new Endless('its place is reached without end')
    return true
  }
  const switches: Switches = {
    reached,
    choose: (id, most) => {
      ;[active, left] = [id, most]
    },
    forget: () => void reached.fill(0),
  }
  const places = {
    on,
    less: (id: number, a: Num, b: Num) => (on(id) ? a <= b : a < b),
    lessEqual: (id: number, a: Num, b: Num) => (on(id) ? a < b : a <= b),
    greater: (id: number, a: Num, b: Num) => (on(id) ? a >= b : a > b),
    greaterEqual: (id: number, a: Num, b: Num) => (on(id) ? a > b : a >= b),
    equal: (id: number, a: unknown, b: unknown) => (on(id) ? a !== b : a === b),
    unequal: (id: number, a: unknown, b: unknown) => (on(id) ? a === b : a !== b),
    // Of texts too, which JavaScript tells by itself.
    plus: (id: number, a: Num, b: Num) => (on(id) ? a - b : a + b),
    minus: (id: number, a: Num, b: Num) => (on(id) ? a + b : a - b),
    times: (id: number, a: Num, b: Num) => (on(id) ? a / b : a * b),
    over: (id: number, a: Num, b: Num) => (on(id) ? a * b : a / b),
    modulo: (id: number, a: Num, b: Num) => (on(id) ? a * b : a % b),
    power: (id: number, a: Num, b: Num) => (on(id) ? a * b : a ** b),
    and: (id: number, a: unknown, b: () => unknown) => (on(id) ? a || b() : a && b()),
    or: (id: number, a: unknown, b: () => unknown) => (on(id) ? a && b() : a || b()),
    not: (id: number, a: unknown) => (on(id) ? Boolean(a) : !a),
    negative: (id: number, a: Num) => (on(id) ? a : -a),
  }
  return { switches, places }
}
