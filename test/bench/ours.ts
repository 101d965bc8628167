/** Our side: programs compiled for WebAssembly, resident in its memory; it hands its numbers to the peers. */
import { compile, createWasm, trainer, type WasmBackend } from '../../src/index.js'
import { idOf, type Case } from './cases.js'
import { handOver } from './handover.js'
import { build } from './build.js'
import { ready, type Peer, type Prepared, type Ready, type Surroundings } from './peer.js'
import { get, subjectOf, type Evaluation, type Training } from './subject.js'
import { trainDigits } from './digits.js'

/** A program whose arguments stay in the backend's memory, as PyTorch's tensors stay where they are. */
export const residentRun = (s: Pick<Evaluation, 'program' | 'args'>, backend: WasmBackend) => {
  const compiled = get(compile(s.program, backend))
  const resident = get(compiled.resident(s.args))
  const dispose = (): void => {
    resident.dispose()
    compiled.dispose()
  }
  return { run: (): void => void get(resident.execute()), resident, dispose }
}

/** A training step: inputs are copied in, the rest stays. */
export const trainingRun = (s: Training, backend: WasmBackend) => {
  const t = get(trainer(s.program, s.optimizer, s.start, backend))
  return { run: (): void => void get(t.step(s.inputs)), dispose: (): void => t.dispose() }
}

const evaluation = (c: Case, s: Evaluation, around: Surroundings, backend: WasmBackend): Ready => {
  const { run, resident, dispose } = residentRun(s, backend)
  run()
  handOver(around.folder, idOf(c), () => {
    const { outputs, grads } = resident.results()
    return s.numbers(s.resultsOf(outputs, grads))
  })
  return ready(run, dispose)
}

const training = (c: Case, s: Training, around: Surroundings, backend: WasmBackend): Ready => {
  handOver(around.folder, idOf(c), s.numbers)
  const { run, dispose } = trainingRun(s, backend)
  return ready(run, dispose)
}

/** Opens our side with a number of threads. */
export const ours = async (around: Surroundings): Promise<Peer> => {
  const backend = get(await createWasm({ threads: around.threads }))
  const prepare = async (c: Case): Promise<Prepared> => {
    if (c.workload === 'W7') return build(c, backend)
    if (c.workload === 'W8') return trainDigits(c, around, backend)
    const s = subjectOf(c, backend)
    return s.tag === 'evaluate' ? evaluation(c, s, around, backend) : training(c, s, around, backend)
  }
  return { prepare, close: () => backend.dispose() }
}
