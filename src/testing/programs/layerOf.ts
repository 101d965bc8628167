/** Cells as a layer that can be traced, and the numbers that it is given. */
import { valueOf, type QuantTensor } from '../../data/quantTensor.js'
import { gridOf } from '../../data/readGrid.js'
import type { Tensor } from '../../data/tensor.js'
import type { Attrs, Kit, Op, OpTable, Value } from '../../graph/op.js'
import { sameShape } from '../../data/shape.js'
import { quantInput, tensorInput, type InputDecl } from '../../graph/trace.js'
import type { Layer, LeafSpec, TensorTree } from '../../nn/layers/layer.js'
import { LIMIT, readsOf, type Cell, type InputCell } from './cells.js'

/** Values by name. */
export type Named<A> = { readonly [name: string]: A }
/** A layer that a recipe means. */
export type DrawnLayer = Layer<TensorTree, TensorTree, Named<Value>, Named<Value>>

/** How the values of cells are made. `plain`: ops that look at metadata are given none. */
export type Making = { readonly table: OpTable; readonly plain: boolean }

const isInput = (c: Cell): c is InputCell => c.kind === 'input'
/** The inputs among the cells. */
export const inputsOf = (cells: readonly Cell[]): readonly InputCell[] => cells.filter(isInput)

/** The places that nobody reads, the last one first: what the program gives. A few are enough. */
export const resultsOf = (cells: readonly Cell[]): readonly number[] => {
  const read = new Set(cells.flatMap(readsOf))
  const last = cells.length - 1
  const others = cells.flatMap((c, i) => (i !== last && !read.has(i) && c.kind !== 'input' ? [i] : []))
  return [last, ...others.slice(-5)]
}

/** The names of the results: `main`, the last one, then `r1` … */
export const resultName = (k: number): string => (k === 0 ? 'main' : `r${k}`)

/** Which cells are needed: those that results read, and the inputs. */
export const neededBy = (cells: readonly Cell[]): readonly boolean[] => {
  const needed = cells.map((c) => c.kind === 'input' || (c.kind === 'op' && c.op.guards === true))
  for (const r of resultsOf(cells)) needed[r] = true
  for (let i = cells.length - 1; i >= 0; i--) if (needed[i]) for (const r of readsOf(cells[i])) needed[r] = true
  return needed
}

/** The cell that becomes a leaf of state's next value: the last one that is a float of its shape, if any. */
export const nextOf = (cells: readonly Cell[], at: number, needed: readonly boolean[]): number => {
  const { shape } = cells[at]
  const counted = cells.some((c) => c.kind === 'phase' && c.counter === at)
  const found = cells.findLastIndex(
    (c, i) => needed[i] && c.kind !== 'input' && c.kind !== 'constant' && sameShape(c.shape, shape),
  )
  return counted || found < 0 ? at : found
}

/** The value without metadata. */
const plainly = (v: Value): Value =>
  gridOf(v.carried) === null ? v : v.kit.emit('dequantize', [v], { why: 'this program was drawn without it' })

/** An op of the cell, out of the table that is traced with: another one may compute it otherwise. */
const calls =
  ({ table }: Making) =>
  (op: Op, args: readonly Value[], attrs: Attrs, kit: Kit): Value =>
    kit.apply(Object.hasOwn(table, op.name) ? table[op.name] : op, args, attrs)

/** What such an op is called with inside a structure. */
const attrsOf = (op: Op): Attrs => op.examples[0].attrs

const made = (cell: Exclude<Cell, InputCell>, value: (i: number) => Value, kit: Kit, m: Making): Value => {
  const call = calls(m)
  switch (cell.kind) {
    case 'constant':
      return kit.constant(cell.value, cell.shape)
    case 'op': {
      const args = cell.args.map(value)
      return call(cell.op, m.plain && cell.op.births !== true ? args.map(plainly) : args, cell.attrs, kit)
    }
    case 'phase': {
      const branch =
        (op: Op) =>
        ([x]: readonly Value[], inner: Kit): readonly Value[] => [call(op, [x], attrsOf(op), inner)]
      return kit.phase({
        counter: value(cell.counter),
        limit: LIMIT,
        warnSteps: null,
        args: [plainly(value(cell.arg))],
        collect: branch(cell.collect),
        learned: branch(cell.learned),
      })[0]
    }
    case 'scan':
      return kit.scan({
        carry: [plainly(value(cell.carry))],
        xs: [plainly(value(cell.xs))],
        length: cell.shape[0],
        reverse: cell.reverse,
        body: ([c], [x], inner) => {
          const next = call(cell.body, [inner.emit('add', [c, x])], attrsOf(cell.body), inner)
          return { carry: [next], ys: [next] }
        },
      }).ys[0]
  }
}

const leafOf = (cell: InputCell, learned: boolean): LeafSpec => ({
  shape: cell.shape,
  learned,
  init: (g) => [valueOf(cell.value), g],
})

const byName = <A>(cells: readonly InputCell[], role: InputCell['role'], of: (c: InputCell) => A): Named<A> =>
  Object.fromEntries(cells.flatMap((c) => (c.role === role ? [[c.name, of(c)] as const] : [])))

/** Is it a leaf that an optimizer may change? Every other one; counters never. */
export const isLearned = (cells: readonly Cell[], cell: InputCell): boolean =>
  cell.role === 'state' && !cell.name.startsWith('n') && cells.indexOf(cell) % 2 === 0

/** The layer of cells. */
export const layerOf = (cells: readonly Cell[], m: Making): DrawnLayer => {
  const inputs = inputsOf(cells)
  const needed = neededBy(cells)
  return {
    layer: 'drawn',
    problems: [],
    config: { name: 'drawn', parts: [] },
    params: byName(inputs, 'param', (c) => leafOf(c, false)),
    state: byName(inputs, 'state', (c) => leafOf(c, isLearned(cells, c))),
    apply: (params, state, x, kit) => {
      const given: Named<unknown> = { ...params, ...state, ...x }
      const values: (Value | null)[] = []
      const value = (i: number): Value => values[i] ?? kit.constant(0)
      cells.forEach((cell, i) => {
        if (!needed[i]) values.push(null)
        else if (cell.kind === 'input') values.push(given[cell.name] as Value)
        else values.push(made(cell, value, kit, m))
      })
      const after = inputs
        .filter((c) => c.role === 'state')
        .map((c) => {
          const counts = c.name.startsWith('n')
          const next = nextOf(cells, cells.indexOf(c), needed)
          return [c.name, counts ? kit.emit('add', [value(next), kit.constant(1)]) : plainly(value(next))] as const
        })
      const results = resultsOf(cells).map((r, k) => [resultName(k), value(r)] as const)
      return [Object.fromEntries(results), Object.fromEntries(after)]
    },
  }
}

/** How the data of cells are declared. */
export const declaredBy = (cells: readonly Cell[]): Named<InputDecl> =>
  byName(inputsOf(cells), 'data', ({ shape, quant }) =>
    quant === undefined
      ? tensorInput(shape)
      : quantInput(shape, {
          bits: quant.bits,
          signed: quant.signed,
          scaleShape: quant.scaleShape ?? [],
          training: true,
        }),
  )

/** What a run of the layer is given. */
export type DrawnArgs = {
  readonly params: Named<Tensor>
  readonly state: Named<Tensor>
  readonly inputs: Named<Tensor | QuantTensor>
}
/** The numbers of cells. */
export const argsOf = (cells: readonly Cell[]): DrawnArgs => {
  const inputs = inputsOf(cells)
  return {
    params: byName(inputs, 'param', (c) => valueOf(c.value)),
    state: byName(inputs, 'state', (c) => valueOf(c.value)),
    inputs: byName(inputs, 'data', (c) => c.value),
  }
}
