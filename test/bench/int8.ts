/**
 * `npm run bench:int8 -- [--python PATH] [--threads N] [--batches 1,32,128] [--rounds N] [--seconds S] [--only REGEX]`: inference on int8 of three networks,
 * against ONNX Runtime on our own QCDQ export (native, and its WebAssembly build), PyTorch's float net, and the integer
 * program in C; and training steps of the same against PyTorch's. Peers take turns, and each row is a ratio of one run.
 */
import { execFileSync, spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import { isLeft } from 'fp-ts/lib/Either.js'
import { InferenceSession, Tensor as OrtTensor, env } from 'onnxruntime-web'
import * as q from '../../src/index.js'
import { toC, toInteger, type CProgram } from '../../src/integer/index.js'
import { exportOnnx } from '../../src/interop/onnx/index.js'
import { batchOf, int8Nets, settled, trainingOf, type Int8Net } from './int8Nets.js'

type Options = {
  readonly python: string | null
  readonly threads: number
  /** Which rows: `depthwise b32 step` is one's label. */
  readonly only: RegExp
  readonly batches: readonly number[]
  readonly rounds: number
  readonly seconds: number
}

/** Best milliseconds of a call within so many seconds; null: it can't be had. */
type Timed = (seconds: number) => Promise<number | null>
type Rival = { readonly name: string; readonly time: Timed; readonly close?: () => void }

const bestOf =
  (call: () => unknown): Timed =>
  async (seconds) => {
    let best = Infinity
    for (const until = performance.now() + 1000 * seconds; performance.now() < until;) {
      const began = performance.now()
      await call()
      best = Math.min(best, performance.now() - began)
    }
    return best
  }

/** The Python process that times ONNX Runtime and PyTorch. */
const python = (path: string) => {
  const child: ChildProcess = spawn(path, [new URL('int8_peer.py', import.meta.url).pathname], {
    stdio: ['pipe', 'pipe', 'ignore'],
  })
  const lines = createInterface({ input: child.stdout ?? process.stdin })[Symbol.asyncIterator]()
  const ask = async (question: object): Promise<number | null> => {
    child.stdin?.write(`${JSON.stringify(question)}\n`)
    const { value } = await lines.next()
    const answer: { ms?: number; error?: string } = JSON.parse(String(value ?? '{"error":"it ended"}'))
    if (answer.error !== undefined) console.error(answer.error)
    return answer.ms ?? null
  }
  return { ask, close: () => void child.stdin?.end() }
}
type Python = ReturnType<typeof python>

/** A program that calls the network again and again for some seconds and prints the best milliseconds. */
const timingHost = (c: CProgram): string => `#define _POSIX_C_SOURCE 199309L
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "${c.name}.h"
${c.parameters.map((p, i) => `static ${p.type} p${i}[${Math.max(1, p.size)}];`).join('\n')}
static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec * 1e3 + t.tv_nsec / 1e6; }
int main(int n, char **v) {
  double best = 1e9, until = now() + 1e3 * atof(v[n - 1]);
  do { double t = now(); ${c.name}_run(${c.parameters.map((_, i) => `p${i}`).join(', ')}); t = now() - t; if (t < best) best = t; } while (now() < until);
  printf("%.6f\\n", best);
  return 0;
}
`

/** The integer program in C, compiled for this machine; one thread. Null: no compiler, or the net has no integer program. */
const inC = (program: q.Program, fixed: unknown, folder: string, name: string): Rival | null => {
  const integer = toInteger(program, fixed as never)
  if (isLeft(integer)) return null
  const code = toC(integer.right, { name })
  if (isLeft(code)) return null
  writeFileSync(join(folder, `${name}.c`), code.right.source)
  writeFileSync(join(folder, `${name}.h`), code.right.header)
  writeFileSync(join(folder, `${name}_host.c`), timingHost(code.right))
  const flags = ['-O3', '-march=native', '-std=c99', `${name}.c`, `${name}_host.c`, '-o', name]
  if (spawnSync(process.env['CC'] ?? 'cc', flags, { cwd: folder }).status !== 0) return null
  const time = async (seconds: number): Promise<number> => Number(execFileSync(join(folder, name), [String(seconds)]))
  return { name: 'C, 1 thread', time }
}

const web = async (bytes: Uint8Array, x: q.Tensor, threads: number): Promise<Rival> => {
  env.wasm.numThreads = threads
  const session = await InferenceSession.create(bytes, { executionProviders: ['wasm'], logSeverityLevel: 3 })
  const feeds = { [session.inputNames[0]]: new OrtTensor('float32', x.data, x.shape) }
  await bestOf(() => session.run(feeds))(1.5)
  return { name: 'ort-web', time: bestOf(() => session.run(feeds)), close: () => void session.release() }
}

const inference = async (
  net: Int8Net,
  n: number,
  o: Options,
  py: Python | null,
  folder: string,
): Promise<readonly Rival[]> => {
  const x = batchOf(net, n)
  const fixed = settled(net, x)
  const program = q.orThrow(q.trace(net.net, q.tensorInput(x.shape) as never, { mode: 'eval' })) as q.Program
  const backend = q.orThrow(await q.createWasm({ threads: o.threads }))
  const compiled = q.orThrow(q.compile(program, backend))
  const resident = q.orThrow(compiled.resident({ ...fixed, inputs: x } as never))
  const ours: Rival = {
    name: `ours (${backend.features.rungs.integers})`,
    time: bestOf(() => q.orThrow(resident.execute())),
    close: () => {
      compiled.dispose()
      backend.dispose()
    },
  }
  const bytes = q.orThrow(exportOnnx(program, fixed as never))
  const [file, numbers] = [join(folder, `${net.name}.${n}.onnx`), join(folder, `${net.name}.${n}.x`)]
  writeFileSync(file, bytes)
  writeFileSync(numbers, new Uint8Array(x.data.buffer, x.data.byteOffset, x.data.byteLength))
  const common = { net: net.name, batch: n, threads: o.threads, file, x: numbers, shape: x.shape }
  const asked = (what: string): Rival => ({
    name: what,
    time: async (seconds) => (py === null ? null : py.ask({ ...common, what, seconds })),
  })
  const c = inC(program, fixed, folder, `${net.name}${n}`)
  const others = [await web(bytes, x, o.threads), asked('ort-native'), asked('torch-float')]
  return [ours, ...others, ...(c === null ? [] : [c])]
}

const training = async (
  net: Int8Net,
  n: number,
  o: Options,
  py: Python | null,
  fma: boolean,
): Promise<readonly Rival[]> => {
  const x = batchOf(net, n)
  const { program, target } = trainingOf(net, x)
  const backend = q.orThrow(await q.createWasm({ threads: o.threads, fma }))
  const optimizer = q.sgd({ lr: 1e-4 })
  const start = q.startTraining(settled(net, x) as never, optimizer)
  const steps = q.orThrow(q.trainer(program, optimizer, start as never, backend))
  const ours: Rival = {
    name: `ours${backend.features.rungs.fma ? ' (fma)' : ''}`,
    time: bestOf(() => q.orThrow(steps.step({ x, target } as never))),
    close: () => {
      steps.dispose()
      backend.dispose()
    },
  }
  const question = { what: 'torch-train', net: net.name, batch: n, threads: o.threads }
  return [
    ours,
    { name: 'torch-float', time: async (seconds) => (py === null ? null : py.ask({ ...question, seconds })) },
  ]
}

/** Rivals take turns; the best of all rounds of each. Their time divided by ours. */
const row = async (label: string, made: () => Promise<readonly Rival[]>, o: Options): Promise<void> => {
  if (!o.only.test(label)) return
  const rivals = await made()
  const best = rivals.map(() => Infinity)
  for (let r = 0; r < o.rounds; r++)
    for (const [k, rival] of rivals.entries()) best[k] = Math.min(best[k], (await rival.time(o.seconds)) ?? Infinity)
  const cells = rivals
    .slice(1)
    .map((rival, k) =>
      Number.isFinite(best[k + 1])
        ? `${rival.name} ${best[k + 1].toFixed(2)} ms (${(best[k + 1] / best[0]).toFixed(2)} ×)`
        : `${rival.name} –`,
    )
  console.log(`${label.padEnd(22)} ${rivals[0].name} ${best[0].toFixed(2)} ms; ${cells.join('; ')}`)
  rivals.forEach((rival) => rival.close?.())
}

const optionsOf = (args: readonly string[]): Options => {
  const { values } = parseArgs({
    args: [...args],
    options: {
      python: { type: 'string' },
      threads: { type: 'string', default: '2' },
      only: { type: 'string', default: '.' },
      batches: { type: 'string', default: '1,32,128' },
      rounds: { type: 'string', default: '3' },
      seconds: { type: 'string', default: '0.7' },
    },
  })
  return {
    python: values.python ?? null,
    threads: Number(values.threads),
    only: new RegExp(values.only),
    batches: values.batches.split(',').map(Number),
    rounds: Number(values.rounds),
    seconds: Number(values.seconds),
  }
}

const main = async (): Promise<void> => {
  const o = optionsOf(process.argv.slice(2))
  const folder = mkdtempSync(join(tmpdir(), 'quantrace-int8-'))
  const py = o.python === null ? null : python(o.python)
  console.log(
    `${cpus().length} × ${cpus()[0]?.model}, Node ${process.versions.node}, ${o.threads} threads; a rival's time ÷ ours`,
  )
  try {
    for (const net of int8Nets())
      for (const n of o.batches) await row(`${net.name} b${n} infer`, () => inference(net, n, o, py, folder), o)
    for (const net of int8Nets())
      for (const n of o.batches.filter((b) => b > 1)) {
        await row(`${net.name} b${n} step`, () => training(net, n, o, py, false), o)
        await row(`${net.name} b${n} step`, () => training(net, n, o, py, true), o)
      }
  } finally {
    py?.close()
    rmSync(folder, { recursive: true })
  }
}

await main()
