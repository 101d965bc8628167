/**
 * npm run keywords [-- FOLDER]
 * Words told apart by an LSTM and by attention, weights and states in 8 and in 4 bits: trained here, tried on words that were held out, written to FOLDER (out/keywords)
 * as ONNX, as a file that `loadPrecompiled` runs in a page, and as a page that shows the network.
 */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import * as E from 'fp-ts/lib/Either.js'
import {
  accuracy,
  adam,
  compile,
  crossEntropy,
  explainAll,
  finish,
  orThrow,
  precompile,
  tensorInput,
  trace,
  train,
  valueOf,
  type Layer,
  type Output,
} from '../../src/index.js'
import { exportOnnx } from '../../src/interop/onnx/index.js'
import { writeFileWhole } from '../../src/node/index.js'
import { toHtml } from '../../viz/index.js'
import { attention, lstm } from './networks.js'
import { BANDS, FRAMES, spoken } from './words.js'

/** How much is trained. */
export type Effort = { readonly examples: number; readonly epochs: number }
const EFFORT: Effort = { examples: 1200, epochs: 12 }
const HELD_OUT = 600

/** What became of a network. */
export type Outcome = {
  readonly name: string
  readonly accuracy: number
  readonly seconds: number
  /** Why it is not written as ONNX; null: it is. */
  readonly refused: string | null
}

const inputOf = (batch: number) => tensorInput([batch, FRAMES, BANDS])

/** Trains one network, tries it, and writes what can be written of it. */
export const one = async <P, S>(
  name: string,
  net: Layer<P, S>,
  effort: Effort,
  folder: string | null,
): Promise<Outcome> => {
  const began = performance.now()
  const recipe = { optimizer: adam({ lr: 0.01 }), epochs: effort.epochs, batchSize: 40, seed: 1 }
  const { params, state } = orThrow(await finish(train(net, crossEntropy, spoken(effort.examples, 1), recipe)))
  const seconds = (performance.now() - began) / 1000
  const test = spoken(HELD_OUT, 2)
  const compiled = orThrow(compile(orThrow(trace(net, inputOf(HELD_OUT), { mode: 'eval' }))))
  const { outputs } = orThrow(compiled.run({ params, state, inputs: test.x }))
  compiled.dispose()
  const right = accuracy(valueOf(outputs as Output), test.target)
  const program = orThrow(trace(net, inputOf(1), { mode: 'eval' }))
  const onnx = exportOnnx(program, { params, state })
  if (folder !== null) {
    if (E.isRight(onnx)) orThrow(writeFileWhole(join(folder, `${name}.onnx`), onnx.right))
    orThrow(writeFileWhole(join(folder, `${name}.wasm`), orThrow(precompile(program, { params, state }))))
    orThrow(writeFileWhole(join(folder, `${name}.html`), toHtml(program, { title: name })))
  }
  return { name, accuracy: right, seconds, refused: E.isLeft(onnx) ? explainAll(onnx.left) : null }
}

/** All four, one after the other. */
export const keywords = async (
  effort: Effort,
  folder: string | null,
  say: (line: string) => void,
): Promise<readonly Outcome[]> => {
  const out: Outcome[] = []
  const done = async <P, S>(name: string, net: Layer<P, S>): Promise<void> => {
    const o = await one(name, net, effort, folder)
    out.push(o)
    say(
      `${name.padEnd(12)} ${(100 * o.accuracy).toFixed(1)}% right, trained in ${o.seconds.toFixed(1)} s; ONNX: ${o.refused ?? 'written'}`,
    )
  }
  for (const bits of [8, 4]) {
    await done(`lstm-${bits}`, lstm(bits))
    await done(`attention-${bits}`, attention(bits))
  }
  return out
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const folder = process.argv[2] ?? join('out', 'keywords')
  mkdirSync(folder, { recursive: true })
  await keywords(EFFORT, folder, (line) => console.log(line))
}
