/** A C compiler, where there is one: what is written is compiled with all warnings as errors, and run under the sanitizers. */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { CProgram } from '../../src/integer/index.js'

const CC = process.env['CC'] ?? 'cc'
const FLAGS = [
  '-std=c99',
  '-Wall',
  '-Wextra',
  '-Werror',
  '-pedantic',
  '-fsanitize=undefined',
  '-fno-sanitize-recover=all',
]

/** Is there one here? */
export const hasCompiler: boolean = spawnSync(CC, ['--version']).status === 0

/** One call of a program: its integers in, by parameter. */
export type Call = { readonly c: CProgram; readonly inputs: readonly ArrayLike<number>[] }

const constant = (type: string, name: string, data: ArrayLike<number>): string =>
  `static const ${type} ${name}[${Math.max(1, data.length)}] = { ${data.length === 0 ? '0' : Array.from(data).join(', ')} };`

/** A host that calls all programs and prints the integers of their results. */
const host = (calls: readonly Call[]): string => {
  const lines: string[] = ['#include <stdio.h>', ...calls.map(({ c }) => `#include "${c.name}.h"`), '']
  const body: string[] = []
  calls.forEach(({ c, inputs }, k) => {
    c.parameters.forEach((p, i) => {
      const name = `p${k}_${i}`
      lines.push(
        i < inputs.length ? constant(p.type, name, inputs[i]) : `static ${p.type} ${name}[${Math.max(1, p.size)}];`,
      )
    })
    body.push(`    ${c.name}_run(${c.parameters.map((_, i) => `p${k}_${i}`).join(', ')});`)
    c.parameters.forEach((p, i) => {
      if (i >= inputs.length) body.push(`    for (int i = 0; i < ${p.size}; i++) printf("%ld ", (long)p${k}_${i}[i]);`)
    })
    body.push('    printf("\\n");')
  })
  return [...lines, 'int main(void)', '{', ...body, '    return 0;', '}', ''].join('\n')
}

/** Compiles programs into one, runs it, and returns the integers that each call printed. */
export const runC = (calls: readonly Call[]): readonly (readonly number[])[] => {
  const folder = mkdtempSync(join(tmpdir(), 'quantrace-c-'))
  try {
    for (const { c } of calls) {
      writeFileSync(join(folder, `${c.name}.c`), c.source)
      writeFileSync(join(folder, `${c.name}.h`), c.header)
    }
    writeFileSync(join(folder, 'host.c'), host(calls))
    const files = [...new Set(calls.map(({ c }) => `${c.name}.c`)), 'host.c']
    const built = spawnSync(CC, [...FLAGS, ...files, '-o', 'program'], { cwd: folder, encoding: 'utf8' })
    if (built.status !== 0) throw new Error(`it does not compile:\n${built.stderr.slice(0, 2000)}`)
    const printed = execFileSync(join(folder, 'program'), { encoding: 'utf8', maxBuffer: 1 << 26 })
    return printed
      .split('\n')
      .slice(0, calls.length)
      .map((line) =>
        line
          .trim()
          .split(/\s+/)
          .filter((t) => t !== '')
          .map(Number),
      )
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** What a program in C must not hold outside of comments: floats, allocation, other headers than stdint.h. */
export const foreignTo = (c: CProgram): string | null => {
  for (const text of [c.source, c.header]) {
    const bare = text.replace(/\/\*[\s\S]*?\*\//g, ' ').replace(/"[^"\n]*"/g, ' ')
    const found = /\b(float|double|malloc|calloc|realloc|alloca|free)\b|\d\.\d+f?\b/.exec(bare)
    if (found !== null) return found[0]
    const header = [...bare.matchAll(/#\s*include\s*<([^>]+)>/g)].find(([, name]) => name !== 'stdint.h')
    if (header !== undefined) return header[0]
  }
  return null
}
