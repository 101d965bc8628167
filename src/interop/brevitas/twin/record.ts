/** Reads a network's structure off a trace: which layer is called with what, and what stands between the calls. */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantErrors } from '../../../data/error.js'
import type { Kit } from '../../../graph/op.js'
import { traceProgram, type InputDecl } from '../../../graph/trace.js'
import type { Program } from '../../../graph/program.js'
import { layerProblems, pairOf } from '../../../nn/layers/checks.js'
import type { AnyLayer } from '../../../nn/layers/layer.js'
import { ops } from '../../../ops/index.js'
import type { Tree } from '../../../data/tree.js'

/** One call of a layer: what it was given and gave, trees of values, and the calls inside it, in order. */
export type Frame = {
  readonly path: string
  readonly layer: AnyLayer | null
  readonly input: unknown
  readonly output: unknown
  readonly calls: readonly Frame[]
}

/** A traced network and the calls in it. */
export type Recorded = { readonly program: Program; readonly root: Frame }

/** The layer at a path below another; null where its combinator does not tell. */
export const layerAt = (root: AnyLayer, path: string): AnyLayer | null =>
  path === ''
    ? root
    : path
        .split('.')
        .reduce<AnyLayer | null>(
          (l, name) =>
            l?.source?.within !== undefined && Object.hasOwn(l.source.within, name) ? l.source.within[name] : null,
          root,
        )

type Open = { readonly path: string; readonly input: unknown; readonly calls: Frame[] }

/** A kit that notes each call while it is traced; all else is the trace's own. */
const noting = (kit: Kit, net: AnyLayer, root: Open): Kit => {
  const stack = [root]
  const onCall = <A>(input: unknown, body: () => A): A => {
    const open: Open = { path: kit.path(), input, calls: [] }
    const above = stack[stack.length - 1]
    stack.push(open)
    const result = body()
    stack.pop()
    const output: unknown = Array.isArray(result) ? result[0] : undefined
    above.calls.push({ ...open, output, layer: layerAt(net, open.path) })
    return result
  }
  return Object.create(kit, { onCall: { value: onCall } })
}

/** Traces a network and notes its calls. */
export const record = (
  net: AnyLayer,
  inputs: Tree<InputDecl>,
  mode: 'train' | 'eval',
): E.Either<QuantErrors, Recorded> => {
  const problems = layerProblems('toBrevitas', net)
  if (problems.length > 0) return E.left(problems)
  let root: Frame | null = null
  const program = traceProgram({
    table: ops,
    mode,
    strict: false,
    locations: false,
    inputs,
    params: net.params,
    state: net.state,
    body: (params, state, input, kit) => {
      const open: Open = { path: '', input, calls: [] }
      const [output, nextState] = pairOf(
        net.layer,
        net.apply(params as never, state as never, input as never, noting(kit, net, open)),
      )
      root = { ...open, output, layer: net }
      return { results: output, nextState }
    },
  })
  return E.chain((p: Program): E.Either<QuantErrors, Recorded> =>
    root === null
      ? E.left([
          {
            tag: 'Internal',
            path: '',
            message: 'a network was traced without its forward',
            fix: 'report this as a bug of quantrace',
          },
        ])
      : E.right({ program: p, root }),
  )(program)
}
