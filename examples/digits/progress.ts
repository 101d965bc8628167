/** What is said while a network trains. */
import type { Tensor, TrainEvent } from '../../src/index.js'
import { isKept } from './session.js'

/** Which phase the quantizers are in: the smallest counter of a collecting one tells. */
const phaseOf = (state: unknown): string => {
  let [collecting, learned] = [0, 0]
  const visit = (t: unknown): void => {
    if (typeof t !== 'object' || t === null || ArrayBuffer.isView(t)) return
    if ('counter' in t && 'buffer' in t) {
      if ((t.counter as Tensor).data[0] <= COLLECT_STEPS) collecting++
      else learned++
    }
    for (const child of Object.values(t)) visit(child)
  }
  visit(state)
  if (collecting > 0) return `collecting (${collecting})`
  return learned > 0 ? 'learned' : ''
}
const COLLECT_STEPS = 30

const bar = (share: number): string => '█'.repeat(Math.round(share * 20)).padEnd(20, '░')

const lineOf = (
  name: string,
  e: Omit<TrainEvent<unknown, unknown>, 'training'>,
  epochs: number,
  perSecond: number,
  phase: string,
): string =>
  `${name}  epoch ${e.epoch + 1}/${epochs}  ${bar(e.batch / e.batches)}  loss ${e.loss.toFixed(4)}  accuracy ${((e.accuracy ?? 0) * 100).toFixed(1)}%  ${perSecond.toFixed(0)} images/s  ${phase}`

/** Progress of one network's training: one line that changes on a terminal, one line per epoch elsewhere. */
export const progress = (name: string, epochs: number) => {
  const began = Date.now()
  // Of the latest event: what is done after training isn't part of its rate.
  let latest = began
  let images = 0
  let [loss, right, count] = [0, 0, 0]
  let phase = ''
  const rate = (): number => (images * 1000) / Math.max(1, latest - began)
  const onEvent = (e: TrainEvent<unknown, unknown>): void => {
    latest = Date.now()
    // Reading the state copies it: only at the start, and where it is kept anyway.
    if (phase === '' || isKept(e)) phase = phaseOf(e.training.state)
    if (e.tag === 'step') {
      images += e.size
      loss += e.loss * e.size
      right += (e.accuracy ?? 0) * e.size
      count += e.size
      if (process.stdout.isTTY) process.stdout.write(`\r${lineOf(name, e, epochs, rate(), phase)}\x1b[K`)
      return
    }
    const line = lineOf(
      name,
      { ...e, loss: loss / Math.max(1, count), accuracy: right / Math.max(1, count) },
      epochs,
      rate(),
      phase,
    )
    console.log(process.stdout.isTTY ? `\r${line}\x1b[K` : line)
    loss = right = count = 0
  }
  return { onEvent, rate, images: () => images, seconds: () => (latest - began) / 1000 }
}
