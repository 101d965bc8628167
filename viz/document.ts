/** The document around every page: its head with the policy, its body. */
import { escapeText } from './draw/mark.js'

/** Parts of a document. `policy` is its Content-Security-Policy; `head` (style, script) and `body` are markup, each line ended. */
export type DocumentParts = {
  readonly title: string
  readonly policy: string
  readonly head: string
  readonly kind?: string
  readonly body: string
}

/** A whole file. It asks for no icon: a page from a file system has none, and a missing one is an error in the console. */
export const htmlDocument = ({ title, policy, head, kind, body }: DocumentParts): string => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="quantrace">
<title>${escapeText(title)}</title>
<link rel="icon" href="data:,">
${head}</head>
<body${kind === undefined ? '' : ` class="${kind}"`}>
${body}</body>
</html>
`
