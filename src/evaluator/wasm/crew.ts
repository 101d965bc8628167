/** Threads of a backend: workers that share the arenas of its plans. Effects stand here. */
import { MOST_THREADS, WORDS, WORKER_TEXT } from './workerText.js'
import { PAGE_BYTES, CREW_MS, IDLE_MEMORIES } from './machine.js'

/** What threads need to take part in a plan. */
export type Crew = {
  readonly threads: number
  /** May this thread sleep (a page's main thread may not)? */
  readonly mayWait: boolean
  /** Work of fewer nanoseconds stays with one thread. */
  readonly splitAbove: number
  /** Makes a plan known to the other threads; gives a number for it. */
  readonly enlist: (module: WebAssembly.Module, memory: WebAssembly.Memory) => number
  readonly dismiss: (plan: number) => void
  /** Starts a segment on the other threads; gives how many threads, this one included, take part. */
  readonly start: (plan: number, segment: string) => number
  /** Memory of at least so many pages, perhaps used before: threads let go of memory late, so it is not made anew each time. */
  readonly take: (pages: number) => WebAssembly.Memory
  readonly give: (memory: WebAssembly.Memory) => void
  /** Called after a thread did not come. */
  readonly lost: () => void
}

/** A worker, in Node or in a page. */
type Hand = { readonly post: (message: object) => void; readonly end: () => void }

/** A crew that can be sent home. */
export type OwnedCrew = Crew & {
  readonly end: () => void
  /** Workers that did not start in time. */ readonly missing: number
}

type NodeThreads = {
  readonly Worker: new (
    text: string,
    options: { readonly eval: boolean; readonly execArgv: readonly string[] },
  ) => {
    postMessage(m: object): void
    terminate(): Promise<number>
    unref(): void
    on(event: 'error' | 'exit', f: (x: unknown) => void): void
  }
}
type NodeSystem = { readonly availableParallelism: () => number }

/** A module of Node by a name that bundlers can't follow into a page. */
const nodeModule = async <T>(name: string): Promise<T> =>
  (await import(/* webpackIgnore: true */ /* @vite-ignore */ `node:${name}`)) as T

/** Is this Node, whichever version? */
export const isNode = (): boolean => typeof process === 'object' && typeof process.versions?.node === 'string'

/** Cores that this process may use. */
export const coresHere = async (): Promise<number> =>
  isNode() ? (await nodeModule<NodeSystem>('os')).availableParallelism() : navigator.hardwareConcurrency || 1

const hire = async (failed: () => void): Promise<Hand> => {
  if (isNode()) {
    const { Worker: NodeWorker } = await nodeModule<NodeThreads>('worker_threads')
    // Flags of the process are not for it: --input-type=module would make its text a module, loaders would slow its start.
    const w = new NodeWorker(WORKER_TEXT, { eval: true, execArgv: [] })
    // A waiting worker must not keep the process alive.
    w.unref()
    w.on('error', failed)
    w.on('exit', failed)
    return { post: (m) => w.postMessage(m), end: () => void w.terminate() }
  }
  const url = URL.createObjectURL(new Blob([WORKER_TEXT], { type: 'text/javascript' }))
  const w = new Worker(url)
  w.addEventListener('error', failed)
  URL.revokeObjectURL(url)
  return { post: (m) => w.postMessage(m), end: () => w.terminate() }
}

/** Shared memories that plans take and give back. Sizes are powers of two, so that few kinds serve all plans. */
const newMemories = (): Pick<Crew, 'take' | 'give'> => {
  const idle: WebAssembly.Memory[] = []
  return {
    take: (pages) => {
      let size = 1
      while (size < pages) size *= 2
      const at = idle.findIndex((m) => m.buffer.byteLength === size * PAGE_BYTES)
      const [known] = at < 0 ? [undefined] : idle.splice(at, 1)
      return known ?? new WebAssembly.Memory({ initial: size, maximum: size, shared: true })
    },
    give: (memory) => {
      idle.push(memory)
      if (idle.length > IDLE_MEMORIES) idle.shift()
    },
  }
}

/** May this thread sleep? A page's main thread may not. */
const maySleep = (): boolean => isNode() || typeof document === 'undefined'

/** What is told to and heard from `count` workers through the words that all share. */
type Signals = {
  /** Wakes the workers, if one of them sleeps. */
  readonly wake: () => void
  /** How many threads, this one included, know a plan: those up to the first that does not. */
  readonly knowing: (plan: number) => number
  /** Waits until all know a plan, but not for long. */
  readonly awaitAll: (plan: number) => void
  /** Workers that have not said that they are there. */
  readonly missing: () => number
}

const newSignals = (control: Int32Array, count: number): Signals => {
  const knowing = (plan: number): number => {
    let t = 1
    while (t <= count && Atomics.load(control, WORDS.known + t) >= plan) t++
    return t
  }
  return {
    knowing,
    wake: () => {
      Atomics.add(control, WORDS.generation, 1)
      for (let t = 1; t <= count; t++) {
        if (Atomics.load(control, WORDS.asleep + t) === 1) {
          Atomics.notify(control, WORDS.generation)
          return
        }
      }
    },
    awaitAll: (plan) => {
      const until = performance.now() + (maySleep() ? CREW_MS.reading : CREW_MS.readingAwake)
      for (let t = knowing(plan); t <= count && performance.now() < until; t = knowing(plan)) {
        // Sleeping leaves the core to the worker that is waited for.
        if (maySleep()) Atomics.wait(control, WORDS.known + t, Atomics.load(control, WORDS.known + t), 5)
      }
    },
    missing: () => {
      let silent = 0
      for (let t = 1; t <= count; t++) if (Atomics.load(control, WORDS.known + t) < 0) silent++
      return silent
    },
  }
}

/** Waits a while for all workers to say that they are there; gives how many did not. */
const startUp = async ({ missing }: Signals): Promise<number> => {
  for (const until = performance.now() + CREW_MS.startup; missing() > 0 && performance.now() < until;)
    await new Promise((done) => {
      setTimeout(done, 1)
    })
  return missing()
}

/** Hires `threads - 1` workers. */
export const newCrew = async (threads: number, splitAbove: number): Promise<OwnedCrew> => {
  const count = Math.min(threads, MOST_THREADS) - 1
  const control = new Int32Array(new SharedArrayBuffer(256))
  let alive = true
  const hands: Hand[] = []
  const end = (): void => {
    alive = false
    for (const h of hands) h.end()
    hands.length = 0
  }
  for (let t = 0; t < count; t++)
    hands.push(
      await hire(() => {
        alive = false
      }),
    )
  const signals = newSignals(control, count)
  const tell = (message: (thread: number) => object): void => {
    hands.forEach((h, i) => h.post(message(i + 1)))
    Atomics.add(control, WORDS.messages, 1)
    signals.wake()
  }
  control.fill(-1, WORDS.known)
  tell((thread) => ({ tag: 'hello', control, thread }))
  const missing = await startUp(signals)
  return {
    threads: count + 1,
    splitAbove,
    mayWait: maySleep(),
    ...newMemories(),
    ...newPlans(
      control,
      signals,
      (message) => {
        if (alive) tell(() => message)
      },
      () => alive,
    ),
    lost: end,
    end,
    missing,
  }
}

/** The plans that workers are told of. `tell` says nothing once the crew is gone. */
const newPlans = (
  control: Int32Array,
  { wake, knowing, awaitAll }: Signals,
  tell: (message: object) => void,
  isAlive: () => boolean,
): Pick<Crew, 'enlist' | 'dismiss' | 'start'> => {
  const waited = new Set<number>()
  let plans = 0
  return {
    enlist: (module, memory) => {
      const plan = ++plans
      tell({ tag: 'enlist', plan, module, memory })
      return plan
    },
    dismiss: (plan) => {
      waited.delete(plan)
      tell({ tag: 'dismiss', plan })
    },
    start: (plan, segment) => {
      if (!isAlive()) return 1
      if (!waited.has(plan)) {
        waited.add(plan)
        awaitAll(plan)
      }
      const present = knowing(plan)
      if (present === 1) return 1
      // First of all: a worker that still reads the words of an earlier start, of which it was no part, sees that they change.
      Atomics.store(control, WORDS.started, Atomics.load(control, WORDS.generation) + 1)
      Atomics.store(control, WORDS.plan, plan)
      Atomics.store(control, WORDS.segment, Number(segment.slice('segment'.length)))
      Atomics.store(control, WORDS.threads, present)
      wake()
      return present
    },
  }
}
