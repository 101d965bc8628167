/** Updates of many leaves as one step: the same bits as the reference, one loop for one rule, and nothing between two leaves is touched. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import * as q from '../../src/index.js'
import { sizeOf } from '../../src/data/shape.js'
import type { Commit } from '../../src/evaluator/backend.js'
import { isJoined } from '../../src/evaluator/plan/join.js'
import { newMath } from '../../src/evaluator/wasm/kernels/math.js'
import { describePlan, showPlan } from '../../src/evaluator/wasm/describe.js'
import { planOf } from '../../src/evaluator/wasm/planning.js'
import type { Plan } from '../../src/evaluator/wasm/placing.js'
import type { Kit, Value } from '../../src/graph/op.js'
import type { ProgramInput, ProgramOutput } from '../../src/graph/program.js'
import { suite } from '../support/suite.js'
import { misplaced } from './support/placement.js'
import { assertSame, get, programOfBody } from './support/programs.js'

const test = suite('wasm: updates of many leaves')

/** How a leaf's gradient is made of a data input, and of what other leaves hold. */
type GradientOf = (kit: Kit, g: Value, leaves: readonly Value[], gradients: readonly Value[]) => Value
type LeafSpec = {
  readonly size: number
  readonly gradient?: GradientOf
  readonly weightDecay?: number
  readonly lrScale?: number
  readonly shown?: boolean
}
type Step = { readonly program: q.Program; readonly commits: readonly Commit[]; readonly updated: number }

/** A program that updates these leaves by an optimizer's rule: inputs are the leaves, their gradients, memory and the step's numbers. */
const stepOf = (optimizer: q.Optimizer, specs: readonly LeafSpec[]): Step => {
  const { rule } = optimizer
  const shapes: (readonly number[])[] = []
  const kinds: (readonly [kind: ProgramInput['kind'], path: string])[] = []
  const input = (kind: ProgramInput['kind'], path: string, shape: readonly number[]): number => {
    kinds.push([kind, path])
    return shapes.push(shape) - 1
  }
  const decayOf = (s: LeafSpec): number => s.weightDecay ?? optimizer.weightDecay
  const leaves = specs.map((s, i) => input('param', `p${i}`, [s.size]))
  const gradients = specs.map((s, i) => input('data', `g${i}`, [s.size]))
  const slots = specs.map((s, i) => rule.slots.map((slot) => input('slot', `${slot.name}:p${i}`, [s.size])))
  const hypers = new Map<string, readonly (readonly [string, number])[]>()
  for (const s of specs) {
    const key = `${s.lrScale ?? 1}/${decayOf(s)}`
    if (!hypers.has(key))
      hypers.set(
        key,
        Object.keys(rule.hyper(1, 1, decayOf(s))).map((name) => [name, input('hyper', `${key}/${name}`, [])]),
      )
  }
  const fresh = specs.map((_, i) => (rule.asksFresh ? input('hyper', `fresh/p${i}`, []) : -1))
  const pairs: number[] = []
  const traced = programOfBody(shapes, (inputs, kit) => {
    const [params, grads] = [leaves.map((i) => inputs[i]), gradients.map((i) => inputs[i])]
    const made = specs.map((s, i) => {
      const g = s.gradient === undefined ? grads[i] : s.gradient(kit, grads[i], params, grads)
      const hyper = Object.fromEntries(
        (hypers.get(`${s.lrScale ?? 1}/${decayOf(s)}`) ?? []).map(([name, k]) => [name, inputs[k]]),
      )
      return rule.apply({
        kit,
        p: params[i],
        g,
        slots: Object.fromEntries(rule.slots.map((slot, k) => [slot.name, inputs[slots[i][k]]])),
        hyper,
        weightDecay: decayOf(s),
        fresh: fresh[i] < 0 ? null : inputs[fresh[i]],
      })
    })
    const results = made.flatMap((m, i) => {
      pairs.push(leaves[i], ...slots[i])
      return [m.p, ...rule.slots.map((slot) => m.slots[slot.name])]
    })
    return [...results, ...specs.flatMap((s, i) => (s.shown === true ? [params[i]] : []))]
  })
  const inputs = traced.inputs.map((p, i): ProgramInput => ({ ...p, kind: kinds[i][0], path: kinds[i][1] }))
  const outputs = traced.outputs.map((o, k): ProgramOutput =>
    k < pairs.length
      ? { ...o, kind: inputs[pairs[k]].kind === 'param' ? 'param' : 'slot', path: inputs[pairs[k]].path }
      : o,
  )
  return {
    program: { ...traced, inputs, outputs },
    commits: pairs.map((p, output) => ({ output, input: p })),
    updated: pairs.length,
  }
}

const planFor = ({ program, commits }: Step): Plan =>
  planOf(program, (i) => q.zeros(program.inputs[i].shape).data, commits, newMath())
const updates = (plan: Plan) => plan.steps.filter((s) => isJoined(s.step))

const ODD = [0, -0, NaN, Infinity, -Infinity, 1e-45, -1e-40, 3.4e38]
/** Numbers of a gradient or leaf; the last ones of a leaf are the oddest, should they reach its neighbour. */
const numbers = (shape: readonly number[], seed: number, odd: boolean): q.Tensor => {
  const t = q.randn(shape)(q.manualSeed(seed))[0]
  return odd
    ? {
        shape,
        data: t.data.map((x, i) => (t.data.length - i <= 3 && t.data.length > 3 ? ODD[(seed + i) % ODD.length] : x)),
      }
    : t
}

/** Several steps on both backends, inputs committed: every output of every step has the same bits. */
const assertTrainsAlike = (optimizer: q.Optimizer, step: Step, odd: boolean, steps = 4): void => {
  const { program, commits } = step
  const wasm = get(q.wasm.prepare(program))
  const resident = get(wasm.resident(commits))
  const plain = get(q.reference.prepare(program))
  let values: readonly q.Tensor[] = program.inputs.map((i, k) =>
    i.kind === 'slot' ? q.zeros(i.shape) : numbers(i.shape, k, false),
  )
  values.forEach((t, i) => resident.write(i, t))
  for (let k = 1; k <= steps; k++) {
    values = values.map((t, i) => {
      const { kind, path, shape } = program.inputs[i]
      if (kind === 'data') return numbers(shape, 100 * k + i, odd)
      if (kind !== 'hyper') return t
      const [key, decay, name] = path.split('/')
      return q.scalar(
        key === 'fresh' ? Number(k === 1) : optimizer.rule.hyper(k, 0.05 * Number(key), Number(decay))[name],
      )
    })
    values.forEach((t, i) => {
      if (program.inputs[i].kind === 'data' || program.inputs[i].kind === 'hyper') resident.write(i, t)
    })
    const expected = get(plain.run(values)).outputs
    get(resident.execute())
    // Outputs that are leaves themselves show what they were before.
    expected.forEach((t, i) => assertSame(resident.output(i), t, `step ${k}, output ${i}`))
    commits.forEach((c) => assertSame(resident.input(c.input), expected[c.output], `step ${k}, input ${c.input}`))
    values = values.map((t, i) => expected[commits.find((c) => c.input === i)?.output ?? -1] ?? t)
  }
  wasm.dispose()
  plain.dispose()
}

const optimizers: Readonly<Record<string, q.Optimizer>> = {
  sgd: q.sgd({ lr: 0.1 }),
  'sgd, decay': q.sgd({ lr: 0.1, weightDecay: 0.01 }),
  momentum: q.sgd({ lr: 0.1, momentum: 0.9 }),
  'momentum, decay, dampened': q.sgd({ lr: 0.1, momentum: 0.9, dampening: 0.1, weightDecay: 0.01 }),
  nesterov: q.sgd({ lr: 0.1, momentum: 0.9, nesterov: true }),
  adam: q.adam(),
  'adam, decay': q.adam({ weightDecay: 0.02 }),
  adamW: q.adamW(),
}
const SIZES = [1, 3, 17, 63, 64, 65, 8193, 20000]
const leavesOf = (sizes: readonly number[]): readonly LeafSpec[] => sizes.map((size) => ({ size }))

for (const [name, optimizer] of Object.entries(optimizers)) {
  test(`${name}: leaves of odd sizes in one step, with the reference's bits`, () => {
    const step = stepOf(optimizer, leavesOf(SIZES))
    const plan = planFor(step)
    assert.deepEqual(
      plan.steps.map((s) => s.label),
      [`update of ${SIZES.length} leaves, ${SIZES.reduce((a, b) => a + b)} elements`],
    )
    assert.equal(plan.copies.length, 0)
    assert.equal(plan.steps[0].alone, true)
    assert.deepEqual(misplaced(plan, step.commits), [])
    assertTrainsAlike(optimizer, step, false)
    assertTrainsAlike(optimizer, step, true)
  })

  test(`${name}: groups of leaves with their own rate share the loop, those with their own decay have another`, () => {
    const specs = [3, 17, 64, 65, 5, 130].map((size, i): LeafSpec => ({
      size,
      lrScale: i % 2 === 0 ? 1 : 0.1,
      weightDecay: i < 3 ? 0.5 : 0.25,
    }))
    const step = stepOf(optimizer, specs)
    // AdamW's decay is a number of the step, so it is no part of the loop.
    assert.deepEqual(
      updates(planFor(step)).map((s) => isJoined(s.step) && s.step.leaves.length),
      name === 'adamW' ? [6] : [3, 3],
    )
    assertTrainsAlike(optimizer, step, false)
  })
}

test('single elements alone are one step, too', () => {
  const step = stepOf(q.adam(), leavesOf([1, 1, 1]))
  assert.deepEqual(
    planFor(step).steps.map((s) => s.label),
    ['update of 3 leaves, 3 elements'],
  )
  assertTrainsAlike(q.adam(), step, true)
})

test('more single elements than one loop holds: what the cut between two loops runs through stays apart', () => {
  for (const optimizer of [q.adam({ weightDecay: 0.1 }), q.sgd({ lr: 0.1, momentum: 0.9, nesterov: true })]) {
    const step = stepOf(optimizer, leavesOf(Array.from({ length: 40 }, () => 1)))
    const plan = planFor(step)
    assert.deepEqual(misplaced(plan, step.commits), [])
    assert.ok(updates(plan).length >= 1)
    assertTrainsAlike(optimizer, step, true)
  }
})

test('the plan as text names the leaves and their elements', () => {
  const step = stepOf(q.sgd({ lr: 0.1 }), leavesOf([3, 17]))
  const d = describePlan(planFor(step), step.program.graph.nodes.length)
  assert.equal(d.steps[0].leaves.length, 2)
  assert.match(showPlan(d), /update of 2 leaves, 20 elements/)
})

/** Gradients as awkward as they come. */
const GRADIENTS: Readonly<Record<string, (leaf: number) => GradientOf>> = {
  given: () => (_, g) => g,
  doubled: () => (kit, g) => kit.emit('add', [g, g]),
  shared: (leaf) => (_, g, __, gradients) =>
    gradients.find((o, i) => i < leaf && String(o.shape) === String(g.shape)) ?? g,
  entangled: (leaf) => (kit, g, leaves) =>
    kit.emit('mul', [g, leaves.find((p, i) => i !== leaf && String(p.shape) === String(g.shape)) ?? leaves[leaf]]),
  scaled: (leaf) => (kit, g, leaves) =>
    kit.emit('mul', [g, leaves.find((p, i) => i !== leaf && sizeOf(p.shape) === 1) ?? g]),
  // Sums of signs are whole numbers, so their order doesn't matter.
  summed: (leaf) => (kit, g, leaves) =>
    kit.emit('mul', [g, kit.emit('sum', [kit.emit('sign', [leaves[leaf]])], { dims: [0], keepdim: true })]),
  constant: () => (kit, g) => kit.emit('broadcastTo', [kit.constant(0.5)], { shape: g.shape }),
}

test("any leaves, gradients that are shared, entangled, constant: the reference's bits, and no value in another's place", () => {
  const leaf = fc.record({
    size: fc.oneof(fc.constantFrom(1, 4, 17), fc.integer({ min: 1, max: 150 })),
    gradient: fc.constantFrom(...Object.keys(GRADIENTS)),
    lrScale: fc.constantFrom(1, 0.5),
    shown: fc.boolean(),
  })
  fc.assert(
    fc.property(
      fc.array(leaf, { minLength: 1, maxLength: 9 }),
      fc.constantFrom(...Object.keys(optimizers)),
      (drawn, name) => {
        const specs = drawn.map((d, i): LeafSpec => ({
          size: d.size,
          lrScale: d.lrScale,
          shown: d.shown,
          gradient: GRADIENTS[d.gradient](i),
        }))
        const step = stepOf(optimizers[name], specs)
        assert.deepEqual(misplaced(planFor(step), step.commits), [])
        assertTrainsAlike(optimizers[name], step, false, 2)
      },
    ),
    { numRuns: 60, includeErrorInReport: true },
  )
})

test.run()
