/** Of src/graph/specialize. */
import { of, type Equivalent } from './record.js'

const WALK = 'src/graph/specialize/walk.ts'
const ANY_MARK = 'a node is dead where its mark is 0, and any other number is not'
const AT_THE_END = 'whoever called asks for errors again, and gives them instead of a program'

/** Mutants of specialize. */
export const OF_SPECIALIZE: readonly Equivalent[] = [
  ...of(WALK, 'for (const id of graph.outputs) live[id] = 1', [['1', '2']], ANY_MARK),
  ...of(WALK, 'for (const id of graph.inputs) live[id] = 1', [['1', '2']], ANY_MARK),
  ...of(WALK, 'live[i] = 1', [['1', '2']], ANY_MARK),
  ...of(WALK, 'for (const id of node.inputs) live[id] = 1', [['1', '2']], ANY_MARK),
  ...of(WALK, 'if (q !== null) for (const id of nodesOfGrid(q)) live[id] = 1', [['1', '2']], ANY_MARK),
  ...of(
    WALK,
    'const through = node.op.guards === true',
    [
      ['0', '1'],
      ['>', '>='],
      ['true', 'false'],
    ],
    'a check writes what it hands on into its result too: only a copy is saved',
  ),
  ...of(
    WALK,
    'if (live[i] === 0 && node.op.guards !== true) continue',
    [
      ['0', '1'],
      ['===', '!=='],
      ['!==', '==='],
      ['true', 'false'],
    ],
    'what nobody needs is walked too then, and dropped when the graph is finished: it only takes time',
  ),
  ...of(WALK, 'if (w.errors.length > 0) return []', [['0', '1']], AT_THE_END),
  ...of(
    WALK,
    'const node: Node = { id: 0, op',
    [['0', '1']],
    'nobody reads the number of a node that is about to be made',
  ),
  ...of(
    'src/graph/specialize.ts',
    'const NOTHING: Tensor',
    [['1', '2']],
    'it stands for a leaf that was refused, and no program is made then',
  ),
  ...of('src/graph/specialize.ts', 'if (w.errors.length > 0) return E.left(w.errors)', [['0', '1']], AT_THE_END),
  ...of(
    'src/graph/specialize/assembled.ts',
    "if (before?.zero === 'equalScales' && after?.zero === 'zero')",
    [['&&', '||']],
    'elsewhere the node of the zero point is the one that stands there',
  ),
  ...of(
    'src/graph/specialize.ts',
    'const b = newBuilder({ table, mode: program.mode',
    [['false', 'true']],
    'all nodes come from copies, which take the metadata that they are given',
  ),
]
