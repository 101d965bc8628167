/** Leaves that start late (unfrozen, another mask, another optimizer): each counts its own updates, as torch's do. */
import fc from 'fast-check'
import * as q from '../../src/index.js'
import { isTensor } from '../../src/data/tensor.js'
import { leaves } from '../../src/data/tree.js'
import { suite } from '../support/suite.js'
import { close, get, same, sameBits } from './support.js'

const test = suite('nn: leaves that start late')

const net = q.chain({
  i: q.QuantIdentity({ scalingImplType: 'PARAMETER', minVal: -1, maxVal: 1, returnQuantTensor: true }),
  fc: q.QuantLinear({ inFeatures: 2, outFeatures: 2 }),
})
const initial = get(q.init(net, 0))
const program = get(
  q.grad(
    get(
      q.trace(
        q.withLoss(net, q.crossEntropy),
        { x: q.tensorInput([2, 2]), target: q.tensorInput([2]) },
        { mode: 'train' },
      ),
    ),
    { output: 'loss' },
  ),
)
const batch = { x: q.tensorOf([2, 2], [3, -2, 1, 4]), target: q.tensorOf([2], [0, 1]) }
/** A leaf by its path. */
const at = (tree: object, path: string): q.Tensor => {
  const found = leaves(isTensor, tree).find((l) => l.path === path)
  if (found === undefined) throw new Error(`there is no ${path}`)
  return found.leaf
}
type State = q.TrainState<typeof initial.params, typeof initial.state>

/** Steps with these leaves frozen, one set a step; each change of mask makes a new trainer, as a user would. */
const stepsOf = (
  make: (mask: q.Mask) => q.Optimizer,
  frozen: readonly (readonly string[])[],
  backend: q.Backend,
  start: State,
): State =>
  frozen.reduce<State>((t, now) => {
    const own = get(
      q.trainer(
        program,
        make(({ path }) => ({ frozen: now.includes(path) })),
        t,
        backend,
      ),
    )
    get(own.step(batch))
    const after = own.training()
    own.dispose()
    return after
  }, start)

/** The same steps by `run` and the optimizer's own `update`. */
const updatesOf = (make: (mask: q.Mask) => q.Optimizer, frozen: readonly (readonly string[])[], start: State): State =>
  frozen.reduce<State>((t, now) => {
    const optimizer = make(({ path }) => ({ frozen: now.includes(path) }))
    const ran = get(q.run(program, { params: t.params, state: t.state, inputs: batch }))
    return q.applyStep(t, ran, ran.grads, optimizer, undefined, t.position)
  }, start)

const makers: Readonly<Record<string, (mask: q.Mask) => q.Optimizer>> = {
  adam: (mask) => q.adam({ lr: 1e-2, weightDecay: 0.02, mask }),
  adamW: (mask) => q.adamW({ lr: 1e-2, mask }),
  'sgd with momentum': (mask) => q.sgd({ lr: 1e-2, momentum: 0.9, mask }),
  'sgd, dampened, Nesterov': (mask) => q.sgd({ lr: 1e-2, momentum: 0.9, dampening: 0.3, weightDecay: 0.1, mask }),
}
const PATHS = ['i.actQuant.scale.value', 'fc.weight', 'fc.bias']
const begin = (o: q.Optimizer): State => q.startTraining(initial, o)

for (const [name, make] of Object.entries(makers))
  test(`${name}: whatever is frozen when, the compiled step is the optimizer's update`, () => {
    const pattern = fc.array(fc.subarray(PATHS), { minLength: 1, maxLength: 5 })
    fc.assert(
      fc.property(pattern, (frozen) => {
        const [pure, plain, fast] = [
          updatesOf(make, frozen, begin(make(() => ({})))),
          stepsOf(make, frozen, q.reference, begin(make(() => ({})))),
          stepsOf(make, frozen, q.wasm, begin(make(() => ({})))),
        ]
        same(plain.params, pure.params)
        same(plain.state, pure.state)
        same(plain.optim, pure.optim)
        at(fast.params, 'fc.weight').data.forEach((x, i) => close(x, at(pure.params, 'fc.weight').data[i], 1e-5))
        same(Object.keys(fast.optim.slots).toSorted(), Object.keys(pure.optim.slots).toSorted())
      }),
      { numRuns: 12 },
    )
  })

/** How far a leaf's first update goes after so many frozen steps, in learning rates. */
const firstUpdate = (warm: number, make: (mask: q.Mask) => q.Optimizer, backend: q.Backend): number => {
  const held = make(({ kind }) => ({ frozen: kind === 'state' }))
  const t = get(q.trainer(program, held, begin(held), backend))
  for (let k = 0; k < warm; k++) get(t.step(batch))
  const before = t.training()
  const all = get(
    q.trainer(
      program,
      make(() => ({})),
      before,
      backend,
    ),
  )
  get(all.step(batch))
  const scaleOf = (s: State): number => at(s.state, 'i.actQuant.scale.value').data[0]
  const moved = Math.abs(scaleOf(all.training()) - scaleOf(before))
  for (const own of [t, all]) own.dispose()
  return moved / 1e-3
}
for (const backend of [q.reference, q.wasm])
  test(`the first update of Adam goes one learning rate far, however late: ${backend.name}`, () => {
    for (const warm of [0, 7, backend === q.wasm ? 1000 : 60])
      for (const make of [
        (mask: q.Mask) => q.adam({ lr: 1e-3, mask }),
        (mask: q.Mask) => q.adamW({ lr: 1e-3, weightDecay: 0, mask }),
      ])
        close(firstUpdate(warm, make, backend), 1, 1e-2)
  })

test("a leaf's count is kept while it is frozen, and goes on from there", () => {
  const frozen = [[], ['fc.bias'], ['fc.bias'], []]
  const { slots, step } = stepsOf(makers.adam, frozen, q.wasm, begin(q.adam())).optim
  same(step, 4)
  same([slots['step:param.fc.bias'].data[0], slots['step:param.fc.weight'].data[0]], [2, 4])
})

test("another optimizer than the checkpoint's starts its own memory anew, and Adam's count with it", () => {
  const [adam, momentum] = [makers.adam, makers['sgd, dampened, Nesterov']]
  const after = stepsOf(momentum, [[], [], []], q.wasm, begin(q.sgd({ lr: 1e-2, momentum: 0.9 })))
  const bare: State = { ...after, optim: { step: 0, slots: {} } }
  // Adam behind momentum, and momentum behind Adam, step as from the same parameters without any memory.
  for (const backend of [q.reference, q.wasm])
    for (const make of [adam, momentum]) {
      const before = make === adam ? after : { ...stepsOf(adam, [[], []], q.wasm, begin(q.adam())) }
      const fresh = make === adam ? bare : { ...before, optim: { step: 0, slots: {} } }
      const [a, b] = [stepsOf(make, [[]], backend, before), stepsOf(make, [[]], backend, fresh)]
      same(a.params, b.params)
      same(a.state, b.state)
    }
})

test('a checkpoint keeps the counts; one from before they were kept goes on as it did', () => {
  const optimizer = q.adam({ lr: 1e-2 })
  const made = () => optimizer
  const after = stepsOf(made, [[], [], []], q.wasm, begin(optimizer))
  const read = get(q.parseCheckpoint(begin(optimizer))(q.checkpointToBytes(after)))
  same(read.optim.slots['step:param.fc.weight'].data[0], 3)
  const old: State = {
    ...read,
    optim: {
      step: 3,
      slots: Object.fromEntries(Object.entries(read.optim.slots).filter(([k]) => !k.startsWith('step:'))),
    },
  }
  const [a, b] = [stepsOf(made, [[]], q.wasm, read), stepsOf(made, [[]], q.wasm, old)]
  sameBits(at(a.params, 'fc.weight'), at(b.params, 'fc.weight'))
  same(b.optim.slots['step:param.fc.weight'].data[0], 4)
})

test('a count that is none is refused', () => {
  const optimizer = q.adam()
  const t = get(q.trainer(program, optimizer, begin(optimizer), q.reference))
  get(t.step(batch))
  const { optim, ...rest } = t.training()
  for (const count of [-1, 0.5, NaN, Infinity]) {
    const bad = { ...rest, optim: { ...optim, slots: { ...optim.slots, 'step:param.fc.weight': q.scalar(count) } } }
    const loaded = t.load(bad)
    same(loaded._tag === 'Left' && loaded.left.map((e) => [e.tag, e.path]), [['InputError', 'param.fc.weight']])
  }
})

test.run()
