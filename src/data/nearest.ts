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

const camel = (name: string): string => name.replace(/_([a-z])/g, (_, c: string) => c.toUpperCase())

/**
 * The known name that was probably meant: a few letters apart, or one whose words hold all words of the other
 * (`weightBits`, `bitWidth` → `weightBitWidth`; `learningRate` → `lr` by its initials). Python's spelling counts as ours.
 */
export const nearestName = (asked: string, known: readonly string[]): string | undefined => {
  const name = camel(asked)
  const words = (n: string): readonly string[] =>
    (n.match(/[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])/g) ?? [n]).map((w) => w.toLowerCase().replace(/s$/, ''))
  const [nearest] = [...known].sort((a, b) => distance(name, a) - distance(name, b))
  if (
    nearest !== undefined &&
    distance(name, nearest) <= Math.max(1, Math.floor(Math.min(name.length, nearest.length) / 3))
  )
    return nearest
  const mine = words(name)
  const initials = mine.map((w) => w[0]).join('')
  return known.find((k) => k.toLowerCase() === initials) ?? known.find((k) => mine.every((w) => words(k).includes(w)))
}
