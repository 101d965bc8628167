/** Rules of a quantization as a command line says them: a scheme, a file of rules, and short ones. */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantErrors } from '../data/error.js'
import { nearestName } from '../data/fields.js'
import * as presets from '../quantizers/presets.js'
import { schemes, type Choice, type Rule, type SchemeName } from '../quantize/index.js'
import { rulesProblems } from '../quantize/rules.js'
import { misused, orRefused, refused, type Io, type Options, type Result } from './command.js'
import { badFile, readFile, type File } from './files.js'

const SCHEMES = Object.keys(schemes)

/** Options that say rules. */
export const RULES = {
  scheme: { type: 'string', value: 'NAME', says: 'Rules to begin with (default int8).' },
  rules: {
    type: 'string',
    value: 'FILE',
    says: 'More rules, a list as JSON: [{ "path": "fc*", "to": { "weightBitWidth": 4 } }].',
  },
  rule: {
    type: 'string',
    value: 'PATH=WHAT',
    multiple: true,
    says: 'One rule more; later ones win. WHAT: float, w4 (weights), a8, w4a8, or a scheme.',
  },
} as const satisfies Options

/** The schemes, for the help of a command. */
export const schemesHelp = `Schemes: ${SCHEMES.join(', ')}.`

const isScheme = (name: string): name is SchemeName => Object.hasOwn(schemes, name)

const schemeOf = (name: string): Result<readonly Rule[]> => {
  if (isScheme(name)) return E.right(schemes[name])
  const near = nearestName(name, SCHEMES)
  return misused(
    '--scheme',
    `there is no scheme ${JSON.stringify(name)}`,
    near === undefined ? `give one of ${SCHEMES.join(', ')}` : `did you mean --scheme ${near}?`,
  )
}

/** `PATH=WHAT` as a rule. */
const shortRule = (text: string): Result<Rule> => {
  const cut = text.lastIndexOf('=')
  const [path, what] = [text.slice(0, cut), text.slice(cut + 1)]
  if (cut > 0 && what === 'float') return E.right({ path, to: null })
  if (cut > 0 && isScheme(what)) return E.right({ path, to: schemes[what][0].to })
  const [, weights, acts] = /^(?:w(\d+))?(?:a(\d+))?$/.exec(what) ?? []
  if (cut <= 0 || (weights ?? acts) === undefined)
    return misused(
      '--rule',
      `--rule ${text} is no rule`,
      `write a path, = and what becomes of it: --rule 'fc*=w4', --rule 'conv1=float', or a scheme: ${SCHEMES.join(', ')}`,
    )
  const to: Choice = {
    ...(weights === undefined ? {} : { weightBitWidth: Number(weights) }),
    ...(acts === undefined ? {} : { actBitWidth: Number(acts) }),
  }
  return E.right({ path, to })
}

const QUANTIZERS: readonly string[] = ['weightQuant', 'actQuant', 'unsignedActQuant', 'biasQuant']

/** JSON with the names of presets, where quantizers stand, as the presets; all else is looked at by `quantize`. */
const withPresets = (file: File, rules: readonly unknown[]): E.Either<QuantErrors, readonly Rule[]> => {
  const names = Object.keys(presets)
  const known = new Map<string, unknown>(Object.entries(presets))
  const unknown = rules.flatMap((r) => {
    const to: unknown = typeof r === 'object' && r !== null && 'to' in r ? r.to : null
    return Object.entries(to ?? {}).flatMap(([k, q]) =>
      QUANTIZERS.includes(k) && typeof q === 'string' && !known.has(q) ? [q] : [],
    )
  })
  if (unknown.length > 0) {
    const near = nearestName(unknown[0], names)
    return badFile(
      file.path,
      `names the preset ${JSON.stringify(unknown[0])}, which there is not`,
      near === undefined ? `there are ${names.slice(0, 8).join(', ')}, …` : `did you mean ${near}?`,
    )
  }
  return E.right(
    JSON.parse(JSON.stringify(rules), (k, v: unknown) => (QUANTIZERS.includes(k) ? (known.get(String(v)) ?? v) : v)),
  )
}

const rulesIn = (file: File): E.Either<QuantErrors, readonly Rule[]> => {
  const list = E.tryCatch(
    (): unknown => JSON.parse(new TextDecoder().decode(file.bytes)),
    (e) => (e instanceof Error ? e.message : String(e)),
  )
  if (E.isRight(list) && Array.isArray(list.right)) return withPresets(file, list.right)
  return badFile(
    file.path,
    E.isLeft(list) ? `is no JSON: ${list.left}` : 'holds no list of rules',
    'write a list: [{ "path": "fc*", "to": { "weightBitWidth": 4 } }, { "layer": "Linear", "to": null }]',
  )
}

/** The rules of a call: those of the scheme, of the file, and the short ones, in this order. */
export const rulesOf = async (
  given: { readonly scheme: string | undefined; readonly rules: string | undefined; readonly rule: readonly string[] },
  io: Io,
): Promise<Result<readonly Rule[]>> => {
  const scheme = schemeOf(given.scheme ?? 'int8')
  if (E.isLeft(scheme)) return scheme
  const all = [...scheme.right]
  if (given.rules !== undefined) {
    const file = await readFile(given.rules, io)
    const read = E.isLeft(file) ? file : rulesIn(file.right)
    if (E.isLeft(read)) return orRefused(read)
    all.push(...read.right)
  }
  for (const text of given.rule) {
    const rule = shortRule(text)
    if (E.isLeft(rule)) return rule
    all.push(rule.right)
  }
  const wrong = rulesProblems(all)
  return wrong.length > 0 ? refused(wrong) : E.right(all)
}
