/** Values as text, different ones as different texts. */

const exactly = (_name: string, x: unknown): unknown => {
  if (typeof x !== 'number' || (Number.isFinite(x) && !Object.is(x, -0))) return x
  return Object.is(x, -0) ? '#-0' : `#${x}`
}

/** Does JSON tell all of it as it is? Then no number needs to be looked at while the text is made. */
const isPlain = (x: unknown): boolean => {
  if (typeof x === 'number') return Number.isFinite(x) && !Object.is(x, -0)
  if (typeof x !== 'object' || x === null) return true
  if (Array.isArray(x)) {
    for (let i = 0; i < x.length; i++) if (!isPlain(x[i])) return false
    return true
  }
  return Object.getPrototypeOf(x) === Object.prototype && Object.values(x).every(isPlain)
}

/** JSON that tells -0 from 0, and NaN and the infinities from null. */
export const exactText = (x: unknown): string => (isPlain(x) ? JSON.stringify(x) : JSON.stringify(x, exactly))
