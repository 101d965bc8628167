/**
 * The program of a worker, as text: it must start in Node (worker_threads) and in pages (a blob) without a file of its
 * own. It instantiates plans over shared memory, then sleeps until a segment is started. Layout of the control words
 * (int32): 0 generation, 1 plan, 2 segment, 3 threads, 4 messages posted, 5 generation of the latest start, 8+t asleep, 24+t latest plan known
 * (-1 before the worker is there).
 */
import { CONTROL_WORDS } from './barrier.js'
import { WORKER_SPINS } from './machine.js'

export const WORDS = {
  generation: 0,
  plan: 1,
  segment: 2,
  threads: 3,
  messages: 4,
  started: 5,
  asleep: 8,
  known: 24,
} as const
/** Most threads that the control words have room for. */
export const MOST_THREADS = 16

const { givenUp: GIVEN_UP } = CONTROL_WORDS

export const WORKER_TEXT = `
'use strict';
const isNode = typeof self === 'undefined' || typeof process === 'object' && !!process.versions && !!process.versions.node;
const port = isNode ? require('node:worker_threads').parentPort : null;
const SPINS = ${WORKER_SPINS};
let control = null, me = 0, seen = 0, handled = 0;
const plans = new Map();
const loop = () => {
  for (;;) {
    if (Atomics.load(control, 4) !== handled) return;
    const generation = Atomics.load(control, 0);
    if (generation === seen) {
      let spins = 0;
      while (spins < SPINS && Atomics.load(control, 0) === seen) spins++;
      if (spins < SPINS) continue;
      Atomics.store(control, 8 + me, 1);
      Atomics.wait(control, 0, seen, 1000);
      Atomics.store(control, 8 + me, 0);
      continue;
    }
    seen = generation;
    const plan = plans.get(Atomics.load(control, 1));
    const segment = Atomics.load(control, 2);
    const threads = Atomics.load(control, 3);
    // A generation that only announces a message, or whose start went on without this thread, may be seen when the next one's words are already written.
    if (Atomics.load(control, 5) !== generation) continue;
    if (plan === undefined || me >= threads) continue;
    // Who fails says so, at the word that barriers look at: the others need not find out by waiting.
    try { plan.segments['segment' + segment](me, threads); }
    catch (e) { Atomics.add(plan.control, ${GIVEN_UP}, 1); Atomics.notify(plan.control, 0); throw e; }
  }
};
const receive = (m) => {
  if (m.tag === 'hello') { control = m.control; me = m.thread; seen = Atomics.load(control, 0); Atomics.store(control, 24 + me, 0); Atomics.notify(control, 24 + me); }
  else if (m.tag === 'enlist') {
    plans.set(m.plan, { segments: new WebAssembly.Instance(m.module, { env: { memory: m.memory } }).exports, control: new Int32Array(m.memory.buffer, 0, 64) });
    Atomics.store(control, 24 + me, m.plan);
    Atomics.notify(control, 24 + me);
  } else if (m.tag === 'dismiss') plans.delete(m.plan);
  handled++;
  loop();
};
if (isNode) port.on('message', receive); else self.onmessage = (e) => receive(e.data);
`
