/** Ends the collection of statistics by hand. */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantError, QuantErrors } from '../../data/error.js'
import { isMarked, marksOf, type Marked } from '../../data/marks.js'
import { at, mapTree } from '../../data/tree.js'
import { LEARNED } from '../../quantizers/collection.js'
import { layerProblems } from '../layers/checks.js'
import type { Layer } from '../layers/layer.js'
import { beside, meaningErrors } from './meanings.js'
import { treeProblems, wantedOfLayer, type Wanted } from './wanted.js'

type Counter = Wanted & { readonly collection: NonNullable<Wanted['collection']> }

const missing = (path: string): QuantError => ({
  tag: 'InputError',
  input: path,
  path,
  message: `${path} is missing in the state`,
  fix: 'give the state that init or the last run of this network returned',
})

const nothingCollected = (path: string): QuantError => ({
  tag: 'InputError',
  input: path,
  path,
  message: `${path} has collected nothing yet, so there is no statistic to learn from`,
  fix: 'run the network in training mode at least once, or choose a quantizer with a range (Int8ActPerTensorFloatMinMaxInit)',
})

/** The counter and value of one quantizer after its collection has ended. */
const finished = (
  { path, collection }: Counter,
  state: unknown,
): E.Either<QuantErrors, readonly (readonly [path: string, leaf: Marked])[]> => {
  const place = (name: string): string => beside(path, name)
  const [counter, buffer, value] = ['counter', 'buffer', 'value'].map((name): unknown => at(state, place(name)))
  if (!isMarked(counter)) return E.left([missing(path)])
  if (!isMarked(buffer)) return E.left([missing(place('buffer'))])
  if (!isMarked(value)) return E.left([missing(place('value'))])
  if (counter.data[0] >= LEARNED) return E.right([])
  if (counter.data[0] === 0) return E.left([nothingCollected(path.slice(0, path.lastIndexOf('.')))])
  const learned = value.data.map((v, i) => collection.take(v, buffer.data[i]))
  return E.right([
    [path, { shape: counter.shape, data: Float32Array.of(LEARNED), ...marksOf(counter) }],
    [place('value'), { shape: value.shape, data: learned, ...marksOf(value) }],
  ])
}

/**
 * Switches every collecting quantizer of a state over now: scales and zero points become what they would be, bit for bit, had the collection
 * ended here (`collectStatsSteps` calls, and the switch-over of the next one). Learned ones stay as they are. Errors: a quantizer that has
 * collected nothing, a state of another network.
 * @example pipe(training.state, finishCollection(net), E.map((state) => ({ ...training, state })))
 */
export const finishCollection =
  <P, S, I, O>(layer: Layer<P, S, I, O>) =>
  (state: S): E.Either<QuantErrors, S> => {
    const problems = [...layerProblems('finishCollection', layer), ...treeProblems('finishCollection', 'state', state)]
    if (problems.length > 0) return E.left(problems)
    const wanted = wantedOfLayer(layer).filter((w) => w.which === 'state')
    const misfits = wanted.flatMap((w) => {
      const t = at(state, w.path)
      return isMarked(t) ? meaningErrors({ path: w.path, learned: w.marks.learned === true, ...w.marks }, t, state) : []
    })
    if (misfits.length > 0) return E.left(misfits)
    const ends = wanted.filter((w): w is Counter => w.collection !== undefined && w.collection !== null)
    const done = ends.map((w) => finished(w, state))
    const errors = done.flatMap((d) => (E.isLeft(d) ? d.left : []))
    if (errors.length > 0) return E.left(errors)
    const next = new Map(done.flatMap((d) => (E.isRight(d) ? d.right : [])))
    return E.right(mapTree(isMarked, state, (t, path) => next.get(path) ?? t) as S)
  }
