/** Learning-rate schedules: pure functions of the step, counted from 0. */
import { cos } from '../../data/math.js'
import { fieldProblems, fraction, func, required, type Field } from '../../data/fields.js'
import { carrying, problemsOf, rate, type Carrying } from './options.js'

/**
 * The learning rate at a step. One that was made with wrong arguments carries them as `problems`, which `train` reports; a
 * call of it throws them.
 */
export type Schedule = Carrying<(step: number) => number>

const whole = (least: 0 | 1): Field => ({
  says: `a whole number of steps ${least === 0 ? 'from 0 on' : 'above 0'}`,
  like: '100',
  holds: (x) => typeof x === 'number' && Number.isSafeInteger(x) && x >= least,
})

/** Always the same: a number from 0 on. */
export const constantLr = (lr: number): Schedule =>
  carrying(fieldProblems('constantLr', { lr }, { lr: required(rate) }), () => lr)

/** Multiplied by `gamma` (from 0 to 1) every `every` steps (torch StepLR). */
export const stepDecay = (lr: number, every: number, gamma = 0.1): Schedule =>
  carrying(
    fieldProblems(
      'stepDecay',
      { lr, every, gamma },
      { lr: required(rate), every: required(whole(1)), gamma: fraction },
    ),
    (step: number): number => {
      let now = lr
      for (let k = Math.floor(step / every); k > 0; k--) {
        const next = now * gamma
        if (next === now) break
        now = next
      }
      return now
    },
  )

/** Falls along half a cosine from `lr` to `least` over `total` steps, and stays there (torch CosineAnnealingLR). */
export const cosineDecay = (lr: number, total: number, least = 0): Schedule =>
  carrying(
    fieldProblems('cosineDecay', { lr, total, least }, { lr: required(rate), total: required(whole(1)), least: rate }),
    (step: number): number => least + ((lr - least) * (1 + cos((Math.PI * Math.min(step, total)) / total))) / 2,
  )

/** Rises linearly over `steps` (from 0 on) to the first rate of another schedule, then follows it. */
export const linearWarmup = (steps: number, after: Schedule): Schedule =>
  carrying(
    [
      ...fieldProblems(
        'linearWarmup',
        { steps, after },
        {
          steps: required(whole(0)),
          after: required({ ...func, says: 'a schedule', like: 'constantLr(0.01)' }),
        },
      ),
      ...problemsOf(after),
    ],
    (step: number): number => (step < steps ? (after(0) * (step + 1)) / steps : after(step - steps)),
  )
