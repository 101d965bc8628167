/** Networks to which advice can be applied: each is written with `at`, which makes a layer at a path as it is written or as it is advised. */
import { createContext, runInContext } from 'node:vm'
import { isLeft } from 'fp-ts/lib/Either.js'
import { pipe } from 'fp-ts/lib/function.js'
import * as q from '../../src/index.js'
import { sceneOf, watch } from '../../viz/index.js'
import type { Advice, Edit, Scene } from '../../viz/scene/scene.js'
import { right } from '../graph/fixtures/programs.js'

type AnyOptions = { readonly [option: string]: unknown }
type Layer1 = q.Layer<unknown, unknown>

/** What a pasted line sees: the library, and `pipe`. */
const scope = createContext({ ...q, pipe })
const value = (code: string): unknown => runInContext(`(${code})`, scope)
const made = (layer: string, options: AnyOptions): Layer1 => {
  const make: unknown = Reflect.get(q, layer)
  if (typeof make !== 'function') throw new Error(`quantrace has no layer ${layer}`)
  return make(options) as Layer1
}

/** Makes the layers of a network, with some edits. */
export type At = {
  /** The layer of this name in quantrace, at a path. */
  readonly layer: (path: string, layer: string, options?: AnyOptions) => Layer1
  /** A function at a path. */
  readonly f: (path: string, f: (x: q.Value) => q.Value) => Layer1
  /** A chain at a path, of links whose names are their last names. */
  readonly chain: (path: string, links: { readonly [name: string]: Layer1 }) => Layer1
  readonly residual: (path: string, body: Layer1) => Layer1
}

const evaluated = (options: Extract<Edit, { do: 'set' }>['options']): AnyOptions =>
  Object.fromEntries(options.map(([k, code]) => [k, value(code)]))

/** The layers of a network after some edits; each edit must find its place, `used` counts them. */
export const atWith = (edits: readonly Edit[]): { readonly at: At; readonly used: () => number } => {
  const used = new Set<Edit>()
  const use = <E extends Edit>(e: E): E => {
    used.add(e)
    return e
  }
  const replaced = (path: string, otherwise: () => Layer1): Layer1 => {
    const r = edits.find((e): e is Extract<Edit, { do: 'replace' }> => e.do === 'replace' && e.path === path)
    return r === undefined ? otherwise() : made(use(r).layer, evaluated(r.options))
  }
  const at: At = {
    layer: (path, layer, options = {}) =>
      replaced(path, () => {
        const sets = edits.filter((e): e is Extract<Edit, { do: 'set' }> => e.do === 'set' && e.path === path)
        return made(layer, Object.assign({}, options, ...sets.map((e) => evaluated(use(e).options))))
      }),
    f: (path, f) => replaced(path, () => q.functionLayer('own', f) as Layer1),
    chain: (path, links) => {
      const inner = (name: string): string => (path === '' ? name : `${path}.${name}`)
      const out = Object.entries(links).flatMap(([name, link]): [string, Layer1][] => {
        const behind = edits.filter(
          (e): e is Extract<Edit, { do: 'insert' }> => e.do === 'insert' && e.after === inner(name),
        )
        return [
          [name, link],
          ...behind.map((e): [string, Layer1] => [e.name, made(use(e).layer, evaluated(e.options))]),
        ]
      })
      return q.chain(Object.fromEntries(out) as never) as Layer1
    },
    residual: (path, body) => {
      const join = edits.find((e) => e.do === 'join' && e.path === path)
      if (join === undefined) return q.residual(body) as Layer1
      use(join)
      return q.model(
        { body, join: q.QuantEltwiseAdd({ returnQuantTensor: true }) },
        (layers, params, state, x: q.Value) => {
          const [y, b] = layers.body((params as never)['body'], (state as never)['body'], x)
          const [sum, j] = layers.join((params as never)['join'], (state as never)['join'], [x, y])
          return [sum, { body: b, join: j }] as never
        },
      ) as never
    },
  }
  return { at, used: () => used.size }
}

/** A network of chains, residual blocks and library layers, made anew through `at`: what an example defines can be advised too. */
export const remade = (at: At, layer: q.AnyLayer, path = ''): Layer1 => {
  const { source } = layer
  if (source === undefined) return layer as Layer1
  const inner = Object.entries(source.within ?? {}).map(([name, l]): [string, Layer1] => [
    name,
    remade(at, l, path === '' ? name : `${path}.${name}`),
  ])
  if (source.layer === 'chain') return at.chain(path, Object.fromEntries(inner))
  return source.layer === 'residual' ? at.residual(path, inner[0][1]) : at.layer(path, source.layer, source.options)
}

/** A network that tests advise on. */
export type Advised = {
  readonly net: (at: At) => Layer1
  readonly inputs: unknown
  /** What a run is given; absent: it is only traced. */
  readonly data?: unknown
  readonly strict?: boolean
  /** Training calls before the run. */
  readonly collected?: number
}

/** A network as it is seen: traced, and run where there is data. */
export const seen = (a: Advised, mode: 'train' | 'eval', edits: readonly Edit[] = []): Scene => {
  const { at, used } = atWith(edits)
  const net = a.net(at)
  if (used() !== edits.length) throw new Error(`no place for ${JSON.stringify(edits)}`)
  const program = right(q.trace(net, a.inputs as never, { mode, strict: a.strict ?? false })) as q.Program
  if (a.data === undefined) return sceneOf(program)
  const start = right(q.init(net, 3))
  let { state } = start
  const train = right(q.trace(net, a.inputs as never, { mode: 'train', strict: a.strict ?? false })) as q.Program
  for (let k = 0; k < (a.collected ?? 0); k++)
    state = right(q.run(train, { params: start.params, state, inputs: a.data } as never)).state
  const args = { params: start.params, state, inputs: a.data }
  const w = watch(program, args as never)
  // A check that fails (two scales that are not one) stops the run; the page is drawn without it then.
  const ran = q.run(program, args as never, { observe: w.observe })
  return isLeft(ran) ? sceneOf(program) : sceneOf(program, { values: w.values })
}

/** The layer or the quantizer in which a node stands: what stays the same when others come in front of it. */
const place = (scene: Scene, id: string): string => {
  const n = scene.nodes.find((x) => x.id === id)
  return n === undefined ? id : n.box
}

const products = (scene: Scene, node: string): readonly string[] => {
  // A plain walk of its own: up to the first products behind a loss.
  const found: string[] = []
  const [seenNodes, queue] = [new Set([node]), [node]]
  const at = new Map(scene.nodes.map((n) => [n.id, n]))
  for (let id = queue.pop(); id !== undefined; id = queue.pop())
    for (const e of scene.edges.filter((x) => x.from === id && x.flow)) {
      const n = at.get(e.to)
      if (n === undefined || seenNodes.has(n.id)) continue
      seenNodes.add(n.id)
      if (n.integer !== undefined) found.push(n.id)
      else queue.push(n.id)
    }
  return found
}

/** Does a product run in float for a claim, or a result rest on it? */
const rests = (scene: Scene, node: string): boolean => {
  const at = new Map(scene.nodes.map((n) => [n.id, n]))
  const [found, queue] = [new Set([node]), [node]]
  for (let id = queue.pop(); id !== undefined; id = queue.pop()) {
    if (scene.values.some((v) => v.role === 'result' && v.node === id)) return true
    for (const e of scene.edges.filter((x) => x.from === id && x.flow)) {
      const n = at.get(e.to)
      if (n?.integer !== undefined) return true
      if (n?.carry !== 'claimed' || n.calm !== undefined || found.has(n.id)) continue
      found.add(n.id)
      queue.push(n.id)
    }
  }
  return false
}

/** All that the page complains of, each with a name that stays while other things change. */
export type Complaint = { readonly name: string; readonly box: string; readonly advice: readonly Advice[] }

/** Claims in doubt (by layer and reason), products in float (by layer), quantizers that waste (by layer and place). */
export const complaintsOf = (scene: Scene): readonly Complaint[] => {
  const at = new Map(scene.nodes.map((n) => [n.id, n]))
  const floats = scene.nodes.filter((n) => n.flow && n.side === undefined && n.integer === false)
  const own = new Map(scene.floats.map((f) => [f.node, f.advice]))
  for (const l of scene.losses)
    if (l.carry === 'stripped')
      for (const p of products(scene, l.node)) if (l.advice.length > 0 && !own.has(p)) own.set(p, l.advice)
  const isDoubt = (id: string): boolean => at.get(id)?.carry === 'claimed' && at.get(id)?.calm === undefined
  const doubts = scene.losses.filter(
    (l) => isDoubt(l.node) && !scene.edges.some((e) => e.flow && e.to === l.node && isDoubt(e.from)),
  )
  return [
    ...floats.map((n) => ({ name: `float ${n.box}`, box: n.box, advice: own.get(n.id) ?? [] })),
    ...doubts.map((l) => ({
      name: `${rests(scene, l.node) ? 'rests' : 'doubt'} ${place(scene, l.node)}: ${(at.get(l.node)?.why ?? '').replace(/%?\d+/g, '#')}`,
      box: place(scene, l.node),
      advice: l.advice,
    })),
    ...scene.wasted.map((w) => ({
      name: `waste ${place(scene, w.node)}`,
      box: place(scene, w.node),
      advice: w.advice,
    })),
  ]
}

/** Layers in which a claim is in doubt, wherever the doubt began. */
export const inDoubt = (scene: Scene): ReadonlySet<string> =>
  new Set(scene.nodes.filter((n) => n.flow && n.carry === 'claimed' && n.calm === undefined).map((n) => n.box))

/** Reads pasted code: layers by name, each without a fault of its own. A line of one layer alone has no name. */
export const pasted = (advice: Advice): readonly string[] => {
  const { code } = advice
  if (code === undefined || code.includes('model(')) return []
  const read: unknown = /^[\w$]+: /.test(code) ? value(`{ ${code} }`) : { '': value(code) }
  const layers = Object.entries(read as { readonly [name: string]: q.AnyLayer })
  return layers.flatMap(([name, l]) =>
    (l.problems ?? [{ message: 'it is no layer' }]).map((p) => `${name}: ${p.message}`),
  )
}
