/** Values as text, different ones as different texts. */

const exactly = (_name: string, x: unknown): unknown => {
  if (typeof x !== 'number' || (Number.isFinite(x) && !Object.is(x, -0))) return x
  return Object.is(x, -0) ? '#-0' : `#${x}`
}

/** JSON that tells -0 from 0, and NaN and the infinities from null. */
export const exactText = (x: unknown): string => JSON.stringify(x, exactly)
