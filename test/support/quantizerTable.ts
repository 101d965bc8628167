/** README's table of quantizers, made of the presets themselves: a row for each beginning of their names. */
import * as q from '../../src/index.js'
import { largestMinifloat, formatOf } from '../../src/quantizers/minifloat.js'
import { showFormat } from '../../src/data/minifloat.js'

const isPreset = (x: unknown): x is q.Quantizer => typeof x === 'object' && x !== null && 'use' in x && 'quantType' in x

/** Where what a preset is made of begins in its name, behind the numbers that it gives. */
const MADE_OF = /(?=Dynamic|Weight|Act|Bias|Accumulator)/

const stemOf = ({ name }: q.Quantizer): string => name.split(MADE_OF)[0] ?? name

/** The numbers of a preset, in words. */
const numbersOf = (p: q.Quantizer): string => {
  if (p.quantType === 'BINARY') return 'two levels'
  if (p.quantType === 'FLOAT')
    return p.exponentBitWidth === null
      ? `minifloats of any widths${p.minifloat === 'FNUZ' ? ', FNUZ bias' : ''}`
      : `minifloats ${showFormat(formatOf(p))} up to ${largestMinifloat(p)}`
  if (p.scalingImplType === 'CONST' && p.bitWidth === 2) return 'three levels'
  const bits = p.bitWidth === null ? 'as many bits as asked for' : `${p.bitWidth} bits`
  const sign = p.signed ? 'signed' : 'unsigned'
  return `integers, ${bits}, ${sign}${p.zeroPointImpl === 'zero' ? '' : ', with a zero point'}`
}

const cell = (stem: string, presets: readonly q.Quantizer[]): string =>
  presets.map((p) => `\`${p.name.slice(stem.length)}\``).join(' ')

/** The table, in Markdown. */
export const quantizerTable = (): string => {
  const presets = Object.values(q).filter(isPreset)
  const stems = [...new Set(presets.map(stemOf))].sort((a, b) => a.localeCompare(b, 'en', { numeric: true }))
  const rows = stems.map((stem) => {
    const own = presets.filter((p) => stemOf(p) === stem)
    const uses = (['weight', 'act', 'bias'] as const).map((use) =>
      cell(
        stem,
        own.filter((p) => p.use === use),
      ),
    )
    return `| \`${stem}…\` | ${numbersOf(own[0] ?? q.Int8ActPerTensorFloat)} | ${uses.filter((u) => u !== '').join(' · ')} |`
  })
  return [
    `| ${presets.length} presets | numbers | weights · activations · biases: the rest of the name |`,
    '|---|---|---|',
    ...rows,
  ].join('\n')
}

const [BEGIN, END] = ['<!-- quantizers: npm run api -->', '<!-- end of quantizers -->']

/** A document with the table put between its marks. */
export const withQuantizerTable = (text: string): string => {
  const [from, to] = [text.indexOf(BEGIN), text.indexOf(END)]
  return from < 0 || to < from ? text : `${text.slice(0, from)}${BEGIN}\n\n${quantizerTable()}\n\n${text.slice(to)}`
}
