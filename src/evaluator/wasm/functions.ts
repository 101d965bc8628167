/** Functions of one lane (exp, log, …) that a module's kernels call: each is emitted once per module, when it is first wanted. */
import type { Func, ModuleBuilder } from './asm/module.js'

/** Gives the function of a name: float32 → float32. Belongs to one module. */
export type FunctionTable = (name: string) => Func

/** How a function is emitted. */
export type FunctionSource = (m: ModuleBuilder, name: string) => Func

/** A table for the modules of one plan; nothing is kept beyond it. */
export const newFunctionTable = (source: FunctionSource): ((m: ModuleBuilder) => FunctionTable) => {
  const tables = new Map<ModuleBuilder, Map<string, Func>>()
  return (m) => (name) => {
    const table = tables.get(m) ?? new Map<string, Func>()
    tables.set(m, table)
    const known = table.get(name)
    if (known !== undefined) return known
    const made = source(m, name)
    table.set(name, made)
    return made
  }
}

/** No function is known. */
export const missingFunction: FunctionSource = (_m, name) => { throw new RangeError(`no lane function ${name}`) }
