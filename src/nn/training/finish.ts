/** Walking a training or an evaluation to its end. */
import { failure, type QuantError } from '../../data/error.js'
import { demandArguments, func, required } from '../../data/fields.js'

const FINISH = {
  events: required({
    says: 'a training or an evaluation under way',
    like: 'train(net, crossEntropy, data, recipe)',
    holds: (x) => typeof x === 'object' && x !== null && 'next' in x && typeof x.next === 'function',
  }),
  look: { ...func, like: '(event) => console.log(event.step)' },
}

const walk = async <Event, A>(events: AsyncGenerator<Event, A, void>, look: (event: Event) => void): Promise<A> => {
  for (let first = true; ; first = false) {
    const next = await events.next()
    if (next.done === true && next.value === undefined && first) throw failure([alreadyWalked])
    if (next.done === true) return next.value
    look(next.value)
  }
}

const alreadyWalked: QuantError = {
  tag: 'InputError',
  input: 'events',
  path: '',
  message: 'finish was given events that were walked already: what they returned at their end is gone',
  fix: 'finish them once; a `for await` drops what is returned, so look at events by finish(events, (event) => …)',
}

/** Walks a training, or an evaluation, to its end and gives what it returned; `look` sees each event on the way. */
export const finish = <Event, A>(
  events: AsyncGenerator<Event, A, void>,
  look: (event: Event) => void = () => undefined,
): Promise<A> => {
  demandArguments('finish', { events, look }, FINISH)
  return walk(events, look)
}
