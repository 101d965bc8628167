/** A module of JavaScript or TypeScript that exports a traced program, or a network. */
import * as E from 'fp-ts/lib/Either.js'
import { createRequire } from 'node:module'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { QuantErrors } from '../../data/error.js'
import { isEither, nearestName } from '../../data/fields.js'
import type { Shape } from '../../data/shape.js'
import { parseProgram, programToJSON } from '../../graph/json.js'
import { isProgram, type Program } from '../../graph/program.js'
import { tensorInput, type InputDecl } from '../../graph/trace.js'
import { init, trace } from '../../nn/program/program.js'
import { ops } from '../../ops/index.js'
import { badFile, nameOfFile, ofFile, type File } from '../files.js'
import type { SomeLayer, Subject, Wanted } from '../subject.js'
import type { Source } from '../source.js'

type Module = { readonly [name: string]: unknown }

const codeOf = (e: unknown): string => (e instanceof Error && 'code' in e ? String(e.code) : '')

/**
 * Node before 22.18 reads no TypeScript; tsx, where the user has it, teaches this process (importing it registers it, once). Before the first attempt: a
 * module that could not be read stays unreadable.
 */
const teachTypeScript = async (): Promise<void> => {
  // 'strip' or 'transform' where Node reads it itself.
  if ('typescript' in process.features && Boolean(process.features.typescript)) return
  try {
    await import(pathToFileURL(createRequire(resolve('package.json')).resolve('tsx')).href)
  } catch {
    return
  }
}

const imported = async (file: File): Promise<E.Either<QuantErrors, Module>> => {
  if (/\.[cm]?ts$/.test(file.path)) await teachTypeScript()
  try {
    return E.right(await import(pathToFileURL(resolve(file.path)).href))
  } catch (e) {
    return codeOf(e) === 'ERR_UNKNOWN_FILE_EXTENSION'
      ? badFile(
          file.path,
          `is TypeScript, which Node ${process.versions.node} does not read`,
          'install tsx in this folder (npm i -D tsx), or use Node 22.18 or later, or compile it to JavaScript',
        )
      : badFile(
          file.path,
          `can't be imported: ${e instanceof Error ? `${e.name}: ${e.message}` : String(e)}`,
          'mend the module; node must be able to run it',
        )
  }
}

const isLayer = (x: unknown): x is SomeLayer =>
  typeof x === 'object' &&
  x !== null &&
  'apply' in x &&
  typeof x.apply === 'function' &&
  'layer' in x &&
  'params' in x &&
  'state' in x

/** What is exported may be an Either, as `trace` gives it. */
const unwrapped = (x: unknown): unknown => (isEither(x) && 'right' in x ? x.right : x)

const isUseful = (x: unknown): boolean => isProgram(unwrapped(x)) || isLayer(unwrapped(x)) || isEither(x)

const PREFERRED = ['program', 'net', 'model', 'default']

const chosen = (file: File, all: Module, name: string | undefined): E.Either<QuantErrors, unknown> => {
  const useful = Object.keys(all).filter((key) => isUseful(all[key]))
  const listed = useful.length === 0 ? 'it exports none' : `it exports ${useful.join(', ')}`
  if (name !== undefined && !useful.includes(name)) {
    const near = nearestName(name, useful)
    return badFile(
      file.path,
      `exports no program or network ${JSON.stringify(name)}`,
      near === undefined ? listed : `did you mean --export ${near}?`,
    )
  }
  const found = name ?? PREFERRED.find((key) => useful.includes(key)) ?? (useful.length === 1 ? useful[0] : undefined)
  if (found !== undefined) return E.right(all[found])
  return useful.length === 0
    ? badFile(
        file.path,
        'exports no program and no network',
        'export one: export const net = chain({ … }), or export const program = orThrow(trace(…))',
      )
    : badFile(file.path, `exports several: ${useful.join(', ')}`, `say which: --export ${useful[0]}`)
}

/** A program of another copy of this library has other op records: it is read anew with ours. Own ops stay as they are. */
const withOurOps = (program: Program): E.Either<QuantErrors, Program> => {
  const table: { readonly [name: string]: unknown } = ops
  const foreign = program.graph.nodes.some((n) => Object.hasOwn(table, n.op.name) && table[n.op.name] !== n.op)
  return foreign ? parseProgram(ops)(programToJSON(program)) : E.right(program)
}

type Declared = InputDecl | { readonly [name: string]: InputDecl }

const withBatch = (d: Declared, batch: number): Declared => {
  const one = (x: InputDecl): InputDecl => ({ ...x, shape: [batch, ...x.shape.slice(1)] })
  return isDeclaration(d) ? one(d) : Object.fromEntries(Object.entries(d).map(([k, x]) => [k, one(x)]))
}
const isDeclaration = (x: Declared): x is InputDecl => 'input' in x && (x.input === 'tensor' || x.input === 'quant')

/** The inputs of a network: those of `--input`, or what the module exports as `inputs`. */
const declaredFor = (file: File, all: Module, shapes: Wanted['inputs']): E.Either<QuantErrors, Declared> => {
  const only: Shape | undefined = shapes.get('')
  if (only !== undefined && shapes.size === 1) return E.right(tensorInput(only))
  if (only !== undefined)
    return badFile(
      file.path,
      'has one input or several, and --input was given with and without a name',
      'name each: --input x=1,4 --input y=1,4',
    )
  if (shapes.size > 0)
    return E.right(Object.fromEntries([...shapes].map(([name, shape]) => [name, tensorInput(shape)])))
  // `trace` looks at it.
  if (typeof all.inputs === 'object' && all.inputs !== null) return E.right(all.inputs as Declared)
  return badFile(
    file.path,
    'exports a network, and the shape of its input is not known',
    'give it: --input 1,1,28,28; or let the module export it: export const inputs = tensorInput([1, 1, 28, 28])',
  )
}

const subjectOfLayer = (file: File, layer: SomeLayer, declared: Declared): E.Either<QuantErrors, Subject> => {
  const first = init(layer, 0)
  if (E.isLeft(first)) return first
  const { params, state } = first.right
  const ofBatch = (inputs: Declared): E.Either<QuantErrors, Program> =>
    E.chain((p) => withOurOps(p as Program))(trace(layer, inputs as never, { mode: 'eval' }))
  return E.map((program: Program): Subject => ({
    name: nameOfFile(file.path),
    program,
    numbers: { params, state },
    layer,
    ofBatch: (batch) => ofBatch(withBatch(declared, batch)),
    note: 'no --checkpoint: the numbers are those of init(net, 0)',
  }))(ofBatch(declared))
}

const read = async (file: File, wanted: Wanted): Promise<E.Either<QuantErrors, Subject>> => {
  const all = await imported(file)
  if (E.isLeft(all)) return all
  const found = chosen(file, all.right, wanted.export)
  if (E.isLeft(found)) return found
  if (isEither(found.right) && !('right' in found.right)) return ofFile(file.path)(found.right as E.Left<QuantErrors>)
  const value = unwrapped(found.right)
  if (isLayer(value)) {
    const declared = declaredFor(file, all.right, wanted.inputs)
    return E.isLeft(declared) ? declared : ofFile(file.path)(subjectOfLayer(file, value, declared.right))
  }
  if (!isProgram(value))
    return badFile(
      file.path,
      'exports an Either that holds neither program nor network',
      'export a program or a network',
    )
  return E.map((program: Program): Subject => ({
    name: nameOfFile(file.path),
    program,
    numbers: null,
    layer: null,
    ofBatch: null,
    note: null,
  }))(withOurOps(value))
}

export const moduleSource: Source = { is: ({ path }) => /\.[cm]?[jt]s$/.test(path), read }
