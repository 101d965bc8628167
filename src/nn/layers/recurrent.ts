/**
 * One forward of a recurrent layer: layers and directions in order, weights under shared quantizers, states in and out, and the order in
 * which quantizers collect (SEMANTICS-3, 1 and 2).
 */
import { at, leaves, mapTree } from '../../data/tree.js'
import { isInvalid } from '../../graph/builder.js'
import type { Kit, Value } from '../../graph/op.js'
import { isValue } from '../../graph/trace.js'
import { cat, dequantize, permute, reshape } from '../functions/index.js'
import type { TensorTree, Traced } from './layer.js'
import type { Built as LayerParts } from './quantizedLayer.js'
import { biasOf, hiddenBiasOf } from './recurrentBias.js'
import { demandOperands, recurrentOperands } from './operands.js'
import { misfit, stateRow } from './recurrentInput.js'
import { throughQuantizer } from './quantizing.js'
import {
  build,
  nested,
  placeName,
  slotOf,
  specs,
  type Built,
  type Carry,
  type Cell,
  type GatePlaces,
  type Place,
  type RecurrentSpec,
  type States,
  type StepTools,
} from './recurrentPlaces.js'
import { weigh } from './weighing.js'

/** One forward: its quantized weights, and the states of its quantizers, which each call moves on. */
type Run = {
  readonly b: Built
  readonly kit: Kit
  readonly root: string
  readonly params: unknown
  readonly weights: ReadonlyMap<string, Value>
  readonly states: Map<string, unknown>
}

const under = (root: string, path: string): string => (root === '' ? path : `${root}.${path}`)

/** Sends x through the quantizer of a place, and keeps its state. */
const quantized = (run: Run, name: string, place: Place, x: Value): Value => {
  const slot = slotOf(run.b.cell, name, place)
  const cut = slot.lastIndexOf('.')
  return run.kit.scoped(slot.slice(0, cut), () => {
    const q = run.b.slots.get(slot) ?? null
    const [y, after] = throughQuantizer(q, run.kit, run.states.get(slot), x, slot.slice(cut + 1))
    run.states.set(slot, after)
    return y
  })
}

const start = (b: Built, params: unknown, state: unknown, kit: Kit): Run => {
  const root = kit.path()
  const weights = new Map<string, Value>()
  const states = new Map<string, unknown>([...b.slots.keys()].map((slot) => [slot, at(state, slot)]))
  const stored = (path: string): readonly { readonly value: Value; readonly leaf: string }[] => {
    const value = at(params, path) ?? at(state, path)
    return isValue(value) ? [{ value, leaf: under(root, path) }] : []
  }
  for (const [group, paths] of b.groups) {
    const slot = `${group}.inputWeight.weightQuant`
    const done = kit.scoped(`${group}.inputWeight`, () =>
      weigh(b.weight, kit, at(state, slot), paths.flatMap(stored), { leaf: under(root, slot), axis: 0 }),
    )
    paths.forEach((path, i) => {
      weights.set(path, done.weights[i])
      if (done.clamped !== null) states.set(path, done.clamped[i])
    })
    states.set(slot, done.state)
  }
  return { b, kit, root, params, weights, states }
}

/** What one direction gives: its steps in the order of time, and its last states, as `[1, B, H]`. */
type Directed = { readonly ys: Value; readonly h: Value; readonly c: Value | null }

/** States that a call was given. */
type Begun = { readonly hx?: States; readonly cx?: States }

const NOT_RETURNED = 'this layer does not return quant tensors; set returnQuantTensor: true'
const plainIf = (plain: boolean, x: Value): Value => (plain ? dequantize(x, NOT_RETURNED) : x)

/** All steps of one direction over x `[T, B, I]`. */
const direct = (run: Run, place: Place, x: Value, given: Begun, quantOut: boolean): Directed | Value => {
  const { kit, b } = run
  const { cell } = b
  const [steps, batch] = x.shape
  const h = b.o.hiddenSize
  const gates = b.gates.get(placeName(place)) ?? []
  const inputs = gates.map((g) => {
    const w = run.weights.get(g.wi) ?? x
    const product = kit.emit('linear', [x, w])
    return { g, product: dequantize(product), bias: biasOf(run, g, x, product), hiddenBias: hiddenBiasOf(run, g) }
  })
  const failed = inputs.flatMap((i) => [i.product, i.bias, i.hiddenBias]).find((v) => v !== null && isInvalid(v))
  if (failed !== undefined && failed !== null) return failed
  const zero = kit.constant(0, [batch, h])
  const begin = (states: States | undefined, name: string): Value =>
    states === undefined ? zero : quantized(run, name, place, stateRow(kit, b, states, place, batch))
  const begun: Carry = {
    h: begin(given.hx, 'outputQuant'),
    c: cell.cellState === null ? null : begin(given.cx, cell.cellState),
  }
  if (isInvalid(begun.h)) return begun.h
  if (begun.c !== null && isInvalid(begun.c)) return begun.c
  const slots = [...new Set(cell.quantizers.map((q) => slotOf(cell, q.name, place)))]
  const cells = begun.c === null ? [] : [begun.c]
  const states = slots.flatMap((slot) => leaves(isValue, run.states.get(slot)).map((l) => ({ ...l, slot })))
  const looped = kit.scan({
    carry: [begun.h, ...cells, ...states.map((l) => l.leaf)],
    names: {
      carry: ['h', ...cells.map(() => 'c'), ...states.map((l) => `${l.slot}.${l.path}`)],
      xs: inputs.map((i) => i.g.gate),
    },
    xs: inputs.map((i) => i.product),
    length: steps,
    reverse: place.direction === 1,
    body: (carry, xs) => {
      const inner: Run = { ...run, states: restored(run.states, slots, carry.slice(1 + cells.length)) }
      const now = inputs.map((i, k) => ({ ...i, product: xs[k] }))
      const before: Carry = { h: carry[0], c: cells.length === 0 ? null : carry[1] }
      const after = cell.step(stepTools(inner, place, now, before), before)
      const moved = slots.flatMap((slot) => leaves(isValue, inner.states.get(slot)).map((l) => l.leaf))
      return {
        carry: [after.h, ...(after.c === null ? [] : [after.c]), ...moved],
        ys: [plainIf(!quantOut, after.h)],
      }
    },
  })
  for (const [slot, state] of restored(run.states, slots, looped.carry.slice(1 + cells.length)))
    run.states.set(slot, state)
  const one = (v: Value): Value => reshape(plainIf(!quantOut, v), [1, batch, h])
  return { ys: looped.ys[0], h: one(looped.carry[0]), c: cells.length === 0 ? null : one(looped.carry[1]) }
}

/** The states of some quantizers with other leaves, in the order of `leaves`; those of the others as they are. */
const restored = (
  states: ReadonlyMap<string, unknown>,
  slots: readonly string[],
  values: readonly Value[],
): Map<string, unknown> => {
  const out = new Map(states)
  let next = 0
  for (const slot of slots)
    out.set(
      slot,
      mapTree(isValue, states.get(slot) ?? {}, () => values[next++]),
    )
  return out
}

type GateInput = {
  readonly g: GatePlaces
  readonly product: Value
  readonly bias: Value | null
  readonly hiddenBias: Value | null
}

const stepTools = (run: Run, place: Place, inputs: readonly GateInput[], { h }: Carry): StepTools => {
  const { kit } = run
  const plus = (x: Value, bias: Value | null): Value => (bias === null ? x : kit.emit('add', [x, bias]))
  const of = (gate: string): GateInput | undefined => inputs.find((i) => i.g.gate === gate)
  const hiddenOf = (input: GateInput): Value => dequantize(kit.emit('linear', [h, run.weights.get(input.g.wh) ?? h]))
  return {
    kit,
    gate: (gate) => {
      const input = of(gate)
      return input === undefined ? h : plus(kit.emit('add', [input.product, hiddenOf(input)]), input.bias)
    },
    parts: (gate) => {
      const input = of(gate)
      return input === undefined
        ? { input: h, hidden: h }
        : { input: plus(input.product, input.bias), hidden: plus(hiddenOf(input), input.hiddenBias) }
    },
    through: (name, x) => dequantize(quantized(run, name, place, x)),
    quant: (name, x) => quantized(run, name, place, x),
    io: (x) => quantized(run, 'outputQuant', place, x),
  }
}

/** What a call gives: the result, the hidden states, and the cell states as a list. */
type Called = { readonly y: Value; readonly h: Value; readonly c: readonly Value[] }

/** All layers over x in the layout that was given. */
const callLayers = (run: Run, x: Value, given: Begun): Called | Value => {
  const { b } = run
  const { o, cell } = b
  const ioOn = cell.quantizers.find((q) => q.name === 'outputQuant')?.quantizer !== null
  const timeFirst = (v: Value): Value => (o.batchFirst ? permute(v, [1, 0, 2]) : v)
  const last = o.numLayers - 1
  const hs: Value[] = []
  const cs: Value[] = []
  let below = x
  for (let layer = 0; layer <= last; layer++) {
    const directions = b.places.filter((p) => p.layer === layer)
    const quantOut = (run.b.returnQuantTensor || layer < last) && ioOn
    const ys: Value[] = []
    for (const place of directions) {
      const input = layer === 0 ? timeFirst(quantized(run, 'outputQuant', place, x)) : below
      const done = direct(run, place, input, given, quantOut)
      if ('kit' in done) return done
      ys.push(done.ys)
      hs.push(done.h)
      if (done.c !== null) cs.push(done.c)
    }
    below = cat(ys, 2)
  }
  return { y: timeFirst(below), h: cat(hs, 0), c: cs }
}

/** What a recurrent layer gives before it is named: `c` is empty where it has no cell states. */
export type Recurrent = { readonly y: Value; readonly h: Value; readonly c: readonly Value[] }
/** What it takes. */
export type RecurrentInput = { readonly x: Value; readonly hx?: States; readonly cx?: States }

/** Parameters, state and forward; `finish` names the parts of its result. */
export const forwards = <I extends RecurrentInput, O>(
  spec: RecurrentSpec,
  finish: (r: Recurrent, cell: Cell) => O,
): LayerParts<TensorTree, TensorTree, I, O> => {
  const { o, cell } = spec
  const b = build(spec)
  return {
    ...specs(b),
    apply: (p, s, input, kit) => {
      demandOperands(kit, cell.name, input, recurrentOperands(cell.cellState !== null))
      const odd = misfit(o, input.x)
      const run = start(b, p, s, kit)
      const refused =
        odd === null
          ? null
          : kit.fail({
              op: cell.name,
              refuse: odd,
              fix: `give it ${o.batchFirst ? '[B, T' : '[T, B'}, ${o.inputSize}]`,
            })
      const done = refused ?? callLayers(run, input.x, input)
      const result = 'kit' in done ? { y: done, h: done, c: cell.cellState === null ? [] : [done] } : done
      const after = nested([...run.states]) as Traced<TensorTree>
      return [finish(result, cell), after]
    },
  }
}
