/** `--onnx OUTDIR [--format qcdq|qonnx] DIR…`: each program case as an ONNX file, with its numbers or the reason why not (interop FORMAT.md, 1). */
import * as E from 'fp-ts/lib/Either.js'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import * as q from '../../src/index.js'
import { exportOnnx, type OnnxFormat } from '../../src/interop/onnx/index.js'
import { evalProgram, finalOf, isProgramCase } from './final.js'
import { isRng, readCase, safe, type Case } from './format.js'

/** A tensor as the format has it. */
export const tensorJson = (t: q.Tensor): { readonly shape: readonly number[]; readonly f32: string } => ({
  shape: t.shape,
  f32: Buffer.from(t.data.buffer, t.data.byteOffset, t.data.byteLength).toString('base64'),
})

type Made = { readonly onnx: Uint8Array; readonly io: unknown }

const unsafe = (path: string): string => (path.startsWith(safe('')) ? path.slice(safe('').length) : path)

/** The file of a case and what it computes, by our own reference. */
const exported = (c: Case, format: OnnxFormat): E.Either<q.QuantErrors, Made> => {
  const final = finalOf(c)
  if (E.isLeft(final)) return final
  const program = evalProgram(final.right)
  if (E.isLeft(program)) return program
  const { trees, inputs, output } = final.right
  const ran = q.run(program.right, { ...trees, inputs })
  if (E.isLeft(ran)) return ran
  const quantInputs = Object.fromEntries(
    Object.entries(inputs).flatMap(([k, v]) =>
      q.isQuantTensor(v) ? [[k, { scale: v.scale, zeroPoint: v.zeroPoint }]] : [],
    ),
  )
  const paths = [...Object.keys(inputs), output]
  const names = Object.fromEntries(paths.map((p) => [p, unsafe(p)]))
  return E.map((onnx: Uint8Array) => ({
    onnx,
    io: {
      inputs: Object.fromEntries(Object.entries(inputs).map(([k, v]) => [unsafe(k), tensorJson(q.valueOf(v))])),
      outputs: { [unsafe(output)]: tensorJson(q.valueOf(ran.right.outputs[output])) },
    },
  }))(exportOnnx(program.right, trees, { format, quantInputs, names }))
}

/** Writes a file and the folders above it. */
export const put = (file: string, content: string | Uint8Array): void => {
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, content)
}

/** Writes all cases; the last line is `N exported, M refused, F failed`. */
export const writeOnnx = (files: readonly string[], outDir: string, format: OnnxFormat): number => {
  let [written, refused, failed] = [0, 0, 0]
  for (const file of files) {
    const c = readCase(file)
    if (isRng(c) || !isProgramCase(c)) continue
    const at = join(outDir, c.name)
    for (const ending of ['.onnx', '.io.json', '.reason.json']) rmSync(`${at}${ending}`, { force: true })
    try {
      const made = exported(c, format)
      if (E.isRight(made)) {
        put(`${at}.onnx`, made.right.onnx)
        put(`${at}.io.json`, JSON.stringify(made.right.io))
        written++
      } else {
        const [error] = made.left
        put(`${at}.reason.json`, JSON.stringify({ reason: q.explainAll(made.left), where: error.path }))
        refused++
      }
    } catch (e) {
      failed++
      console.log(`FAIL ${c.name}: ${e instanceof Error ? e.stack : String(e)}`)
    }
  }
  console.log(`${written} exported, ${refused} refused, ${failed} failed`)
  return failed > 0 ? 1 : 0
}
