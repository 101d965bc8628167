/** Learning-rate schedules: pure functions of the step, counted from 0. */
import { failure, type QuantError } from '../../data/error.js'
import { cos } from '../../data/math.js'
import { fieldProblems, fraction, func, required, showGiven, type Field } from '../../data/fields.js'
import { carrying, inputError, problemsOf, rate, type Carrying } from './options.js'

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

/** A schedule of its formula; a step that is no number from 0 on is refused. */
const scheduled = (name: string, problems: readonly QuantError[], at: Schedule): Schedule =>
  carrying(problems, (step: number): number => {
    if (typeof step === 'number' && step >= 0) return at(step)
    throw failure([
      inputError('step', `a schedule of ${name} was asked for step ${showGiven(step)}`, 'count steps from 0'),
    ])
  })

/** Always the same: a number from 0 on. */
export const constantLr = (lr: number): Schedule =>
  scheduled('constantLr', fieldProblems('constantLr', { lr }, { lr: required(rate) }), () => lr)

/** Multiplied by `gamma` (from 0 to 1) every `every` steps (torch StepLR). */
export const stepDecay = (lr: number, every: number, gamma = 0.1): Schedule =>
  scheduled(
    'stepDecay',
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
  scheduled(
    'cosineDecay',
    fieldProblems('cosineDecay', { lr, total, least }, { lr: required(rate), total: required(whole(1)), least: rate }),
    (step: number): number => least + ((lr - least) * (1 + cos((Math.PI * Math.min(step, total)) / total))) / 2,
  )

/** Rises linearly over `steps` (from 0 on) to the first rate of another schedule, then follows it. */
export const linearWarmup = (steps: number, after: Schedule): Schedule =>
  scheduled(
    'linearWarmup',
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
