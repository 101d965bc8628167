/**
 * A host program in C around an integer program: it holds the inputs, quantizes them as the first quantizer does, calls the program and prints the integers.
 * Where more than one quantizer stands in front (a batch norm, a tanh), the integers that these floats give are written down instead.
 */
import * as q from '../../src/index.js'
import type { CProgram, IntegerProgram } from '../../src/integer/index.js'

type Integers = { readonly [name: string]: { readonly data: ArrayLike<number> } }
type Inputs = { readonly [name: string]: q.Tensor | q.QuantTensor }

/** A float32 as C has it, exactly. */
const float = (v: number): string => {
  if (Number.isNaN(v)) return 'NAN'
  if (!Number.isFinite(v)) return v < 0 ? '-INFINITY' : 'INFINITY'
  if (v === 0) return Object.is(v, -0) ? '-0.0f' : '0.0f'
  let [m, e] = [Math.abs(v), 0]
  while (!Number.isInteger(m)) [m, e] = [m * 2, e - 1]
  while (m % 2 === 0 && m > 2 ** 53) [m, e] = [m / 2, e + 1]
  return `${v < 0 ? '-' : ''}0x${BigInt(m).toString(16)}p${e}f`
}

const array = (type: string, name: string, values: readonly string[]): string =>
  `static const ${type} ${name}[${Math.max(1, values.length)}] = { ${values.length === 0 ? '0' : values.join(', ')} };`

const ROUND: { readonly [rounding: string]: string } = {
  ROUND: 'nearbyintf(v)',
  FLOOR: 'floorf(v)',
  CEIL: 'ceilf(v)',
  ROUND_TO_ZERO: 'truncf(v)',
}

/** The one quantizer of an entry whose operand is the input itself, with one scale and one zero point; else null. */
const plainQuantizer = (integer: IntegerProgram, name: string): string | null => {
  const { program, constants } = integer.entry
  const output = program.outputs.find((o) => o.path === name)
  const node = output === undefined ? undefined : program.graph.nodes[output.node]
  const border = integer.inputs.find((i) => i.name === name)
  if (node === undefined || border === undefined || node.op.name !== 'quantize') return null
  const source = program.inputs.find((i) => i.node === node.inputs[0])
  const rounding = ROUND[String(node.attrs.rounding)]
  if (source?.kind !== 'data' || source.path !== name || rounding === undefined) return null
  if (border.scale.data.length !== 1 || border.zeroPoint.data.length !== 1 || Object.keys(constants).length > 0)
    return null
  const bits = Number(node.attrs.bits)
  const narrow = node.attrs.narrow === true ? 1 : 0
  const [lo, hi] =
    node.attrs.signed === true ? [-(2 ** (bits - 1)) + narrow, 2 ** (bits - 1) - 1] : [0, 2 ** bits - 1 - narrow]
  return [
    `static int32_t quantize_${name.replace(/\W/g, '_')}(float x)`,
    '{',
    `    float u = x / ${float(border.scale.data[0])};`,
    `    float v = u + ${float(border.zeroPoint.data[0])};`,
    `    float r = ${rounding};`,
    `    if (r < ${float(lo)}) r = ${float(lo)};`,
    `    if (r > ${float(hi)}) r = ${float(hi)};`,
    '    return (int32_t)r;',
    '}',
  ].join('\n')
}

/** The text of the host program. */
export const hostProgram = (integer: IntegerProgram, c: CProgram, inputs: Inputs, integers: Integers): string => {
  const lines = ['#include <math.h>', '#include <stdio.h>', `#include "${c.name}.h"`, '']
  const body: string[] = []
  for (const p of c.parameters.slice(0, integer.inputs.length)) {
    const fn = plainQuantizer(integer, p.of)
    const data = inputs[p.of]
    const size = Math.max(1, p.size)
    if (fn === null || data === undefined || q.valueOf(data).data.some((v) => !Number.isFinite(v))) {
      lines.push(array(p.type, `${p.name}_integers`, Array.from(integers[p.of].data, String)))
      body.push(`    const ${p.type} *${p.name} = ${p.name}_integers;`)
      continue
    }
    lines.push(fn, array('float', `${p.name}_values`, Array.from(q.valueOf(data).data, float)))
    lines.push(`static ${p.type} ${p.name}[${size}];`)
    body.push(
      `    for (int i = 0; i < ${p.size}; i++) ${p.name}[i] = (${p.type})quantize_${p.of.replace(/\W/g, '_')}(${p.name}_values[i]);`,
    )
  }
  const outs = c.parameters.slice(integer.inputs.length)
  for (const p of outs) lines.push(`static ${p.type} ${p.name}[${Math.max(1, p.size)}];`)
  return [
    ...lines,
    '',
    'int main(void)',
    '{',
    ...body,
    `    ${c.name}_run(${c.parameters.map((p) => p.name).join(', ')});`,
    ...outs.map((p) => `    for (int i = 0; i < ${p.size}; i++) printf("%ld\\n", (long)${p.name}[i]);`),
    '    return 0;',
    '}',
    '',
  ].join('\n')
}
