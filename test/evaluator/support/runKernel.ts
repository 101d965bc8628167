/** Assembles one kernel into a module of its own and runs its stages: for tests and benchmarks of kernels alone. */
import type { Kernel, Places } from '../../../src/evaluator/wasm/kernel.js'
import { newModule, type Func } from '../../../src/evaluator/wasm/asm/module.js'

/** A stage as it can be called. */
export type RunnableStage = { readonly label: string; readonly units: number; readonly run: (from: number, to: number) => void }

/** A kernel in memory. `args` and `out` are views of its operands and its result. */
export type Runnable = {
  readonly args: readonly Float32Array[]
  readonly out: Float32Array
  readonly stages: readonly RunnableStage[]
  /** Runs everything once; `split` runs the units of a stage, in any pieces and order (default: at once). */
  readonly run: (split?: (stage: RunnableStage) => void) => void
  /** Bytes of the module, and milliseconds that assembling took. */
  readonly size: number
  readonly assembly: number
  /** Did the last run fall back? */
  readonly fellBack: () => boolean
}

const rounded = (bytes: number): number => Math.ceil(bytes / 64) * 64

const wholly = (stage: RunnableStage): void => stage.run(0, stage.units)

/** Instantiates a kernel for operands of the given sizes; memory that it hasn't been given is full of NaN. */
export const instantiate = (kernel: Kernel, argSizes: readonly number[], outSize: number): Runnable => {
  let end = 64
  const place = (bytes: number): number => {
    const at = end
    end += rounded(bytes)
    return at
  }
  const at: Places = { args: argSizes.map((n) => place(n * 4)), outs: [place(outSize * 4)], scratch: place(kernel.scratch), constants: place(kernel.constants?.length ?? 0), flags: place(8) }
  const began = performance.now()
  const m = newModule()
  const emitted: { readonly name: string; readonly func: Func; readonly label: string; readonly units: number }[] = []
  const emit = (k: Kernel, places: Places, prefix: string): void => k.stages.forEach((stage, i) => {
    const func = stage.emit(m, places)
    const name = `${prefix}${i}`
    m.func({ name, params: ['i32', 'i32'], body: ({ params: [from, to] }) => func.call(from.get, to.get) })
    emitted.push({ name, func, label: stage.label, units: stage.units })
  })
  emit(kernel, at, 'main')
  const { fallback } = kernel
  if (fallback !== undefined) emit(fallback.kernel, { ...at, scratch: at.scratch + fallback.offset, constants: at.constants + fallback.constantsOffset }, 'other')
  const pages = Math.ceil(end / 65536)
  const bytes = m.bytes({ pages, maximum: pages, shared: true })
  const assembly = performance.now() - began
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true })
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes), { env: { memory } })
  new Float32Array(memory.buffer).fill(NaN)
  if (kernel.constants !== null) new Uint8Array(memory.buffer).set(kernel.constants, at.constants)
  const flag = fallback === undefined ? null : new Int32Array(memory.buffer, at.flags, 2)
  const callable = (prefix: string): readonly RunnableStage[] => emitted.filter((e) => e.name.startsWith(prefix)).map(({ name, label, units }) => {
    const run = exports[name]
    if (typeof run !== 'function') throw new Error(`no function ${name}`)
    return { label, units, run: (from, to) => void run(from, to) }
  })
  const [stages, others] = [callable('main'), callable('other')]
  return {
    args: argSizes.map((n, i) => new Float32Array(memory.buffer, at.args[i], n)),
    out: new Float32Array(memory.buffer, at.outs[0], outSize),
    stages,
    run: (split = wholly) => {
      if (flag !== null) flag.fill(0)
      for (const [i, stage] of stages.entries()) {
        split(stage)
        if (flag !== null && fallback !== undefined && i === fallback.after && flag.some((word) => word !== 0)) return others.forEach(split)
      }
    },
    size: bytes.length,
    assembly,
    fellBack: () => flag !== null && flag.some((word) => word !== 0),
  }
}
