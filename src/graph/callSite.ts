/** Where in a user's program a call stands. */

/** `file:line:column` of the first caller outside the library's own code, from a stack trace. */
export const callSite = (): string => {
  const lines = (new Error().stack ?? '').split('\n').slice(2)
  const outside =
    lines.find((l) => !/[\\/](src|dist[\\/]src)[\\/](graph|ops|nn|quantizers|autodiff|data)[\\/]/.test(l)) ??
    lines[lines.length - 1] ??
    ''
  return outside.trim().replace(/^at /, '')
}
