#!/usr/bin/env node
/** The command `quantrace`: says what `runCommand` gives, and ends with status 2 where it refuses. */
import { runCommand, USAGE } from './command.js'

const done = runCommand(process.argv.slice(2))
if (done._tag === 'Right') console.log(done.right)
else {
  console.error(`${done.left}\n${USAGE}`)
  process.exitCode = 2
}
