/** The worker of the page that quantizes: keeps the model that was read. */
import * as E from 'fp-ts/lib/Either.js'
import { explainAll, isFailure, type QuantErrors } from '../../../src/index.js'
import type { Order, Report } from './protocol.js'
import { opened, quantized, shown, type Opened } from './work.js'

const post = (report: Report): void => {
  globalThis.postMessage(report, {})
}

const answer = (report: E.Either<QuantErrors, Report>): void =>
  post(E.isLeft(report) ? { tag: 'failed', message: explainAll(report.left) } : report.right)

const listen = (): void => {
  let model: Opened | null = null
  const obey = (order: Order): void => {
    if (order.tag === 'open') {
      const read = opened(order.name, order.bytes, order.shapes)
      model = E.isRight(read) ? read.right : null
      answer(E.map(shown)(read))
    } else if (model !== null) answer(quantized(model, order.scheme, order.samples, post))
  }
  addEventListener('message', ({ data }: MessageEvent<Order>) => {
    try {
      obey(data)
    } catch (e) {
      post({ tag: 'failed', message: isFailure(e) ? explainAll(e.errors) : String(e) })
    }
  })
}

listen()
