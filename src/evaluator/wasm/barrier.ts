/** Barriers between the threads of a segment: they count arrivals in the arena's first bytes, and give up on a thread that never comes. */
import { atomics, control, i32 } from './asm/instructions.js'
import type { Func, ModuleBuilder } from './asm/module.js'
import { BARRIER, PATIENCE } from './machine.js'

/** Words of the control area: arrivals at barriers, and whether a thread was given up. */
const ARRIVALS = 0
const GIVEN_UP = 64
/** Arrivals at the start of a segment: rounds are counted from here, so that nothing is reset while a thread still looks at it. */
export const BASE = 128
/** The control words as the host sees them: numbers of 32-bit words. */
export const CONTROL_WORDS = {
  arrivals: ARRIVALS / 4,
  givenUp: GIVEN_UP / 4,
  base: BASE / 4,
  patience: 33,
  guard: 60,
} as const
/** How many naps make a thread that never comes: the host writes it before a segment starts. */
const PATIENCE_AT = 4 * CONTROL_WORDS.patience
const SLEEPERS = 192
/**
 * Raised (1) where a number can't be stored as a byte; the word behind it outlives a run: it is raised by what is done once
 * with parameters and state. The host clears and reads them.
 */
export const GUARD = 240
/** The patience of a segment's threads with each other, from the longest time that it took so far (null: it never ran). */
export const patience = (longestMs: number | null): number =>
  longestMs === null
    ? PATIENCE.atFirst
    : Math.min(10 * PATIENCE.atFirst, Math.max(PATIENCE.least, Math.ceil((PATIENCE.times * longestMs) / BARRIER.napMs)))

/** Waits for the others in a round: 0, or 1 where a thread did not come. */
export type Barrier = Func<readonly ['i32'], 'i32'>

/** `barrier(round, threads) → 1 where a thread did not come`. */
export const emitBarrier = (m: ModuleBuilder, mayWait: boolean): Barrier =>
  m.func({
    params: ['i32'],
    result: 'i32',
    body: ({ params: [target], local }) => {
      const [spins, naps, seen] = [local('i32'), local('i32'), local('i32')]
      const arrived = atomics.load(i32.const(ARRIVALS))
      const lost = [control.drop(atomics.add(i32.const(GIVEN_UP), i32.const(1))), control.return(i32.const(1))]
      const sleep = [
        control.drop(atomics.add(i32.const(SLEEPERS), i32.const(1))),
        seen.set(arrived),
        control.if(
          i32.lt_s(i32.sub(seen.get, target.get), i32.const(0)),
          control.drop(atomics.wait(i32.const(ARRIVALS), seen.get, BARRIER.napMs * 1e6)),
        ),
        control.drop(atomics.add(i32.const(SLEEPERS), i32.const(-1))),
      ]
      return [
        control.drop(atomics.add(i32.const(ARRIVALS), i32.const(1))),
        control.if(atomics.load(i32.const(SLEEPERS)), control.drop(atomics.notify(i32.const(ARRIVALS), i32.const(-1)))),
        control.block(
          control.loop([
            control.br_if(1, i32.ge_s(i32.sub(arrived, target.get), i32.const(0))),
            control.if(atomics.load(i32.const(GIVEN_UP)), control.return(i32.const(1))),
            spins.set(i32.add(spins.get, i32.const(1))),
            control.br_if(0, i32.lt_u(spins.get, i32.const(BARRIER.spins))),
            mayWait ? sleep : spins.set(i32.const(0)),
            naps.set(i32.add(naps.get, i32.const(1))),
            control.if(
              i32.gt_u(naps.get, i32.mul(i32.load(i32.const(PATIENCE_AT)), i32.const(mayWait ? 1 : BARRIER.awakeNaps))),
              lost,
            ),
            control.br(0),
          ]),
        ),
        i32.const(0),
      ]
    },
  })
