/** The worker of the page: fetches the digits, chooses a backend, trains, and tells. */
import { orThrow } from '../../src/index.js'
import { chooseBackend } from './backend.js'
import { countDigits, decodeDigits } from './digitsFile.js'
import type { Order, Report, Start } from './protocol.js'
import { startTrainer, type Trainer } from './trainer.js'

const post = (report: Report): void => {
  globalThis.postMessage(report, {})
}

const isZipped = (bytes: Uint8Array): boolean => bytes[0] === 0x1f && bytes[1] === 0x8b

/** The file as bytes. It is stored zipped; some servers unzip such files on the way. */
const fetchDigits = async (url: string): Promise<Uint8Array> => {
  const response = await fetch(url)
  if (!response.ok) throw new Error(`${url}: ${response.status} ${response.statusText}`)
  const bytes = new Uint8Array(await response.arrayBuffer())
  if (!isZipped(bytes)) return bytes
  return new Uint8Array(
    await new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'))).arrayBuffer(),
  )
}

const begin = async (start: Start): Promise<Trainer> => {
  const [bytes, chosen] = await Promise.all([fetchDigits(start.digits), chooseBackend(start.threads)])
  if (countDigits(bytes) === null) throw new Error(`${start.digits} holds no digits; build the page again`)
  const backend = orThrow(chosen)
  const { limit, held } = start.recipe
  const test = decodeDigits(bytes, 0, held)
  // The first 2,000 are held out, whatever is asked for.
  const train = decodeDigits(bytes, HELD_OUT, HELD_OUT + limit)
  post({ tag: 'ready', backend: backend.words, train: train.labels.data.length, held: test.labels.data.length })
  const trainer = startTrainer({
    backend: backend.backend,
    recipe: start.recipe,
    edition: start.edition,
    train,
    held: test,
    paused: start.paused,
    post,
    now: () => performance.now(),
  })
  void trainer.done.then(() => backend.dispose())
  return trainer
}
const HELD_OUT = 2000

const listen = (): void => {
  let trainer: Trainer | null = null
  const early: Order[] = []
  addEventListener('message', ({ data }: MessageEvent<Start | Order>) => {
    if (data.tag !== 'start') {
      if (trainer === null) early.push(data)
      else trainer.tell(data)
      return
    }
    begin(data).then(
      (t) => {
        trainer = t
        early.forEach(t.tell)
      },
      (e: unknown) => post({ tag: 'failed', message: e instanceof Error ? e.message : String(e) }),
    )
  })
}

listen()
