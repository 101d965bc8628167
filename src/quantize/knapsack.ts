/** One of several choices for each of several parts: every sum of costs and losses that no other sum beats. */

/** The choices for one part. */
export type Choosable = readonly { readonly bits: number; readonly cost: number; readonly loss: number }[]

/** A choice for each part. */
export type Chosen = { readonly bits: readonly number[]; readonly cost: number; readonly loss: number }

/** A sum under construction: the choice of the latest part, and the sum before it. */
type Sum = { readonly cost: number; readonly loss: number; readonly bits: number; readonly before: Sum | null }

/** So many sums are kept from part to part; where there are more, of those of nearly one cost the best. */
const KEPT = 20_000

/** Sums by rising cost, each with less loss than all cheaper ones. */
const undominated = (sums: Sum[]): readonly Sum[] => {
  sums.sort((a, b) => a.cost - b.cost || a.loss - b.loss)
  let least = Infinity
  return sums.filter(({ loss }) => {
    if (!(loss < least)) return false
    least = loss
    return true
  })
}

/** The last of each run of sums whose cost is nearly the same: it has the least loss of them. */
const thinned = (sums: readonly Sum[]): readonly Sum[] => {
  if (sums.length <= KEPT) return sums
  const [from, to] = [sums[0].cost, sums[sums.length - 1].cost]
  const cell = (s: Sum): number => Math.floor(((s.cost - from) / (to - from)) * (KEPT - 1))
  return sums.filter((s, i) => i === 0 || i + 1 === sums.length || cell(s) !== cell(sums[i + 1]))
}

const choicesOf = (sum: Sum): readonly number[] => {
  const bits: number[] = []
  for (let s: Sum | null = sum; s !== null && s.before !== null; s = s.before) bits.push(s.bits)
  return bits.reverse()
}

/**
 * All choices that nothing beats, from the cheapest on: dynamic programming over the parts, of whose partial sums only
 * those are carried on that no other one beats in both. Exact as long as there are no more than 20,000 of these; then
 * the costs of neighbours are less than 1/20,000 of the range apart.
 */
export const frontOf = (parts: readonly Choosable[]): readonly Chosen[] => {
  const start: Sum = { cost: 0, loss: 0, bits: 0, before: null }
  const sums = parts.reduce<readonly Sum[]>(
    (front, part) =>
      thinned(
        undominated(
          front.flatMap((before) =>
            part.map(({ bits, cost, loss }) => ({ bits, cost: before.cost + cost, loss: before.loss + loss, before })),
          ),
        ),
      ),
    [start],
  )
  return sums.map((s) => ({ bits: choicesOf(s), cost: s.cost, loss: s.loss }))
}
