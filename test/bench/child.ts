/**
 * One peer in a process of its own, compiled by bundle.ts: `child.mjs '{"peer":…,"threads":…,"folder":…,"budget":…,"ids":[…]}'` prints a line of
 * JSON for everything that happens (`Event`), which the parent reads.
 */
import { pathToFileURL } from 'node:url'
import { caseOf } from './cases.js'
import type { Event, JobSpec, Runner } from './events.js'
import { receive, Mismatch } from './handover.js'
import { measure, TooSlow } from './measure.js'
import type { Peer, Surroundings } from './peer.js'

const open: Readonly<Partial<Record<Runner, (around: Surroundings) => Promise<Peer>>>> = {
  ours: async (around) => (await import('./ours.js')).ours(around),
  reference: async () => (await import('./reference.js')).reference(),
  'tfjs-wasm': async () => (await import('./tfjs.js')).tfjs(),
  'jax-js': async () => (await import('./jaxjs.js')).jaxjs(),
  'ort-web': async (around) => (await import('./ort.js')).ortWeb(around),
  'copy-wasm': async () => (await import('./copy.js')).copying('copy-wasm'),
  'copy-memmove': async () => (await import('./copy.js')).copying('copy-memmove'),
}

const emit = (e: Event): void => void process.stdout.write(`${JSON.stringify(e)}\n`)

const messageOf = (e: unknown): string => (e instanceof Error ? e.message : String(e)).slice(0, 600)

const timeCase = async (peer: Peer, spec: JobSpec, id: string): Promise<void> => {
  emit({ tag: 'begin', id })
  const prepared = await peer.prepare(caseOf(id), () => receive(spec.folder, id))
  if (prepared.tag === 'unable') return emit({ tag: 'unable', id, why: prepared.why })
  if (prepared.note !== undefined) emit({ tag: 'note', id, note: prepared.note })
  if (prepared.tag === 'done') {
    for (const row of prepared.rows)
      emit({ tag: 'times', id: row.id, variant: '', best: row.ms, median: row.ms, samples: 1 })
    if (prepared.accuracy !== undefined) emit({ tag: 'accuracy', id, accuracy: prepared.accuracy })
    return
  }
  emit({ tag: 'ready', id })
  const times = await measure(prepared.run, spec.budget)
  emit({ tag: 'times', id, variant: '', ...times })
  prepared.dispose()
}

const main = async (): Promise<void> => {
  const spec: JobSpec = JSON.parse(process.argv[2] ?? '')
  const peer = await open[spec.peer]?.(spec)
  if (peer === undefined) throw new RangeError(`there is no peer ${spec.peer}`)
  for (const id of spec.ids) {
    try {
      await timeCase(peer, spec, id)
    } catch (e) {
      emit({
        tag: e instanceof TooSlow ? 'slow' : e instanceof Mismatch ? 'mismatch' : 'failed',
        id,
        why: messageOf(e),
      })
    }
  }
  peer.close()
  // Peers leave workers behind.
  process.exit(0)
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await main()
