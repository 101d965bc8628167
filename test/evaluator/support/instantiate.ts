/** Assembles one kernel into a module of its own and runs its stages: for tests and benchmarks of kernels alone. */
import type { Kernel, Places } from '../../../src/evaluator/wasm/kernel.js'
import { newModule } from '../../../src/evaluator/wasm/asm/module.js'

/** A stage as it can be called. */
export type RunnableStage = {
  readonly label: string
  readonly units: number
  readonly run: (from: number, to: number) => void
}

/** A kernel in memory. `args` and `outs` are views of its operands and its results. */
export type Runnable = {
  readonly memory: WebAssembly.Memory
  readonly places: Places
  readonly args: readonly Float32Array[]
  readonly outs: readonly Float32Array[]
  readonly stages: readonly RunnableStage[]
  /** Runs everything once; `split` runs the units of a stage, in any pieces and order (default: at once). */
  readonly run: (split?: (stage: RunnableStage) => void) => void
  /** Bytes of the module, and milliseconds that assembling took. */
  readonly size: number
  readonly assembly: number
  /** Did the last run fall back? */
  readonly fellBack: () => boolean
}

const PAGE = 65536
const LINE = 64
/** Bytes rounded up to whole buffers. */
export const rounded = (bytes: number): number => Math.ceil(bytes / LINE) * LINE

/** Every byte of memory that nobody has written yet: as float32 it is NaN. */
const NOISE = 0xff

const wholly = (stage: RunnableStage): void => stage.run(0, stage.units)

/** Places in order, a gap of one buffer between any two, so that writes beyond an end are seen. */
const layOut = (
  kernel: Kernel,
  argSizes: readonly number[],
  outSizes: readonly number[],
): { readonly places: Places; readonly pages: number } => {
  let end = LINE
  const place = (bytes: number): number => {
    const at = end
    end += rounded(bytes) + LINE
    return at
  }
  const places: Places = {
    args: argSizes.map((n) => place(n * 4)),
    outs: outSizes.map((n) => place(n * 4)),
    scratch: place(kernel.scratch),
    constants: place(kernel.constants?.length ?? 0),
    flags: place(8),
  }
  return { places, pages: Math.ceil(end / PAGE) }
}

type Exported = { readonly name: string; readonly label: string; readonly units: number }

/** Instantiates a kernel for operands and results of so many numbers each. */
export const instantiate = (kernel: Kernel, argSizes: readonly number[], outSizes: readonly number[]): Runnable => {
  const { places, pages } = layOut(kernel, argSizes, outSizes)
  const began = performance.now()
  const m = newModule()
  const emit = (k: Kernel, at: Places, prefix: string): readonly Exported[] =>
    k.stages.map((stage, i) => {
      const func = stage.emit(m, at)
      const name = `${prefix}${i}`
      m.func({ name, params: ['i32', 'i32'], body: ({ params: [from, to] }) => func.call(from.get, to.get) })
      return { name, label: stage.label, units: stage.units }
    })
  const { fallback } = kernel
  const main = emit(kernel, places, 'main')
  const other =
    fallback === undefined
      ? []
      : emit(
          fallback.kernel,
          {
            ...places,
            scratch: places.scratch + fallback.offset,
            constants: places.constants + fallback.constantsOffset,
          },
          'other',
        )
  const bytes = m.bytes({ pages, maximum: pages, shared: true })
  const assembly = performance.now() - began
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true })
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes), { env: { memory } })
  new Uint8Array(memory.buffer).fill(NOISE)
  if (kernel.constants !== null) new Uint8Array(memory.buffer).set(kernel.constants, places.constants)
  const flag = fallback === undefined ? null : new Int32Array(memory.buffer, places.flags, 2)
  const callable = ({ name, label, units }: Exported): RunnableStage => {
    const run = exports[name]
    if (typeof run !== 'function') throw new Error(`no function ${name}`)
    return { label, units, run: (from, to) => void run(from, to) }
  }
  const [stages, others] = [main.map(callable), other.map(callable)]
  const views = (at: readonly number[], sizes: readonly number[]) =>
    sizes.map((n, i) => new Float32Array(memory.buffer, at[i], n))
  return {
    memory,
    places,
    stages,
    assembly,
    args: views(places.args, argSizes),
    outs: views(places.outs, outSizes),
    run: (split = wholly) => {
      if (flag !== null) flag.fill(0)
      for (const [i, stage] of stages.entries()) {
        split(stage)
        if (flag !== null && fallback !== undefined && i === fallback.after && flag.some((word) => word !== 0))
          return others.forEach(split)
      }
    },
    size: bytes.length,
    fellBack: () => flag !== null && flag.some((word) => word !== 0),
  }
}
