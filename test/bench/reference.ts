/** The reference backend on the same programs: what the compiled evaluator gains. */
import * as E from 'fp-ts/lib/Either.js'
import { applyStep, compile, createWasm, reference as backend, type TrainState } from '../../src/index.js'
import { build } from './build.js'
import type { Case } from './cases.js'
import { ready, unable, type Peer, type Prepared } from './peer.js'
import { get, subjectOf, type Evaluation, type Training } from './subject.js'

const evaluation = (s: Evaluation): Prepared => {
  const compiled = get(compile(s.program, backend))
  return ready(
    () => void get(compiled.run(s.args)),
    () => compiled.dispose(),
  )
}

const training = (s: Training): Prepared => {
  const compiled = get(compile(s.program, backend))
  let t: TrainState<unknown, unknown> = s.start
  const step = (): void => {
    const ran = get(compiled.run({ params: t.params, state: t.state, inputs: s.inputs }))
    t = applyStep(t, ran, ran.grads, s.optimizer, undefined, t.position)
  }
  return ready(step, () => compiled.dispose())
}

/** Opens the reference backend. Quantizers are brought into their phase by ours, which gives the same bits sooner. */
export const reference = async (): Promise<Peer> => {
  const made = await createWasm({ threads: 1 })
  const settling = E.isRight(made) ? made.right : null
  const prepare = async (c: Case): Promise<Prepared> => {
    if (c.workload === 'W7') return build(c, backend)
    if (c.workload === 'W8') return unable('not written')
    const s = subjectOf(c, settling ?? backend)
    return s.tag === 'evaluate' ? evaluation(s) : training(s)
  }
  return { prepare, close: () => settling?.dispose() }
}
