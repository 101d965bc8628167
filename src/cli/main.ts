#!/usr/bin/env node
/** The command `quantrace`. */
import { buffer } from 'node:stream/consumers'
import { runCli } from './cli.js'

/** Who reads a pipe may stop (`| head`): then there is nobody left to tell. */
const ignoreClosed = (e: NodeJS.ErrnoException): void => {
  if (e.code !== 'EPIPE') throw e
}
process.stdout.on('error', ignoreClosed)
process.stderr.on('error', ignoreClosed)

process.exitCode = await runCli(process.argv.slice(2), {
  stdin: async () => new Uint8Array(await buffer(process.stdin)),
  out: (content) =>
    new Promise((resolve) => {
      process.stdout.write(content, () => resolve())
    }),
  err: (text) => void process.stderr.write(text),
  terminal: process.stderr.isTTY === true,
})
