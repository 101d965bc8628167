/**
 * Equal kernels share their code: a plan that is many equal steps long (an unrolled loop) would else be as many copies, which
 * differ in addresses alone. Shared code is written for bases instead of addresses, and finds those in globals of the module
 * (each thread has its own), which a step sets before its calls. Only short kernels are shared: long ones gain by constants.
 */
import type { Code } from './asm/encode.js'
import { globals, i32 } from './asm/instructions.js'
import type { ModuleBuilder } from './asm/module.js'
import type { Kernel, Places } from './kernel.js'
import type { PlannedStep } from './placing.js'
import { emitKernel, type EmittedKernel } from './segment.js'
import { SHARED_NS, SHARED_STEPS } from './machine.js'

/** A step's functions, and what sets the bases that they read. */
export type SharedKernel = { readonly kernel: EmittedKernel; readonly begin: Code }

const costOf = ({ stages, fallback }: Kernel): number =>
  stages.reduce((n, s) => n + s.units * s.cost, 0) + (fallback === undefined ? 0 : costOf(fallback.kernel))

const addressesOf = (at: Places): readonly number[] => [...at.args, ...at.outs, at.scratch, at.constants, at.flags]

/** Places for which code is written once: a base for each different address; and the addresses in that order. */
const basesOf = (
  at: Places,
): { readonly places: Places; readonly addresses: readonly number[]; readonly key: string } => {
  const addresses = [...new Set(addressesOf(at))]
  const base = (address: number): number => globals.base(addresses.indexOf(address))
  return {
    addresses,
    places: {
      args: at.args.map(base),
      outs: at.outs.map(base),
      scratch: base(at.scratch),
      constants: base(at.constants),
      flags: base(at.flags),
    },
    key: addressesOf(at)
      .map((a) => addresses.indexOf(a))
      .join(),
  }
}

/** Emits the kernels of steps, equal ones once where `shares`. */
export const newSharing = (
  m: ModuleBuilder,
  steps: readonly PlannedStep[],
  shares: boolean,
): ((s: PlannedStep, kernel: Kernel, at: Places, name: string) => SharedKernel) => {
  const uses = new Map<Kernel, number>()
  for (const { kernel } of steps) if (kernel !== null) uses.set(kernel, (uses.get(kernel) ?? 0) + 1)
  const known = new Map<Kernel, Map<string, EmittedKernel>>()
  return (s, kernel, at, name) => {
    if (!shares || (uses.get(kernel) ?? 0) < SHARED_STEPS || costOf(kernel) > SHARED_NS)
      return { kernel: emitKernel(m, kernel, at, name, s.path), begin: [] }
    const { places, addresses, key } = basesOf(at)
    const own = known.get(kernel) ?? new Map<string, EmittedKernel>()
    known.set(kernel, own)
    const made = own.get(key) ?? emitKernel(m, kernel, places, name, s.path)
    own.set(key, made)
    m.needGlobals(addresses.length)
    return { kernel: made, begin: addresses.map((a, k) => globals.set(k, i32.const(a))) }
  }
}
