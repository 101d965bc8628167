/** The script of the page: traces the network, draws it, and keeps it in step with the worker that trains it. */
import * as E from 'fp-ts/lib/Either.js'
import { explainAll, orThrow, type Program, type QuantErrors } from '../../src/index.js'
import { mountLive, sceneOf, type Live, type Scene } from '../../viz/index.js'
import { allAt, quantLayers, type LayerBits } from '../digits/network.js'
import { drawnProgram } from './programs.js'
import type { Edition, Order, Recipe, Report, Start } from './protocol.js'

const TITLE = 'digits, training in this page'
const BITS = [2, 3, 4, 5, 6, 7, 8]

/** A whole number of the address (`?limit=640`), kept within bounds. */
const wholeOf =
  (search: URLSearchParams) =>
  (name: string, otherwise: number, least: number, most: number): number => {
    const n = Number(search.get(name) ?? otherwise)
    return Number.isInteger(n) ? Math.min(most, Math.max(least, n)) : otherwise
  }

/** How to train: `?limit=8000&held=500&epochs=6&seed=1&batch=32&bits=8&threads=2&paused`. */
const settingsOf = (
  search: URLSearchParams,
): { readonly recipe: Recipe; readonly bits: number; readonly threads: number; readonly paused: boolean } => {
  const whole = wholeOf(search)
  const limit = whole('limit', 8000, 8, 8000)
  return {
    recipe: {
      limit,
      held: whole('held', 500, 8, 2000),
      epochs: whole('epochs', 6, 1, 1000),
      seed: whole('seed', 1, 0, 2 ** 31),
      batchSize: Math.min(limit, whole('batch', 32, 1, 256)),
      lr: 1e-3,
    },
    bits: whole('bits', 8, 2, 8),
    paused: search.has('paused'),
    // Without isolation there is no shared memory, hence one thread; else one core is left to the page.
    threads: crossOriginIsolated ? whole('threads', Math.max(1, navigator.hardwareConcurrency - 1), 1, 16) : 1,
  }
}

const sceneAt = (bits: LayerBits, batchSize: number): E.Either<QuantErrors, Scene> =>
  E.map((p: Program) => sceneOf(p, { title: TITLE }))(
    E.map((p): Program => p as Program)(drawnProgram(bits, batchSize)),
  )

const isLayer = (name: string): name is keyof LayerBits => quantLayers.some((l) => l === name)

const isolation = crossOriginIsolated ? '' : ' · this server sends no isolation headers, hence one thread'

/** Shows what the worker reports; of an edition that is no longer wanted, only its steps; of another run, nothing. */
const receive =
  (live: Live, edition: () => Edition) =>
  ({ data }: MessageEvent<Report>): void => {
    if (data.tag === 'ready')
      live.transport.backend(`${data.backend} · ${data.train} digits to train on, ${data.held} held out${isolation}`)
    else if (data.tag === 'status') live.transport.status(data.status)
    else if (data.tag === 'failed') live.transport.status('failed', data.message)
    else if (data.edition.run !== edition().run) return
    else if (data.edition.version === edition().version) live.frame(data.frame)
    else live.steps(data.frame)
  }

const main = (): void => {
  const { recipe, bits, threads, paused } = settingsOf(new URLSearchParams(location.search))
  let edition: Edition = { run: 0, version: 0, bits: allAt(bits) }
  const worker = new Worker(new URL('worker.js', document.baseURI), { type: 'module' })
  const tell = (order: Order): void => worker.postMessage(order, [])
  const turn = (next: Edition): void => {
    edition = next
    tell({ tag: 'edition', edition })
  }
  const scene = orThrow(sceneAt(edition.bits, recipe.batchSize))
  const changeBits = (layers: readonly string[], width: number): void => {
    const changed: LayerBits = { ...edition.bits, ...Object.fromEntries(layers.filter(isLayer).map((l) => [l, width])) }
    const next = sceneAt(changed, recipe.batchSize)
    if (E.isLeft(next)) return live.transport.status('failed', explainAll(next.left))
    live.retrace(next.right)
    turn({ run: edition.run, version: edition.version + 1, bits: changed })
  }
  const live: Live = mountLive(scene, {
    epochs: recipe.epochs,
    bits: BITS,
    onBits: changeBits,
    onGo: () => tell({ tag: 'go' }),
    onPause: () => tell({ tag: 'pause' }),
    onStep: () => tell({ tag: 'step' }),
    onPace: (ms) => tell({ tag: 'pace', ms }),
    onRestart: () => {
      live.clear()
      turn({ ...edition, run: edition.run + 1 })
    },
  })
  live.transport.status('loading')
  worker.addEventListener(
    'message',
    receive(live, () => edition),
  )
  worker.addEventListener('error', (e) =>
    live.transport.status('failed', e.message || 'the worker could not be started'),
  )
  const start: Start = {
    tag: 'start',
    recipe,
    edition,
    threads,
    digits: new URL('digits.bin', document.baseURI).href,
    paused,
  }
  worker.postMessage(start, [])
  addEventListener('pagehide', () => worker.terminate())
  // A page that comes back from the browser's cache has lost its worker.
  addEventListener('pageshow', (e) => {
    if (e.persisted) location.reload()
  })
}

main()
