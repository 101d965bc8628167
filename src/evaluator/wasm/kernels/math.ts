/** The elementary functions of a module, each emitted when it is first asked for: four float32 lanes, promoted, computed in double, rounded. */
import type { LaneFunction } from '../../../graph/lanes.js'
import { f32x4 } from '../asm/instructions.js'
import { funcAt, type Func, type ModuleBuilder, type ValueType } from '../asm/module.js'
import { fromSingles, newWriter, toSingles, type Doubles, type Writer } from './doubles.js'
import { formulas } from './formulas.js'

/** Functions from double to double. */
export type MathName = LaneFunction

/** Four float32 numbers to four. */
export type LanesFunction = Func<readonly 'v128'[], 'v128'>
/** From float32 to float32. */
export type SingleFunction = Func<readonly ['f32'], 'f32'>

/** The functions of one module, each emitted when it is first asked for. */
export type MathFunctions = {
  /** f32 → f32: the double's result, rounded. */
  readonly single: (name: MathName) => SingleFunction
  /** A function of four lanes: promoted, computed in double by `formula`, and rounded. Emitted once for its key. */
  readonly lanes: (
    key: string,
    args: number,
    formula: (w: Writer, args: readonly Doubles[]) => Doubles,
  ) => LanesFunction
}

/** The functions of a module. Ask once per module (`newMath`), or they are emitted twice. */
export const mathFunctions = (m: ModuleBuilder): MathFunctions => {
  const known = new Map<string, number>()
  const shared = <P extends readonly ValueType[], R extends ValueType | 'none'>(
    key: string,
    emit: () => Func<P, R>,
  ): Func<P, R> => {
    const index = known.get(key) ?? emit().index
    known.set(key, index)
    m.label({ index }, key)
    return funcAt(index)
  }
  const lanes: MathFunctions['lanes'] = (key, args, formula) =>
    shared(key, () =>
      m.func({
        params: Array.from({ length: args }, () => 'v128' as const),
        result: 'v128',
        body: (scope) => {
          const w = newWriter(scope)
          const result = toSingles(
            formula(
              w,
              scope.params.map((x) => w.keep(fromSingles(x.get))),
            ),
          )
          return [w.fill(), w.statements(), result]
        },
      }),
    )
  return {
    lanes,
    single: (name) =>
      shared(`one ${name}`, () => {
        const four = lanes(`four ${name}`, 1, (w, [x]) => formulas[name](w, x, 'single'))
        return m.func({
          params: ['f32'],
          result: 'f32',
          body: ({ params: [x] }) => f32x4.extract(0, four.call(f32x4.splat(x.get))),
        })
      }),
  }
}

/** The functions of whichever module a kernel is emitted into. */
export type MathOf = (m: ModuleBuilder) => MathFunctions

/** Remembers the functions of each module; a plan makes one and gives it to its kernels. */
export const newMath = (): MathOf => {
  const modules = new WeakMap<ModuleBuilder, MathFunctions>()
  return (m) => {
    const math = modules.get(m) ?? mathFunctions(m)
    modules.set(m, math)
    return math
  }
}
