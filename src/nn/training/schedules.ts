/** Learning-rate schedules: pure functions of the step, counted from 0. */
import { cos } from '../../data/math.js'

/** The learning rate at a step. */
export type Schedule = (step: number) => number

/** Always the same. */
export const constantLr =
  (lr: number): Schedule =>
  () =>
    lr
/** Multiplied by `gamma` every `every` steps. */
export const stepDecay =
  (lr: number, every: number, gamma = 0.1): Schedule =>
  (step) => {
    let rate = lr
    for (let k = Math.floor(step / every); k > 0; k--) rate *= gamma
    return rate
  }
/** Falls along half a cosine from `lr` to `least` over `total` steps (torch CosineAnnealingLR). */
export const cosineDecay =
  (lr: number, total: number, least = 0): Schedule =>
  (step) =>
    least + ((lr - least) * (1 + cos((Math.PI * Math.min(step, total)) / total))) / 2
/** Rises linearly over `steps`, then follows another schedule. */
export const linearWarmup =
  (steps: number, then: Schedule): Schedule =>
  (step) =>
    step < steps ? (then(0) * (step + 1)) / steps : then(step - steps)
