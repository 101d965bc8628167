/**
 * jax-js on its WebAssembly backend: one thread, everything under `jit`. Its array functions consume their arguments
 * (`.ref` keeps one for later use).
 */
import {
  blockUntilReady,
  defaultDevice,
  init,
  jit,
  lax,
  nn,
  numpy as np,
  valueAndGrad,
  type Array as JaxArray,
} from '@jax-js/jax'
import { BATCHES, type Case } from './cases.js'
import type { Received } from './handover.js'
import { ready, unable, type Peer, type Prepared } from './peer.js'

type A = JaxArray

const arrayOf = (from: Received, name: string): A => {
  const t = from.given(name)
  return np.array(Float32Array.from(t.data)).reshape([...t.shape])
}

/** Waits for results and frees them. */
const finished = async (results: readonly A[]): Promise<void> => {
  await blockUntilReady([...results])
  for (const r of results) r.dispose()
}

/** Straight-through: the forward of rounding; the gradient passes where the rounded number is in range. */
const fakeQuantize = (x: A, s: A, low: number, high: number): A => {
  const z = x.div(s.ref)
  const rounded = lax.stopGradient(np.round(z.ref))
  const q = np.clip(rounded.ref, low, high)
  const inside = np.where(np.equal(rounded, q.ref), 1, 0)
  return q.add(inside.mul(z.ref.sub(lax.stopGradient(z)))).mul(s)
}

const conv = (x: A, k: A): A => lax.conv(x, k, [1, 1], 'SAME')

const numbersOf = async (a: A): Promise<Float32Array> => Float32Array.from(await a.data())

const elementwise = async (c: Case, from: Received): Promise<Prepared> => {
  const [low, high] = c.workload === 'W1' ? [-128, 127] : [0, 255]
  const act = (x: A): A => (c.workload === 'W1' ? x : nn.relu(x))
  const [x, s] = [arrayOf(from, 'x'), arrayOf(from, 'scale')]
  if (c.phase === 'learned-fwd') {
    const f = jit((a: A, b: A): A => fakeQuantize(act(a), b, low, high))
    from.check('y', await numbersOf(f(x.ref, s.ref)))
    return ready(() => finished([f(x.ref, s.ref)]))
  }
  const g = arrayOf(from, 'g')
  const f = jit((a: A, b: A, d: A) => {
    const [[loss, y], [ga, gb]] = valueAndGrad(
      (u: A, v: A): [A, A] => {
        const out = fakeQuantize(act(u), v, low, high)
        return [out.ref.mul(d.ref).sum(), out]
      },
      { argnums: [0, 1], hasAux: true },
    )(a, b)
    return [loss, y, ga, gb] as A[]
  })
  const first = f(x.ref, s.ref, g.ref)
  from.check('gx', await numbersOf(first[2]))
  return ready(() => finished(f(x.ref, s.ref, g.ref)))
}

const convolution = async (c: Case, from: Received): Promise<Prepared> => {
  const [x, k, bias] = [arrayOf(from, 'x'), arrayOf(from, 'weight'), arrayOf(from, 'bias')]
  const [si, sw, so] = ['inScale', 'weightScale', 'outScale'].map((name) => arrayOf(from, name))
  const forward = (a: A, b: A, u: A, t: A, d: A, v: A): A =>
    fakeQuantize(
      conv(fakeQuantize(a, u, -128, 127), fakeQuantize(b, t, -127, 127)).add(d.reshape([1, -1, 1, 1])),
      v,
      -128,
      127,
    )
  if (c.phase === 'fwd') {
    const f = jit(forward)
    const run = (): A => f(x.ref, k.ref, si.ref, sw.ref, bias.ref, so.ref)
    from.check('y', await numbersOf(run()))
    return ready(() => finished([run()]))
  }
  const g = arrayOf(from, 'g')
  const f = jit((a: A, b: A, u: A, t: A, d: A, v: A, w: A) => {
    const [loss, grads] = valueAndGrad(
      (a1: A, b1: A, u1: A, d1: A, v1: A): A => forward(a1, b1, u1, t.ref, d1, v1).mul(w.ref).sum(),
      { argnums: [0, 1, 2, 3, 4] },
    )(a, b, u, d, v)
    return [loss, ...grads] as A[]
  })
  const run = (): A[] => f(x.ref, k.ref, si.ref, sw.ref, bias.ref, so.ref, g.ref)
  from.check('gx', await numbersOf(run()[1]))
  return ready(() => finished(run()))
}

const PARAMS = [
  'conv1.weight',
  'conv1.bias',
  'conv2.weight',
  'conv2.bias',
  'fc1.weight',
  'fc1.bias',
  'fc2.weight',
  'fc2.bias',
] as const

const pool = (x: A): A => lax.reduceWindow(x, np.max, [2, 2], [2, 2])

/** The float twin; it consumes its parameters. */
const net = (p: readonly A[], x: A, batch: number): A => {
  const a = pool(nn.relu(conv(x, p[0]).add(p[1].reshape([16, 1, 1]))))
  const b = pool(nn.relu(conv(a, p[2]).add(p[3].reshape([32, 1, 1]))))
  const h = nn.relu(np.dot(b.reshape([batch, 1568]), p[4].transpose()).add(p[5]))
  return np.dot(h, p[6].transpose()).add(p[7])
}

const step = async (c: Case, from: Received): Promise<Prepared> => {
  const batch = BATCHES[c.size]
  let params = PARAMS.map((name) => arrayOf(from, name))
  let momentum = params.map((p) => np.zeros(p.shape))
  const [x, y] = [arrayOf(from, 'x'), nn.oneHot(np.array(Int32Array.from(from.given('target').data)), 10)]
  const f = jit((p: A[], m: A[], a: A, b: A) => {
    const [loss, g] = valueAndGrad((q: A[]): A =>
      nn
        .logSoftmax(net(q, a, batch))
        .mul(b)
        .sum()
        .mul(-1 / batch),
    )(p.map((q) => q.ref))
    const next = m.map((v, i) => v.mul(0.9).add(g[i]))
    return [loss, p.map((q, i) => q.sub(next[i].ref.mul(1e-4))), next] as [A, A[], A[]]
  })
  const run = async (check: boolean): Promise<void> => {
    const [loss, p, m] = f(params, momentum, x.ref, y.ref)
    params = p
    momentum = m
    await blockUntilReady([loss, ...p, ...m])
    if (check) from.check('float.loss', await numbersOf(loss))
    else loss.dispose()
  }
  await run(true)
  return ready(() => run(false))
}

const inference = async (c: Case, from: Received): Promise<Prepared> => {
  const params = PARAMS.map((name) => arrayOf(from, name))
  const x = arrayOf(from, 'x')
  const f = jit((p: A[], a: A): A => net(p, a, BATCHES[c.size]))
  const run = (): A =>
    f(
      params.map((p) => p.ref),
      x.ref,
    )
  from.check('float.y', await numbersOf(run()))
  return ready(() => finished([run()]))
}

/** Opens jax-js on WebAssembly. */
export const jaxjs = async (): Promise<Peer> => {
  const have = await init('wasm')
  if (!have.includes('wasm')) throw new Error(`jax-js has only ${have.join(', ')}`)
  defaultDevice('wasm')
  const prepare = async (c: Case, numbers: () => Received): Promise<Prepared> => {
    switch (c.workload) {
      case 'W1':
      case 'W2':
      case 'W3':
        return elementwise(c, numbers())
      case 'W4':
        return convolution(c, numbers())
      case 'W5':
        return step(c, numbers())
      case 'W6':
        return inference(c, numbers())
      case 'W7':
      case 'W8':
      case 'W9':
      case 'W10':
      case 'W11':
      case 'W12':
        return unable('not written')
    }
  }
  return { prepare, close: () => {} }
}
