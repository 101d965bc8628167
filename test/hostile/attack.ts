/** Attacks one kind of input many times, and says what gave way. */
import { isLeft } from 'fp-ts/lib/Either.js'
import type { Kind } from './kinds.js'
import { random } from './mutate.js'

/** What came of an attack. */
export type Attacked = {
  readonly kind: string
  readonly inputs: number
  readonly refused: number
  readonly slowestMs: number
  readonly rssMiB: number
  readonly faults: readonly string[]
}

const TAGS: ReadonlySet<string> = new Set([
  'ParseError',
  'ImportError',
  'InputError',
  'ShapeError',
  'StateError',
  'ConfigError',
  'MetadataError',
  'CheckFailed',
  'NonFinite',
  'BackendError',
  'LayerError',
])
const areTyped = (left: unknown): boolean =>
  Array.isArray(left) &&
  left.length > 0 &&
  left.every((e) => TAGS.has(e?.tag) && e.message.length > 0 && e.fix.length > 0)

/** Milliseconds that one small input may take. */
const SLOWEST = 5000
const MOST_RSS = 2 ** 30

const polluted = (): boolean =>
  'polluted' in {} || Object.keys(Object.prototype).length > 0 || Object.keys(Array.prototype).length > 0

/** Reads one input: what is wrong with that, or null. */
const attackOnce = (
  kind: Kind,
  input: unknown,
): { readonly fault: string | null; readonly refused: boolean; readonly ms: number } => {
  const start = performance.now()
  try {
    const read = kind.read(input as never)
    const ms = performance.now() - start
    if (isLeft(read) && !areTyped(read.left))
      return { fault: `an error without a type: ${JSON.stringify(read.left).slice(0, 300)}`, refused: true, ms }
    if (polluted()) return { fault: 'a prototype was polluted', refused: false, ms }
    return { fault: ms > SLOWEST ? `it took ${ms.toFixed(0)} ms` : null, refused: isLeft(read), ms }
  } catch (e) {
    const said = e instanceof Error ? (e.stack ?? e.message).split('\n').slice(0, 4).join(' ') : String(e)
    return { fault: `it threw ${said}`, refused: false, ms: performance.now() - start }
  }
}

/** So many inputs of a kind, from a seed on. */
export const attack = (kind: Kind, count: number, seed: number): Attacked => {
  const before = process.memoryUsage().rss
  const faults: string[] = []
  let [refused, slowestMs, most] = [0, 0, before]
  for (let i = 0; i < count; i++) {
    const once = attackOnce(kind, kind.make(random(seed + i)))
    if (once.fault !== null) faults.push(`${kind.name}, seed ${seed + i}: ${once.fault}`)
    if (once.refused) refused++
    slowestMs = Math.max(slowestMs, once.ms)
    if (i % 100 === 0) most = Math.max(most, process.memoryUsage().rss)
  }
  if (most - before > MOST_RSS)
    faults.push(`${kind.name}: memory grew by ${((most - before) / 2 ** 20).toFixed(0)} MiB`)
  return { kind: kind.name, inputs: count, refused, slowestMs, rssMiB: (most - before) / 2 ** 20, faults }
}
