/** Of src/autodiff. */
import { of, type Equivalent } from './record.js'

const BACKWARD = 'src/autodiff/backward.ts'
const SCAN = 'src/autodiff/scanVjp.ts'

/** Mutants of the backward pass. */
export const OF_AUTODIFF: readonly Equivalent[] = [
  ...of(BACKWARD, 'const wantedArgs =', [['1', '2', 1]], 'any number below 0 marks what is filtered out'),
  ...of(
    BACKWARD,
    'if (node.branches === undefined',
    [['||', '&&']],
    'a phase always has branches; without a wanted operand it gives an empty list a few lines further on',
  ),
  ...of(
    BACKWARD,
    'for (let i = nodes.length - 1; i >= 0; i--) {',
    [
      ['>=', '>'],
      ['0', '1'],
    ],
    'node 0 has no operands, so that nothing is done there',
  ),
  ...of(
    BACKWARD,
    'needs[id] === 1 && inputs.length > 0',
    [
      ['&&', '||', 3],
      ['true', 'false'],
      ['===', '!==', 1],
    ],
    'wanted nodes are inputs, which have no operands, and assignments, whose rule hands nothing on',
  ),
  ...of(
    BACKWARD,
    'const count = node.branches',
    [['0', '1']],
    'phases and loops always have branches: the other side is for the type',
  ),
  ...of(
    BACKWARD,
    '(_, k) => cts.get(gets.find(',
    [
      ['-', ''],
      ['1', '2'],
    ],
    'a builder gives every result of a phase or loop a node, so that one is found',
  ),
  ...of(
    SCAN,
    'const through = n.op.guards === true',
    [
      ['>', '>='],
      ['0', '1'],
    ],
    'every check has the value that it hands on as its first operand',
  ),
  ...of(
    SCAN,
    'if (n.op.updates === true && leaves.has(leaf)) out.set',
    [['&&', '||']],
    'sums of leaves that nobody asks for are results that nobody reads, which a builder drops',
  ),
  ...of(
    SCAN,
    'const inner = n.op === scanOp && n.branches',
    [
      ['&&', '||'],
      ['!==', '==='],
    ],
    'loops always have branches, and phases assign no leaf in theirs',
  ),
]
