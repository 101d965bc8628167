/**
 * The k-th smallest of each row, exactly, in linear time: bounds from a sample, one pass that keeps what lies beyond
 * them, a selection among the few that are left. Where the sample misled (or ties are too many), the row is searched digit
 * by digit instead, so that no input takes more than a few passes.
 */
import { sizeOf } from '../../../data/shape.js'
import type { Code } from '../asm/encode.js'
import { f32, i32 } from '../asm/instructions.js'
import type { Local } from '../asm/module.js'
import type { Kernel, KernelSpec, Places, Stage } from '../kernel.js'
import { extremeOfRows } from './extreme.js'
import { selectKey } from './keys.js'
import { affine, perUnit, shares, wordAt } from './loops.js'
import { CANDIDATE, filterChunk, type FilterChunk } from './selectionFilter.js'
import { finishRow, newFinish, shortRow } from './selectionFinish.js'
import { planSelection, STRIPS, type SelectionPlan } from './selectionPlan.js'
import { sampleBounds } from './selectionSample.js'
import { SELECTION_NS, UNITS, cutsRows } from '../machine.js'

/** Does chunk `index` of the row at `x`. */
const chunkOf = (
  filter: FilterChunk,
  { n, strip, room, at }: SelectionPlan,
  x: Code<'i32'>,
  lane: Local,
  index: Local,
): Code =>
  filter.call(
    x,
    i32.add(x, i32.mul(index.get, i32.const(4 * STRIPS * strip))),
    wordAt(x, i32.const(n)),
    f32.load(lane.get),
    f32.load(lane.get, 4),
    i32.add(lane.get, i32.add(i32.const(at.counts), i32.mul(index.get, i32.const(16 * STRIPS)))),
    i32.add(lane.get, i32.add(i32.const(at.candidates), i32.mul(index.get, i32.const(STRIPS * room * CANDIDATE)))),
  )

/** Few long rows: sample, filter in chunks, finish, each a stage. */
const splitStages = (rows: number, plan: SelectionPlan): readonly Stage[] => {
  const rowAt = (at: Places, row: Local): Code<'i32'> => affine(at.args[0], row.get, 4 * plan.n)
  const laneAt = (at: Places, row: Code<'i32'>): Code<'i32'> => affine(at.scratch, row, plan.bytes)
  return [
    {
      label: 'sample',
      units: rows,
      cost: SELECTION_NS.drawn * plan.samples,
      emit: (m, at) => {
        const sample = sampleBounds(m, plan, selectKey(m))
        return m.func(perUnit((row) => sample.call(rowAt(at, row), laneAt(at, row.get))))
      },
    },
    {
      label: 'filter',
      units: rows * plan.chunks,
      cost: STRIPS * plan.strip * SELECTION_NS.scanned,
      emit: (m, at) => {
        const filter = filterChunk(m, plan)
        return m.func(
          perUnit((unit, scope) => {
            const [row, chunk, lane] = Array.from({ length: 3 }, () => scope.local('i32'))
            return [
              row.set(i32.div_u(unit.get, i32.const(plan.chunks))),
              chunk.set(i32.rem_u(unit.get, i32.const(plan.chunks))),
              lane.set(laneAt(at, row.get)),
              chunkOf(filter, plan, rowAt(at, row), lane, chunk),
            ]
          }),
        )
      },
    },
    {
      label: 'select',
      units: rows,
      cost: SELECTION_NS.candidate * plan.most,
      emit: (m, at) => {
        const finish = finishRow(m, newFinish(m, plan, at))
        return m.func(perUnit((row) => finish.call(rowAt(at, row), laneAt(at, row.get), row.get)))
      },
    },
  ]
}

const rowCost = ({ side, n, samples }: SelectionPlan): number =>
  side === 'all'
    ? SELECTION_NS.start + SELECTION_NS.sorted * n
    : SELECTION_NS.filtered * n + SELECTION_NS.sample * samples

/** Many rows: each done from start to end. */
const rowStage = (rows: number, plan: SelectionPlan): Stage => {
  const lanes = shares(rows, UNITS.small)
  return {
    label: 'rows',
    units: lanes.count,
    cost: lanes.each * rowCost(plan),
    emit: (m, at) => {
      const all = newFinish(m, plan, at)
      const steps =
        plan.side === 'all' ? null : { sample: sampleBounds(m, plan, all.select), filter: filterChunk(m, plan) }
      const last = plan.side === 'all' ? shortRow(m, all) : finishRow(m, all)
      return m.func(
        perUnit((unit, scope) => {
          const [row, x, lane, chunk] = Array.from({ length: 4 }, () => scope.local('i32'))
          return lanes.loop(scope, unit.get, row, [
            x.set(affine(at.args[0], row.get, 4 * plan.n)),
            lane.set(affine(at.scratch, unit.get, plan.bytes)),
            steps === null ? [] : [steps.sample.call(x.get, lane.get), chunkOf(steps.filter, plan, x.get, lane, chunk)],
            last.call(x.get, lane.get, row.get),
          ])
        }),
      )
    },
  }
}

/**
 * `kthValue`, of x or, with `abs`, of its magnitudes. A second output, where the plan places one, gets the index in its row
 * (i32) of the first element equal to the chosen one, the first NaN where that is NaN. Source: torch.kthvalue.
 */
export const kthKernel = (spec: KernelSpec, { abs }: { readonly abs: boolean }): Kernel | null => {
  const [shape] = spec.shapes
  const n = shape[shape.length - 1] ?? 1
  const { k } = spec.attrs
  const rows = sizeOf(spec.shape)
  if (typeof k !== 'number' || k < 1 || k > n || rows === 0 || rows * n >= 2 ** 29) return null
  if (k === n) return extremeOfRows({ rows, n, abs, zero: 'positive' }, 'kthValue last')
  const split = cutsRows(rows, n)
  const plan = planSelection(n, k, abs, split)
  const stages = split ? splitStages(rows, plan) : [rowStage(rows, plan)]
  return {
    name: `kthValue ${plan.side}${abs ? ' of |x|' : ''}`,
    scratch: plan.bytes * (split ? rows : stages[0].units),
    constants: null,
    stages,
    flops: 0,
    bytes: 4 * rows * n,
  }
}
