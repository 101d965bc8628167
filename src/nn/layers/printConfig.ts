/** A layer's resolved configuration as text, the way Python prints a module. */
import { demandArguments, required, type Field } from '../../data/fields.js'
import type { Config } from './layer.js'

const indented = (text: string): string => text.replace(/\n/g, '\n  ')

const configField: Field = {
  says: "a layer's configuration",
  like: 'QuantReLU().config',
  holds: (x) =>
    typeof x === 'object' &&
    x !== null &&
    'name' in x &&
    typeof x.name === 'string' &&
    'parts' in x &&
    Array.isArray(x.parts) &&
    x.parts.every((p) => Array.isArray(p) && typeof p[0] === 'string' && p.length === 2),
}

/** `QuantReLU(\n  (actQuant): Uint8ActPerTensorFloat: RescalingIntQuant(…`; a part that is text stands as it is. */
export const printConfig = (config: Config): string => {
  demandArguments('printConfig', { config }, { config: required(configField) })
  if (config.parts.length === 0) return `${config.name}()`
  const parts = config.parts.map(
    ([name, part]) => `  (${name}): ${indented(typeof part === 'string' ? part : printConfig(part))}`,
  )
  return `${config.name}(\n${parts.join('\n')}\n)`
}
