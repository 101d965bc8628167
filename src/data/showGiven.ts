/** What a user gave, in a few words, for messages. */

const isObject = (x: unknown): x is object => typeof x === 'object' && x !== null
/** Is it an `Either` (which should have been unwrapped)? */
export const isEither = (x: unknown): x is { readonly _tag: 'Left' | 'Right' } =>
  isObject(x) && '_tag' in x && (x._tag === 'Left' || x._tag === 'Right')

const showSimple = (x: unknown): string | null => {
  if (typeof x === 'function') return x.name === '' ? 'a function' : `the function ${x.name}`
  if (typeof x === 'string') return x.length > 60 ? `${JSON.stringify(x.slice(0, 57))}…` : JSON.stringify(x)
  if (typeof x === 'symbol') return 'a symbol'
  return isObject(x) ? null : String(x)
}

const showObject = (x: object): string => {
  if (isEither(x)) return `an Either (a ${x._tag}) that was not unwrapped`
  if (x instanceof Promise) return 'a promise that was not awaited'
  if (ArrayBuffer.isView(x)) return `a ${Object.prototype.toString.call(x).slice(8, -1)}`
  if (Array.isArray(x)) {
    const shown = x.slice(0, 9).map((e: unknown) => showSimple(e) ?? (Array.isArray(e) ? '[…]' : '{…}'))
    return `[${[...shown.slice(0, 8), ...(shown.length > 8 ? ['…'] : [])].join(',')}]`
  }
  if ('data' in x && x.data instanceof Float32Array) return 'a tensor'
  if ('layer' in x && typeof x.layer === 'string') return `a layer (${x.layer})`
  const entries = Object.entries(x)
  const simple = entries.slice(0, 4).map(([k, v]) => `${k}: ${showSimple(v) ?? '…'}`)
  return entries.length === 0 ? '{}' : `{ ${[...simple, ...(entries.length > 4 ? ['…'] : [])].join(', ')} }`
}

/** What was given, in a few words, for messages. */
export const showGiven = (x: unknown): string => showSimple(x) ?? (isObject(x) ? showObject(x) : '')
