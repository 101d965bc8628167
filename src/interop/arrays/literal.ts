/** The little of Python's literals that a header of numpy's holds: a record of texts, booleans and tuples of whole numbers. Nothing is evaluated. */

/** A value of the record; `null`: another literal, such as the list of a record type. */
export type Literal = string | boolean | readonly number[] | null

type Token =
  | { readonly is: 'text'; readonly text: string }
  | { readonly is: 'number'; readonly number: number }
  | { readonly is: 'word'; readonly word: string }
  | { readonly is: 'mark'; readonly mark: string }

/** Python 2 wrote `3L`. */
const TOKEN = /\s*(?:'([^'\\]*)'|"([^"\\]*)"|(\d+)L?(?!\w)|([A-Za-z_]\w*)|([{}():,[\]]))/y

const tokensOf = (text: string): readonly Token[] | null => {
  const out: Token[] = []
  const whole = text.trimEnd()
  TOKEN.lastIndex = 0
  for (let at = 0; at < whole.length; at = TOKEN.lastIndex) {
    TOKEN.lastIndex = at
    const m = TOKEN.exec(whole)
    if (m === null) return null
    const [, single, double, number, word, mark] = m
    const quoted: string | undefined = single ?? double
    if (quoted !== undefined) out.push({ is: 'text', text: quoted })
    else if (number !== undefined) out.push({ is: 'number', number: Number(number) })
    else out.push(word === undefined ? { is: 'mark', mark } : { is: 'word', word })
  }
  return out
}

const isMark = (t: Token | undefined, mark: string): boolean => t?.is === 'mark' && t.mark === mark

/** A value with the place behind it, or null where there is none. */
type Read = { readonly value: Literal; readonly next: number } | null

/** `(2, 3)`, `(2,)`, `()`, from behind its opening. */
const tupleFrom = (tokens: readonly Token[], from: number): Read => {
  const value: number[] = []
  for (let i = from; i < tokens.length;) {
    if (isMark(tokens[i], ')')) return { value, next: i + 1 }
    const t = tokens[i]
    if (t.is !== 'number') return null
    value.push(t.number)
    if (!isMark(tokens[i + 1], ',') && !isMark(tokens[i + 1], ')')) return null
    i += isMark(tokens[i + 1], ',') ? 2 : 1
  }
  return null
}

/** A list, passed over: brackets within it must close. */
const overList = (tokens: readonly Token[], from: number): Read => {
  let open = 1
  for (let i = from; i < tokens.length; i++) {
    if (isMark(tokens[i], '[')) open++
    if (isMark(tokens[i], ']')) open--
    if (open === 0) return { value: null, next: i + 1 }
  }
  return null
}

const valueFrom = (tokens: readonly Token[], at: number): Read => {
  const t = tokens[at]
  if (t === undefined) return null
  if (t.is === 'text') return { value: t.text, next: at + 1 }
  if (t.is === 'word' && (t.word === 'True' || t.word === 'False')) return { value: t.word === 'True', next: at + 1 }
  if (isMark(t, '(')) return tupleFrom(tokens, at + 1)
  return isMark(t, '[') ? overList(tokens, at + 1) : null
}

/** The record that a text writes, by key; or what is wrong with it, to be put behind "its header". */
export const literalOf = (text: string): ReadonlyMap<string, Literal> | string => {
  const tokens = tokensOf(text)
  const none = 'is no record as Python writes it'
  if (tokens === null || !isMark(tokens[0], '{')) return none
  const out = new Map<string, Literal>()
  let at = 1
  while (!isMark(tokens[at], '}')) {
    const key = tokens[at]
    const read = isMark(tokens[at + 1], ':') ? valueFrom(tokens, at + 2) : null
    if (key?.is !== 'text' || read === null) return none
    if (out.has(key.text)) return `has ${JSON.stringify(key.text).slice(0, 60)} twice`
    out.set(key.text, read.value)
    if (!isMark(tokens[read.next], ',') && !isMark(tokens[read.next], '}')) return none
    at = read.next + (isMark(tokens[read.next], ',') ? 1 : 0)
  }
  return at === tokens.length - 1 ? out : none
}
