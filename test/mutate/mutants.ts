/**
 * Mutants of a source file, found in its text. The formatter writes binary operators between spaces and generics without, so that operators can be told
 * from types without a parser (TypeScript 7 has none that can be called).
 */

/** One change of one place. */
export type Mutant = {
  readonly file: string
  readonly line: number
  readonly from: string
  readonly to: string
  readonly at: number
}

type Rule = { readonly pattern: RegExp; readonly to: (found: string) => string }

const swap = (pattern: RegExp, pairs: { readonly [from: string]: string }): Rule => ({
  pattern,
  to: (found) => {
    const word = found.trim()
    return found.replace(word, pairs[word])
  },
})

const RULES: readonly Rule[] = [
  swap(/ (?:<=|<|>=|>) /g, { '<': '<=', '<=': '<', '>': '>=', '>=': '>' }),
  swap(/ (?:===|!==) /g, { '===': '!==', '!==': '===' }),
  swap(/ (?:&&|\|\|) /g, { '&&': '||', '||': '&&' }),
  swap(/ [+*/-] /g, { '+': '-', '-': '+', '*': '/', '/': '*' }),
  swap(/\b(?:true|false)\b/g, { true: 'false', false: 'true' }),
  swap(/\bMath\.(?:min|max|floor|ceil)\b/g, {
    'Math.min': 'Math.max',
    'Math.max': 'Math.min',
    'Math.floor': 'Math.ceil',
    'Math.ceil': 'Math.floor',
  }),
  swap(/'(?:mul|div|add|sub|minimum|maximum|less|lessEqual|floor|ceil)'(?=, \[)/g, {
    "'mul'": "'div'",
    "'div'": "'mul'",
    "'add'": "'sub'",
    "'sub'": "'add'",
    "'minimum'": "'maximum'",
    "'maximum'": "'minimum'",
    "'less'": "'lessEqual'",
    "'lessEqual'": "'less'",
    "'floor'": "'ceil'",
    "'ceil'": "'floor'",
  }),
  { pattern: /(?<![\w.'"[])(?:0|1|2|0\.5)(?![\w.'"\]:])/g, to: (n) => String(Number(n) + 1) },
  { pattern: /!(?=[a-z(])/g, to: () => '' },
]

/** The text with comments and texts blanked out, but for the names of ops that rules emit; places stay. */
const bare = (source: string): string => {
  const blank = (s: string): string => s.replace(/[^\n]/g, ' ')
  return source
    .replace(/\/\*[\s\S]*?\*\//g, blank)
    .replace(/(?<=^|\s)\/\/.*$/gm, blank)
    .replace(/`(?:[^`\\]|\\.)*`/g, blank)
    .replace(/'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"/g, (s, at: number) =>
      source.slice(at + s.length, at + s.length + 3) === ', [' ? s : blank(s),
    )
    .replace(/^import [\s\S]*?from .*$/gm, blank)
    .replace(/^(?:export )?(?:type|interface) [\s\S]*?^(?:\}|\S.*)$/gm, blank)
    .replace(/^declare module[\s\S]*/gm, blank)
}

/** Everything of an op that only says how it is sampled or called. */
const withoutExamples = (text: string): string =>
  text.replace(/^ {2}examples: \[[\s\S]*?^ {2}\],$/gm, (s) => s.replace(/[^\n]/g, ' '))

/** All mutants of a file. */
export const mutantsOf = (file: string, source: string): readonly Mutant[] => {
  const text = withoutExamples(bare(source))
  return RULES.flatMap(({ pattern, to }) =>
    [...text.matchAll(pattern)].map((m): Mutant => {
      const [from] = m
      return { file, at: m.index, from, to: to(from), line: source.slice(0, m.index).split('\n').length }
    }),
  ).toSorted((a, b) => a.at - b.at)
}

/** The source with the change. */
export const mutated = (source: string, { at, from, to }: Mutant): string =>
  source.slice(0, at) + to + source.slice(at + from.length)
