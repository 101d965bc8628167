/** A float network made ready to be rewritten: sums as layers, what hides its layers lifted, batch norms merged. */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantErrors } from '../data/error.js'
import { mergeBatchNorm, type Merged } from '../nn/merging/mergeBatchNorm.js'
import type { InputsOf } from '../nn/program/program.js'
import { withJoins } from './joins.js'
import { withLifted, type WithLifted } from './lift/parts.js'
import { numbersFrom } from './numbers.js'
import { netOf } from './trees.js'
import type { QuantizeReport, Trained } from './types.js'

/** The network as it will be rewritten. */
export type Prepared<I, O> = { readonly merged: Merged<I, O>; readonly lifted: QuantizeReport['lifted'] }

/** Makes a network ready; its results stay what they are in evaluation, up to rounding. */
export const prepared = <I, O>(trained: Trained<I, O>, inputs: InputsOf<I>): E.Either<QuantErrors, Prepared<I, O>> => {
  const joined = netOf<I, O>(withJoins(trained.net))
  const whole = E.chain((t: Trained<I, O>) => withLifted(t, inputs))(numbersFrom(joined, trained))
  return E.chain((t: WithLifted<I, O>) =>
    E.map((merged: Merged<I, O>): Prepared<I, O> => ({ merged, lifted: t.lifted }))(mergeBatchNorm(t.net, inputs, t)),
  )(whole)
}
