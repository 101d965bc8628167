/** Parameters and state from a file, for a program or for the network itself. */
import * as E from 'fp-ts/lib/Either.js'
import { parseTensors } from '../data/binary.js'
import type { QuantErrors } from '../data/error.js'
import { at } from '../data/tree.js'
import { parseSafetensors, type StoredArrays } from '../interop/arrays/index.js'
import { fromBrevitas, fromStateDict, type LoadedStateDict } from '../interop/brevitas/index.js'
import { parseNetwork } from '../nn/program/network.js'
import type { Program } from '../graph/program.js'
import { storedProblems, type Stored } from '../../viz/known.js'
import type { Io } from './command.js'
import { badFile, ofFile, readFile, type File } from './files.js'
import type { SomeLayer } from './subject.js'

/** Files of tensors begin with this. */
export const isCheckpoint = ({ bytes }: File): boolean => [0x51, 0x54, 0x52, 0x43].every((b, i) => bytes[i] === b)

/** Does a file hold what no state dict does: collections in their middle, as a PyTorch twin saves them? */
const isOfTwin = (dict: StoredArrays): boolean =>
  Object.keys(dict).some((key) => /\.(counter|quant_delay_steps)$/.test(key))

/** All of what a PyTorch twin has saved. */
const fromTwin = (layer: SomeLayer, dict: StoredArrays): E.Either<QuantErrors, LoadedStateDict<unknown, unknown>> =>
  E.map((trees: Stored) => ({ ...trees, loaded: Object.keys(dict), missing: [], unexpected: [] }))(
    fromBrevitas(layer, dict),
  )

/** The numbers of a safetensors file of Brevitas' or torch's, for a network; partly, with an account of what was missing and what was left over. */
export const loadedFrom = (
  file: File,
  layer: SomeLayer,
  strict: boolean,
): E.Either<QuantErrors, LoadedStateDict<unknown, unknown>> =>
  ofFile(file.path)(
    E.chain((dict: StoredArrays) =>
      strict && isOfTwin(dict) ? fromTwin(layer, dict) : fromStateDict(layer, dict, { strict }),
    )(parseSafetensors(file.bytes)),
  )

const numbersOfStateDict = (file: File, layer: SomeLayer): E.Either<QuantErrors, Stored> =>
  E.map(({ params, state }: Stored): Stored => ({ params, state }))(loadedFrom(file, layer, true))

const ofProgram = (file: File, program: Program): E.Either<QuantErrors, Stored> => {
  const tree = parseTensors(file.bytes)
  if (E.isLeft(tree)) return ofFile(file.path)(tree)
  const [params, state] = [at(tree.right, 'params'), at(tree.right, 'state')]
  if (params === undefined || state === undefined)
    return badFile(
      file.path,
      'is no checkpoint: it holds no params and state',
      'write one with checkpointToBytes(training), or tensorsToBytes({ params, state })',
    )
  const wrong = storedProblems(program, { params, state })
  return wrong.length > 0 ? ofFile(file.path)(E.left(wrong)) : E.right({ params, state })
}

/** The numbers in a file, checked against what they are for. */
export const readNumbers = async (
  path: string,
  of: { readonly program: Program; readonly layer: SomeLayer | null },
  io: Io,
): Promise<E.Either<QuantErrors, Stored>> => {
  const file = await readFile(path, io)
  if (E.isLeft(file)) return file
  if (isCheckpoint(file.right))
    return of.layer === null
      ? ofProgram(file.right, of.program)
      : ofFile(path)(parseNetwork(of.layer)(file.right.bytes))
  if (!path.endsWith('.safetensors'))
    return badFile(
      path,
      'is no checkpoint of quantrace',
      'give a file that checkpointToBytes wrote (.qtrc), or a state dict (.safetensors)',
    )
  return of.layer === null
    ? badFile(
        path,
        'is a state dict, whose names are those of layers, and a stored program has none',
        'name the module that exports the network instead of the stored program: quantrace … net.ts --checkpoint …',
      )
    : numbersOfStateDict(file.right, of.layer)
}
