/** Brevitas' steps on the float networks that ours starts from: written for same.py, and read back. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { orThrow, tensorInput, type Tensor } from '../../../src/index.js'
import type { Value } from '../../../src/graph/op.js'
import { npzToBytes } from '../../../src/interop/arrays/index.js'
import { quantize, schemes, type Trained } from '../../../src/quantize/index.js'
import type { Digits } from '../../../examples/digits/data.js'

type Float = { readonly name: string; readonly seed: number; readonly trained: Trained<Value, Value> }
type Row = {
  readonly net: string
  readonly seed: number
  readonly bits: string
  readonly steps: string
  readonly accuracy: number
}

const arrays = (tensors: { readonly [name: string]: Tensor }): Uint8Array =>
  npzToBytes(
    Object.fromEntries(
      Object.entries(tensors).map(([name, t]) => [
        name,
        { shape: [...t.shape], data: Float32Array.from(t.data), type: 'F32' as const },
      ]),
    ),
  )

/** Weights and biases by layer, batch norms merged. */
const weightsOf = ({ net, params, state }: Trained<Value, Value>): Uint8Array => {
  const { float } = orThrow(quantize(net, tensorInput([64, 1, 28, 28]), { params, state }, schemes.int8))
  const layers = Object.entries(float.params as { readonly [layer: string]: { readonly [name: string]: Tensor } })
  return arrays(
    Object.fromEntries(layers.flatMap(([layer, of]) => Object.entries(of).map(([name, t]) => [`${layer}.${name}`, t]))),
  )
}

/** What Brevitas reaches from these networks, with these samples, on these digits. */
export const theirsOf = (
  floats: readonly Float[],
  { samples, test }: { readonly samples: Tensor; readonly test: Digits },
  { folder, python, threads }: { readonly folder: string; readonly python: string; readonly threads: string },
): readonly Row[] => {
  const to = join(folder, 'same')
  mkdirSync(to, { recursive: true })
  for (const { name, seed, trained } of floats) writeFileSync(join(to, `${name}-${seed}.npz`), weightsOf(trained))
  writeFileSync(join(to, 'digits.npz'), arrays({ samples, images: test.images, labels: test.labels }))
  const out = execFileSync(python, [new URL('same.py', import.meta.url).pathname, to, threads], {
    encoding: 'utf8',
    maxBuffer: 2 ** 26,
  })
  return out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Row)
}
