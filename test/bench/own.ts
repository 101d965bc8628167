/** What users' own ops cost beside ours: `node --import tsx test/bench/own.ts`, or as a part of `npm run bench`. */
import { pathToFileURL } from 'node:url'
import * as q from '../../src/index.js'
import { columns } from './table.js'
import { get } from './subject.js'

const SIZE = 400_000
const ROUNDS = 60
/** A user's op may take so many times the time of the built-in one. */
const MOST = 1.3

const softsign = q.unary({
  name: 'own',
  doc: "x/(1 + |x|), a user's.",
  attrs: {},
  f: (x) => x / (1 + Math.abs(x)),
  lanes: (e, [x]) => e.div(x, e.add(e.one, e.abs(x))),
  carry: q.strips('x/(1 + |x|) is on no grid'),
  vjp: { none: 'it is only timed' },
})
const leaky = q.unary({
  name: 'own',
  doc: "x where positive, else an eighth of it, a user's.",
  attrs: {},
  f: (x) => (x > 0 ? x : 0.125 * x),
  lanes: (e, [x]) => e.select(e.gt(x, e.zero), x, e.mul(e.constant(0.125), x)),
  carry: q.strips('an eighth of a step is off the grid'),
  vjp: { none: 'it is only timed' },
})

type Own = { readonly label: string; readonly ours: (x: q.Value) => q.Value; readonly own: (x: q.Value) => q.Value }
const OWN: readonly Own[] = [
  {
    label: "a user's surrogate(round, tanh)",
    ours: (x) => q.apply(q.ops['round~identity'], [x]),
    own: (x) => q.apply(q.surrogate(q.ops.round, q.ops.tanh), [x]),
  },
  {
    label: "a user's softsign with lanes",
    ours: (x) => q.apply(q.ops.softsign, [x]),
    own: (x) => q.apply(softsign, [x]),
  },
  {
    label: "a user's leakyRelu with lanes",
    ours: (x) => q.apply(q.ops.leakyRelu, [x], { negativeSlope: 0.125 }),
    own: (x) => q.apply(leaky, [x]),
  },
]

/** Milliseconds of one execution, in a small loop, as a function. */
const timed = (f: (x: q.Value) => q.Value): { readonly time: () => number; readonly dispose: () => void } => {
  const layer = q.functionLayer('timed', (x: q.Value) => q.mul(f(x), 3))
  const compiled = get(q.compile(get(q.trace(layer, q.tensorInput([SIZE]), { mode: 'eval' })), q.wasm))
  const resident = get(compiled.resident({ params: {}, state: {}, inputs: q.randn([SIZE])(q.manualSeed(1))[0] }))
  const time = (): number => {
    const began = performance.now()
    get(resident.execute())
    return performance.now() - began
  }
  return { time, dispose: compiled.dispose }
}

/** Both alternately, the best of many. */
const compared = ({ label, ours, own }: Own): readonly [label: string, ours: number, own: number] => {
  const [a, b] = [timed(ours), timed(own)]
  let [first, second] = [Infinity, Infinity]
  for (let i = 0; i < ROUNDS; i++) {
    first = Math.min(first, a.time())
    second = Math.min(second, b.time())
  }
  a.dispose()
  b.dispose()
  return [label, first, second]
}

/** The comparisons as a table. */
export const ownTable = (): string =>
  columns(
    [
      [`own ops, ${SIZE} numbers`, 'built-in ms', 'own ms', 'ratio', `at most ${MOST}`],
      ...OWN.map(compared).map(([label, ours, own]) => [
        label,
        ours.toFixed(3),
        own.toFixed(3),
        (own / ours).toFixed(2),
        own / ours <= MOST ? 'yes' : 'NO',
      ]),
    ],
    1,
  )

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) console.log(ownTable())
