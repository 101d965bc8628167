/** Zero points of activations: collected with a counter of their own, and then learned, or dynamic (SEMANTICS 5, SEMANTICS-2 sections 4, 5 and 8). */
import type { Value } from '../graph/op.js'
import { isSearched, linked, type Site, type Step } from './activationScale.js'
import { LEARNED, nextCounter, nextValue, type Collector, type Leaves } from './collection.js'
import { average, scaleInTraining } from './scaling.js'
import { searchedLowerEnd, solvedLowerEnd } from './search.js'
import { lowPercentile, smallestAtMostZero, viewAs } from './statistics.js'
import { zeroPointOf } from './zeroPoint.js'

/** What a call finds as the lower end of the range, and what a search remembers of it. */
const lowerEnd = (
  { q, layout }: Site,
  [x, scale, memory]: readonly Value[],
): readonly [low: Value, memory: readonly Value[]] => {
  if (q.zeroPointImpl === 'MSE') {
    const found = searchedLowerEnd(x, scale, q, layout)
    return [found, [found]]
  }
  if (q.zeroPointImpl === 'HQO') {
    const [found, turns] = solvedLowerEnd(x, scale, memory, q, layout)
    return [found, [turns]]
  }
  return [viewAs(lowPercentile(layout.rows(layout.cut(x)), q), layout.scale), []]
}

/** The scale that a search sees: of this call, but in the last collecting call the one that is learned from here on (surprise). */
const scaleForSearch = ({ q, kit, state }: Site, scale: Value, after: Leaves): Value => {
  if (!isSearched(q) || state.scale?.counter === undefined) return scale
  const { counter } = state.scale
  const goesOn = kit.emit('less', [counter, kit.constant(q.collectStatsSteps - 1)])
  const collects = kit.emit('less', [counter, kit.constant(q.collectStatsSteps)])
  const ending = kit.emit('select', [collects, scaleInTraining(after.value, q), scale])
  return kit.emit('select', [goesOn, scale, ending])
}

const MEMORY = { MSE: 'found', HQO: 'turns' } as const

/** The zero point of a Shifted quantizer: collected, then learned, with a counter of its own. */
const collectedZeroPoint = (site: Site, scale: Value, scaleAfter: Leaves): Step => {
  const { q, kit, x, leaf, width } = site
  const state = site.state.zeroPoint
  const steps = q.collectStatsSteps
  const take = (value: Value, buffer: Value): Value => kit.emit('add', [value, buffer])
  const c: Collector = { kit, state, steps, leaf: `${leaf}.zeroPoint.value`, take }
  if (kit.mode === 'eval') {
    const [w] = kit.phase({
      counter: state.counter,
      limit: LEARNED,
      warnSteps: steps,
      args: [state.buffer, state.value],
      collect: ([buffer]) => [buffer],
      learned: ([, value]) => [value],
    })
    return [zeroPointOf(w, scale, q, width), state]
  }
  const memory = q.zeroPointImpl === 'MSE' || q.zeroPointImpl === 'HQO' ? MEMORY[q.zeroPointImpl] : null
  const value = nextValue(c)
  const [w, buffer, remembered] = kit.phase({
    counter: state.counter,
    limit: steps,
    warnSteps: null,
    args: [
      x,
      state.buffer,
      value,
      state.counter,
      ...(memory === null ? [] : [scaleForSearch(site, scale, scaleAfter), state[memory]]),
    ],
    collect: ([xs, old, v, n, s, m], k) => {
      const [found, next] = lowerEnd(site, [xs, s, m])
      const stat = linked(found, v)
      return [stat, average(k, { counter: n, buffer: old }, stat, q.zeroPointStatsMomentum, 'add'), ...next]
    },
    learned: ([, old, v, , , m]) => [v, old, ...(memory === null ? [] : [m])],
  })
  return [
    zeroPointOf(w, scale, q, width),
    { counter: nextCounter(c), buffer, value, ...(memory === null ? {} : { [memory]: remembered }) },
  ]
}

/** The zero point of this call, and the state after it; `scaleAfter` is that of the scale. */
export const zeroPointFor = (site: Site, scale: Value, scaleAfter: Leaves): Step => {
  const { q, kit, x, layout, width } = site
  if (q.zeroPointImpl === 'zero') return [kit.constant(0), {}]
  if (q.scalingImplType !== 'DYNAMIC') return collectedZeroPoint(site, scale, scaleAfter)
  const low = viewAs(smallestAtMostZero(layout.rows(layout.cut(x))), layout.scale)
  return [zeroPointOf(low, scale, q, width), {}]
}
