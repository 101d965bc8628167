/** The file of a precompiled program becomes a module with its header, or says what is wrong. Nothing in it is believed. */
import * as E from 'fp-ts/lib/Either.js'
import { crc32 } from '../data/crc32.js'
import type { QuantErrors } from '../data/error.js'
import { showGiven } from '../data/fields.js'
import { backendError } from '../evaluator/messages.js'
import { CHECKSUM_BYTES, SECTION, type Header } from '../evaluator/precompiled/header.js'
import { readers, type Doubts } from '../graph/readers.js'
import type { Fault } from './host.js'
import { readHeader, withinMemory } from './readHeader.js'

/** Functions of the module, by name: they take the number of a thread and how many there are, and give 0 where all is well. */
export type Functions = ReadonlyMap<string, (thread: number, threads: number) => unknown>

/** A module with its memory, and what its header says of it. */
export type Opened = { readonly header: Header; readonly functions: Functions; readonly memory: ArrayBuffer }

const STORE_AGAIN = 'make the file again with precompile; one that was cut off or changed can not be mended'

/** What is wrong with the file, as an error. */
export const refused = ({ where, message, fix = STORE_AGAIN }: Fault): E.Either<QuantErrors, never> =>
  E.left([
    {
      tag: 'ParseError',
      where,
      path: '',
      message: `precompiled program${where === '' ? '' : ` at ${where}`}: ${message}`,
      fix,
    },
  ])

/** `(func (result v128) (v128.const 0))`, which only an engine with SIMD accepts. */
const SIMD_PROBE = Uint8Array.from([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 22, 1, 20, 0, 253, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0,
  0, 0, 0, 0, 0, 0, 0, 11,
])

const canRun = (): boolean => typeof WebAssembly !== 'undefined' && WebAssembly.validate(SIMD_PROBE)

const unable = (message: string, fix: string): E.Either<QuantErrors, never> =>
  E.left([backendError('precompiled', message, fix)])

/** What is wrong with the bytes before anything is made of them, or null. */
const bytesFault = (bytes: Uint8Array): Fault | null => {
  if (!(bytes instanceof Uint8Array))
    return {
      where: '',
      message: `bytes (a Uint8Array) are needed, not ${showGiven(bytes)}`,
      fix: 'new Uint8Array(await (await fetch(url)).arrayBuffer()), or await readFile(path)',
    }
  const end = bytes.length - CHECKSUM_BYTES
  if (end < 8) return { where: '', message: 'the file is too short' }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (view.getUint32(0) !== 0x0061736d) return { where: '', message: 'the file is no WebAssembly module' }
  return view.getUint32(end, true) === crc32(bytes.subarray(0, end))
    ? null
    : { where: 'checksum', message: 'the contents do not match it' }
}

const reasonOf = (e: unknown): string => (e instanceof Error ? e.message : String(e))

/** Makes a module and its memory; neither may need anything from outside. */
const instantiate = async (
  bytes: Uint8Array,
): Promise<E.Either<QuantErrors, readonly [WebAssembly.Module, WebAssembly.Exports]>> => {
  try {
    // A copy: what is compiled is what was checked, even where others may write to these bytes.
    const module = await WebAssembly.compile(bytes.slice())
    const [needed] = WebAssembly.Module.imports(module)
    if (needed !== undefined)
      return refused({ where: '', message: `the module imports ${needed.module}.${needed.name}; it must need nothing` })
    return E.right([module, (await WebAssembly.instantiate(module)).exports])
  } catch (e) {
    return e instanceof RangeError
      ? unable(`the engine has no memory for this program: ${reasonOf(e)}`, 'precompile it for a smaller batch')
      : refused({ where: '', message: `the engine refuses the module: ${reasonOf(e)}` })
  }
}

const functionsOf = (exports: WebAssembly.Exports): Functions =>
  new Map(
    Object.entries(exports).flatMap(([name, f]) =>
      typeof f === 'function'
        ? [[name, (thread: number, threads: number): unknown => f(thread, threads)] as const]
        : [],
    ),
  )

/** The last section of a module, without the checksum. */
const headerText = (module: WebAssembly.Module): E.Either<string, unknown> => {
  const section = WebAssembly.Module.customSections(module, SECTION).at(-1)
  if (section === undefined || section.byteLength < CHECKSUM_BYTES) return E.left(`there is no section ${SECTION}`)
  const bytes = new Uint8Array(section, 0, section.byteLength - CHECKSUM_BYTES)
  return E.tryCatch(
    (): unknown => JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)),
    () => 'the header is no JSON',
  )
}

/** Opens a file. */
export const open = async (bytes: Uint8Array): Promise<E.Either<QuantErrors, Opened>> => {
  const fault = bytesFault(bytes)
  if (fault !== null) return refused(fault)
  if (!canRun()) return unable('this engine has no WebAssembly SIMD', 'use an engine from 2021 on, or run of quantrace')
  const made = await instantiate(bytes)
  if (E.isLeft(made)) return made
  const [module, { memory: exported, ...others }] = made.right
  const memory = exported instanceof WebAssembly.Memory ? exported.buffer : null
  if (!(memory instanceof ArrayBuffer))
    return refused({ where: '', message: 'the module exports no memory of its own' })
  const json = headerText(module)
  if (E.isLeft(json)) return refused({ where: 'header', message: json.left })
  const functions = functionsOf(others)
  const doubts: Doubts = []
  const header = readHeader(readers(doubts), json.right, withinMemory(memory.byteLength), new Set(functions.keys()))
  const [first] = doubts
  return first === undefined ? E.right({ header, functions, memory }) : refused(first)
}
