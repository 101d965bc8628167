/** Stages image by image: what brings operands into order runs just before the product that reads it, while both are in cache. */
import type { Code } from '../../asm/encode.js'
import { i32 } from '../../asm/instructions.js'
import { forLoop } from '../../asm/module.js'
import type { Stage } from '../../kernel.js'
import { least } from './code.js'

/** A stage, and how many of its units one of the joined stage does; the last one may do fewer. */
export type Turn = { readonly stage: Stage; readonly units: number }

/** Stages as one: each unit does its share of all of them, in their order. The last of them makes the result. */
export const together = (before: readonly Turn[], last: Turn): Stage => {
  const turns = [...before, last]
  const { piece } = last.stage
  return {
    label: last.stage.label,
    units: Math.ceil(last.stage.units / last.units),
    cost: turns.reduce((t, { stage, units }) => t + units * stage.cost, 0),
    ...(piece === undefined ? {} : { piece }),
    emit: (m, at, behind) => {
      const run = turns.map(({ stage }) => stage.emit(m, at, stage === last.stage ? behind : undefined))
      return m.func({
        params: ['i32', 'i32'],
        body: (scope) => {
          const unit = scope.local('i32')
          const [first, end] = [scope.local('i32'), scope.local('i32')]
          const turn = ({ stage, units }: Turn, k: number): Code => [
            first.set(i32.mul(unit.get, i32.const(units))),
            end.set(i32.add(first.get, i32.const(units))),
            stage.units % units === 0 ? [] : end.set(least(end.get, stage.units)),
            run[k].call(first.get, end.get),
          ]
          return forLoop(unit, scope.params[0].get, scope.params[1].get, 1, turns.map(turn))
        },
      })
    },
  }
}
