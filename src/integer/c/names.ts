/** Names and comments of C: whatever a layer is called, it stays inside its comment, and identifiers are identifiers. */

const KEYWORDS = new Set(
  (
    'auto break case char const continue default do double else enum extern float for goto if inline int long register restrict return short signed sizeof ' +
    'static struct switch typedef union unsigned void volatile while _Bool _Complex _Imaginary main'
  ).split(' '),
)

/** May this be the name of a program: an identifier of C99 that is no keyword and not reserved? */
export const isIdentifier = (name: string): boolean =>
  /^[A-Za-z][A-Za-z0-9_]{0,47}$/.test(name) && !KEYWORDS.has(name) && !/^(u?int|INT|UINT)\w*_[tCX]$/.test(name)

/** Any text as part of an identifier. */
export const identifierOf = (text: string): string => {
  const bare = text.replace(/[^A-Za-z0-9]+/g, '_').replace(/^_+|_+$/g, '')
  return bare === '' ? 'value' : bare.slice(0, 40)
}

/** Any text inside a comment: what could end it, continue a line, or be a trigraph is gone. */
export const commentOf = (text: string): string =>
  text
    .replace(/[^ -~]/g, '_')
    .replace(/[\\?]/g, '_')
    .replace(/\*\//g, '*_')
    .replace(/\/\*/g, '/_')
    .slice(0, 120)

/** Names that are each given once. */
export const uniqueNames = (): ((wanted: string) => string) => {
  const taken = new Set<string>()
  return (wanted) => {
    let name = wanted
    for (let i = 2; taken.has(name) || KEYWORDS.has(name); i++) name = `${wanted}_${i}`
    taken.add(name)
    return name
  }
}
