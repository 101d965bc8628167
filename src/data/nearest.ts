/** Names that were probably meant. */

/** Edits (insert, remove, replace a letter, swap two neighbours) from one name to another: optimal string alignment. */
const distance = (a: string, b: string): number => {
  let before: readonly number[] = []
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      next[j] = Math.min(
        row[j] + 1,
        next[j - 1] + 1,
        row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1),
        swapped ? before[j - 2] + 1 : Infinity,
      )
    }
    before = row
    row = next
  }
  return row[b.length]
}

/** No name that anybody mistypes is longer. */
const LONGEST = 200

const camel = (name: string): string => name.replace(/_([a-z])/g, (_, c: string) => c.toUpperCase())

/**
 * The known name that was probably meant: a few letters apart, or one whose words hold all words of the other
 * (`weightBits`, `bitWidth` → `weightBitWidth`; `learningRate` → `lr` by its initials). Python's spelling counts as ours.
 */
export const nearestName = (asked: string, given: readonly string[]): string | undefined => {
  // Names out of files may be of any length; comparing them takes the product of their lengths.
  if (asked.length > LONGEST) return undefined
  const known = given.filter((k) => k.length <= LONGEST)
  const name = camel(asked)
  const words = (n: string): readonly string[] =>
    (n.match(/[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])/g) ?? [n]).map((w) => w.toLowerCase().replace(/s$/, ''))
  let [nearest, least] = ['', Infinity]
  for (const k of known) {
    const most = Math.max(1, Math.floor(Math.min(name.length, k.length) / 3))
    if (Math.abs(k.length - name.length) > most) continue
    const far = distance(name, k)
    if (far <= most && far < least) [nearest, least] = [k, far]
  }
  if (least < Infinity) return nearest
  const mine = words(name)
  const initials = mine.map((w) => w[0]).join('')
  return known.find((k) => k.toLowerCase() === initials) ?? known.find((k) => mine.every((w) => words(k).includes(w)))
}
