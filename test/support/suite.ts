/**
 * uvu's `suite` with what uvu lacks: a time-out per test, an error for a test that was registered but never run (no
 * `.run()`, or tests after it), and for an `.only` that was left behind. Use it in every test file.
 */
import { suite as uvuSuite, type Callback, type Test } from 'uvu'

/** Milliseconds that one test may take. */
export const defaultLimit = 20_000

type Registered = { readonly name: string; waiting: number; ran: boolean }

const registered: Registered[] = []

// A suite that nobody ran leaves no trace in uvu's totals, so the process itself must fail.
process.on('exit', () => {
  for (const { name, waiting, ran } of registered) {
    if (ran && waiting === 0) continue
    console.error(`Suite '${name}': ${ran ? `${waiting} test(s) registered after .run()` : 'never called .run()'}. Call .run() last.`)
    process.exitCode = 1
  }
})

/** `test`, failing once it has taken more than `limit` ms. A loop that never yields is only found at its end, or by the runner's time-out per file. */
const timed = <T>(name: string, limit: number, test: Callback<T>): Callback<T> => async (context) => {
  const start = performance.now()
  const message = `'${name}' took more than ${limit} ms. Make it smaller, or give its suite a longer limit.`
  let timer: NodeJS.Timeout | undefined
  try {
    await Promise.race([
      (async () => test(context))(),
      new Promise<never>((_, reject) => { timer = setTimeout(() => reject(new Error(message)), limit) }),
    ])
  } finally {
    clearTimeout(timer)
  }
  if (performance.now() - start > limit) throw new Error(message)
}

/** A suite as uvu makes it, each of whose tests may take `limit` ms. */
export const suite = <T = Record<string, unknown>>(title = '', context?: T, limit: number = defaultLimit): Test<T> => {
  const inner = uvuSuite<T>(title, context)
  const entry: Registered = { name: title, waiting: 0, ran: false }
  registered.push(entry)
  const test = (name: string, body: Callback<T>): void => {
    entry.waiting += 1
    inner(name, timed(name, limit, body))
  }
  const only = (name: string, body: Callback<T>): void => {
    if (process.env['CI'] !== undefined) throw new Error(`'${name}' is marked .only, which would skip the rest of its suite in CI.`)
    entry.waiting += 1
    inner.only(name, timed(name, limit, body))
  }
  const run = (): void => {
    entry.ran = true
    entry.waiting = 0
    inner.run()
  }
  return Object.assign(test, { only, run, skip: inner.skip, before: inner.before, after: inner.after })
}
