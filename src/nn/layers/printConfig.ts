/** A layer's resolved configuration as text, the way Python prints a module. */
import type { Config } from './layer.js'

const indented = (text: string): string => text.replace(/\n/g, '\n  ')

/** `QuantReLU(\n  (actQuant): Uint8ActPerTensorFloat: RescalingIntQuant(…`; a part that is text stands as it is. */
export const printConfig = (config: Config): string => {
  if (config.parts.length === 0) return `${config.name}()`
  const parts = config.parts.map(
    ([name, part]) => `  (${name}): ${indented(typeof part === 'string' ? part : printConfig(part))}`,
  )
  return `${config.name}(\n${parts.join('\n')}\n)`
}
