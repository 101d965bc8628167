/** Python's words: literals, identifiers, and names that are no danger whatever a user calls things. */

/** Words of Python, soft ones too, and of `forward`; no layer may be an attribute of one of them. */
const WORDS: ReadonlySet<string> = new Set(
  `False None True and as assert async await break class continue def del elif else except finally for from global if import in is lambda nonlocal not or pass
  raise return try while with yield case match type self super print torch F nn qnn float int bool str list tuple dict len range abs`.split(
    /\s+/,
  ),
)

/** Attributes that every `torch.nn.Module` has: a layer under such a name would hide it, and torch refuses it. */
const MODULE: ReadonlySet<string> = new Set(
  `T_destination add_module apply bfloat16 buffers call_super_init children compile cpu cuda double dump_patches eval extra_repr float forward get_buffer
  get_extra_state get_parameter get_submodule half ipu load_state_dict modules mtia named_buffers named_children named_modules named_parameters parameters
  register_backward_hook register_buffer register_forward_hook register_forward_pre_hook register_full_backward_hook register_full_backward_pre_hook
  register_load_state_dict_post_hook register_load_state_dict_pre_hook register_module register_parameter register_state_dict_post_hook
  register_state_dict_pre_hook requires_grad_ set_extra_state set_submodule share_memory state_dict to to_empty train training type xpu zero_grad`.split(
    /\s+/,
  ),
)

/** A string of JavaScript as a literal of Python in ASCII alone: nothing in it ends the literal or the line. */
export const textLiteral = (s: string): string =>
  `"${Array.from(s, (c) => {
    const code = c.codePointAt(0) ?? 0
    if (c === '"' || c === '\\') return `\\${c}`
    if (code >= 0x20 && code < 0x7f) return c
    return code > 0xffff ? `\\U${code.toString(16).padStart(8, '0')}` : `\\u${code.toString(16).padStart(4, '0')}`
  }).join('')}"`

/** A number as Python writes it; `float` puts a point behind whole ones. */
export const numberLiteral = (n: number, float = false): string => {
  if (Number.isNaN(n)) return 'float("nan")'
  if (!Number.isFinite(n)) return n > 0 ? 'float("inf")' : 'float("-inf")'
  const text = Object.is(n, -0) ? '-0.0' : String(n)
  return float && /^-?\d+$/.test(text) ? `${text}.0` : text
}

/** A tuple; of one element too. */
export const tupleLiteral = (elements: readonly string[]): string =>
  elements.length === 1 ? `(${elements[0]},)` : `(${elements.join(', ')})`

/** Data of options as Python: numbers, texts, flags, null, lists of them (as tuples); null where it is something else. */
export const literal = (x: unknown, float = false): string | null => {
  if (typeof x === 'number') return numberLiteral(x, float)
  if (typeof x === 'boolean') return x ? 'True' : 'False'
  if (typeof x === 'string') return textLiteral(x)
  if (x === null) return 'None'
  if (!Array.isArray(x)) return null
  const elements = x.map((e: unknown) => literal(e, float))
  return elements.every((e) => e !== null) ? tupleLiteral(elements) : null
}

/** `kernelSize` as `kernel_size`. */
export const snake = (name: string): string => name.replace(/[A-Z]/g, (c) => `_${c.toLowerCase()}`)

/** May a submodule be written `self.name`? Other names (keywords, methods of modules, mangled ones, letters that Python would normalise) stand in `_modules`. */
export const isAttribute = (name: string): boolean =>
  /^[A-Za-z][A-Za-z0-9_]*$/.test(name) && !WORDS.has(name) && !MODULE.has(name)

/** The submodule of that name, as an expression and as the left side of an assignment. */
export const submodule = (name: string): string =>
  isAttribute(name) ? `self.${name}` : `self._modules[${textLiteral(name)}]`

const letters = (text: string): string => text.replace(/[^A-Za-z0-9_]+/g, '_').replace(/^_+|_+$/g, '')

/** A variable's name near the one asked for, none of those taken. */
export const variable = (asked: string, taken: ReadonlySet<string>): string => {
  const clean = letters(asked).slice(0, 40)
  const base = clean === '' || /^\d/.test(clean) || WORDS.has(clean) ? `v_${clean}`.replace(/_$/, '') : clean
  let name = base
  for (let n = 2; taken.has(name); n++) name = `${base}_${n}`
  return name
}

/** A class name from the names on the way to a layer: `block.body` as BlockBody. */
export const className = (path: string, taken: ReadonlySet<string>): string => {
  const words = path.split('.').flatMap((part) => letters(part).split('_'))
  const joined = words.map((w) => w.charAt(0).toUpperCase() + w.slice(1)).join('')
  const base =
    joined === '' || /^\d/.test(joined) || joined === 'None' || joined === 'True' || joined === 'False'
      ? `Layer${joined}`
      : joined
  let name = base
  for (let n = 2; taken.has(name); n++) name = `${base}${n}`
  return name
}

/** Lines that do not grow too long: a call with its arguments, on one line or one argument a line. */
export const call = (head: string, args: readonly string[], indent: string): string => {
  const line = `${head}(${args.join(', ')})`
  if (indent.length + line.length <= 100 || args.length < 2) return line
  return `${head}(\n${args.map((a) => `${indent}    ${a},\n`).join('')}${indent})`
}
