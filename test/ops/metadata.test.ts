/**
 * What every op says of the grids of its results, on its examples with quant tensors of several kinds as operands: as it is recorded in `metadata.txt`. The
 * laws say that it is sound; this says that it is no less than it was. `QUANTRACE_RENEW=1 npx tsx test/ops/metadata.test.ts` records anew; a new op need not be there.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import * as assert from 'uvu/assert'
import * as E from 'fp-ts/lib/Either.js'
import { gridOf, isFloatGrid, type Carried } from '../../src/data/quant.js'
import type { Example, ExampleArg, Op } from '../../src/graph/op.js'
import { primitiveOps } from '../../src/ops/index.js'
import { carriedBy } from '../../src/testing/index.js'
import { suite } from '../support/suite.js'

const test = suite('ops: metadata')
const FILE = fileURLToPath(new URL('metadata.txt', import.meta.url))

type Grid = NonNullable<ExampleArg['quant']>
const SIGNED: Grid = { bits: 4, signed: true }
const KINDS: { readonly [name: string]: (k: number, own: ExampleArg['quant']) => ExampleArg['quant'] } = {
  own: (_, own) => own,
  signed: () => SIGNED,
  unsigned: () => ({ bits: 3, signed: false }),
  'signed and unsigned': (k) => (k === 0 ? SIGNED : { bits: 2, signed: false }),
  wide: () => ({ bits: 11, signed: true }),
  'with zero points': () => ({ ...SIGNED, zero: 'integer' }),
  'with one zero point': (k) => (k === 0 ? { ...SIGNED, zero: 'integer' } : SIGNED),
  'of one bit': () => ({ bits: 1, signed: false }),
  'first alone': (k) => (k === 0 ? SIGNED : undefined),
}

const said = (c: Carried): string => {
  const g = gridOf(c)
  if (g === null) return c.tag
  const exact = c.tag === 'claimed' && c.exact === true ? ' exactly' : ''
  const own = isFloatGrid(g)
    ? 'minifloats'
    : `${g.lo} … ${g.hi}, zero point ${g.zero}, slack ${(g.slack * 2 ** 24).toFixed(3)}`
  return `${c.tag}${exact} ${g.bits}${g.signed ? 's' : 'u'} ${own}`
}

const linesOf = (op: Op): readonly (readonly [string, string])[] =>
  op.examples.slice(0, 3).flatMap((e, i) =>
    Object.entries(KINDS).flatMap(([kind, of]) => {
      const args = e.args.map((a, k): ExampleArg => {
        const { quant, ...plain } = a
        const grid = a.fixed === true || a.range !== undefined || a.steps !== undefined ? quant : of(k, quant)
        return grid === undefined ? plain : { ...plain, quant: grid }
      })
      const example: Example = { ...e, args }
      const carried = E.tryCatch(
        () => carriedBy(op, example),
        () => null,
      )
      return [[`${op.name} ${i}, ${kind}`, E.isLeft(carried) ? 'refused' : said(carried.right)] as const]
    }),
  )

if (process.env['QUANTRACE_RENEW'] === '1') {
  const kept = primitiveOps.flatMap(linesOf).filter(([, what]) => /^(?:carries|claimed)/.test(what))
  writeFileSync(FILE, `${kept.map((l) => l.join(': ')).join('\n')}\n`)
}
const LINES = readFileSync(FILE, 'utf8').trimEnd().split('\n')

for (const op of primitiveOps) {
  const lines = LINES.filter((l) => l.startsWith(`${op.name} `))
  if (lines.length > 0)
    test(`what ${op.name} says of grids is as it is recorded`, () => {
      const now = new Map(linesOf(op))
      for (const line of lines) {
        const [name] = line.split(': ', 1)
        assert.is(`${name}: ${now.get(name)}`, line)
      }
    })
}

test('there is a record', () => assert.ok(LINES.length > 300))

test.run()
