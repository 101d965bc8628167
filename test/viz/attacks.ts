/** Names and reasons as a stranger might send them, and programs that are full of them. */
import {
  chain,
  functionLayer,
  parseProgram,
  ops,
  programToJSON,
  quantInput,
  relu,
  sigmoid,
  trace,
  type Program,
  type Value,
} from '../../src/index.js'
import { right } from '../graph/fixtures/programs.js'

/** Texts that try to break out of markup, scripts, styles, JSON and tables of names. */
export const ATTACKS = [
  '</script><img src=https://evil.invalid/a.png onerror=alert(1)>',
  '"><script>alert(2)</script>',
  "' onload='alert(3)",
  '<!--<script>',
  ']]><svg onload=alert(4)>',
  '&lt;img src=x onerror=alert(5)&gt;',
  'javascript:alert(6)',
  '\u2028alert(7)\u0000\ufffe',
  '</style><style>@import url(https://evil.invalid/b.css)',
  '__proto__',
  '${alert(8)}',
  '`',
  '1.collect',
]

/** A program whose layers, inputs, results and reasons are called so, through a JSON file as a stranger would send it. */
export const hostile = (name: string): Program => {
  const safe = name.replaceAll('.', ' ')
  const layer = chain({
    [`a${safe}`]: functionLayer(name, (x: Value) => relu(x)),
    [safe === '__proto__' ? 'p' : safe]: functionLayer(name, (x: Value) => sigmoid(x)),
  })
  const wrapped = functionLayer(name, (x: { readonly [k: string]: Value }) => ({
    [`y${name}`]: (
      layer.apply(
        {} as never,
        { [`a${safe}`]: {}, [safe]: {} } as never,
        x[`x${name}`] as never,
        x[`x${name}`].kit,
      ) as unknown as readonly [Value]
    )[0],
  }))
  const program = right(
    trace(wrapped as never, { [`x${name}`]: quantInput([2], { bits: 8, signed: true }) } as never, { mode: 'eval' }),
  ) as Program
  const mark = (p: Program): Program => ({
    ...p,
    graph: {
      ...p.graph,
      nodes: p.graph.nodes.map((n) =>
        n.carried.tag === 'stripped' ? { ...n, carried: { tag: 'stripped', why: name } } : n,
      ),
    },
  })
  return right(parseProgram(ops)(programToJSON(mark(program)))) as Program
}
