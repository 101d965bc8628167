/** Bytes that outlive a page: checkpoints in the browser's own database (IndexedDB), so that a refresh or a closed tab costs a few steps. */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantErrors } from '../../data/error.js'
import { argumentProblems, required, text, type Field } from '../../data/fields.js'

const DATABASE = 'quantrace'
const STORE = 'bytes'

const bytesField: Field = {
  says: 'bytes (a Uint8Array)',
  like: 'checkpointToBytes(training)',
  holds: (x) => x instanceof Uint8Array,
}

const storeError = (name: string, message: string, fix: string): E.Either<QuantErrors, never> =>
  E.left([{ tag: 'FileError', file: name, path: '', message, fix }])

/** What a request comes to. */
const settled = <A>(request: IDBRequest<A>): Promise<A> =>
  new Promise((done, failed) => {
    request.addEventListener('success', () => done(request.result))
    request.addEventListener('error', () => failed(request.error ?? new Error('the request failed')))
  })

/** When all that a transaction wrote is stored. */
const committed = (transaction: IDBTransaction): Promise<void> =>
  new Promise((done, failed) => {
    transaction.addEventListener('complete', () => done())
    for (const end of ['error', 'abort'] as const)
      transaction.addEventListener(end, () => failed(transaction.error ?? new Error('the transaction was given up')))
  })

const opened = (): Promise<IDBDatabase> => {
  const request = indexedDB.open(DATABASE, 1)
  request.addEventListener('upgradeneeded', () => {
    request.result.createObjectStore(STORE)
  })
  return settled(request)
}

/** Runs `body` over the database, which is closed however it ends; what the browser refuses is a `FileError`. */
const inStore = async <A>(
  name: string,
  doing: string,
  body: (database: IDBDatabase) => Promise<A>,
): Promise<E.Either<QuantErrors, A>> => {
  if (typeof indexedDB === 'undefined')
    return storeError(
      name,
      `${name} could not be ${doing}: there is no IndexedDB here`,
      'in Node use writeFileWhole and readFileBytes of quantrace/node',
    )
  try {
    const database = await opened()
    try {
      return E.right(await body(database))
    } finally {
      database.close()
    }
  } catch (e) {
    const why = e instanceof Error ? `${e.name}: ${e.message}` : String(e)
    return storeError(
      name,
      `${name} could not be ${doing}: ${why}`,
      'make room, or leave the private window: what was stored before is as it was',
    )
  }
}

/**
 * Keeps bytes under a name in the page's own database: whole or not at all, and what was there before until then. Errors: `FileError` where the browser
 * refuses (no room, a private window) or there is no IndexedDB.
 * @example
 * if (step % 50 === 0) orThrow(await keepInPage('digits', checkpointToBytes(trainer.training())))
 */
export const keepInPage = async (name: string, bytes: Uint8Array): Promise<E.Either<QuantErrors, void>> => {
  const wrong = argumentProblems('keepInPage', { name, bytes }, { name: required(text), bytes: required(bytesField) })
  if (wrong.length > 0) return E.left(wrong)
  // A copy: what is stored must not change while the browser writes it.
  const copy = bytes.slice()
  return inStore(name, 'kept', (database) => {
    const transaction = database.transaction(STORE, 'readwrite')
    transaction.objectStore(STORE).put(copy, name)
    return committed(transaction)
  })
}

/**
 * The bytes that were kept under a name, null where there are none.
 * @example
 * const kept = orThrow(await keptInPage('digits'))
 * const start = kept === null ? startTraining(orThrow(init(net, 0)), optimizer) : orThrow(parseCheckpoint(fresh, net)(kept))
 */
export const keptInPage = async (name: string): Promise<E.Either<QuantErrors, Uint8Array | null>> => {
  const wrong = argumentProblems('keptInPage', { name }, { name: required(text) })
  if (wrong.length > 0) return E.left(wrong)
  return inStore(name, 'read', async (database) => {
    const found: unknown = await settled(database.transaction(STORE).objectStore(STORE).get(name))
    return found instanceof Uint8Array ? found : null
  })
}

/** Forgets what was kept under a name. */
export const forgetInPage = async (name: string): Promise<E.Either<QuantErrors, void>> => {
  const wrong = argumentProblems('forgetInPage', { name }, { name: required(text) })
  if (wrong.length > 0) return E.left(wrong)
  return inStore(name, 'forgotten', (database) => {
    const transaction = database.transaction(STORE, 'readwrite')
    transaction.objectStore(STORE).delete(name)
    return committed(transaction)
  })
}
