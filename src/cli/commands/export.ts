/** `quantrace export`: a program in another format, whole or not at all. */
import * as E from 'fp-ts/lib/Either.js'
import { command } from '../command.js'
import { readSubject } from '../sources/index.js'
import { SUBJECT } from '../subject.js'
import { chosenTarget, OF_TARGETS, store, TARGETS, targetsHelp } from '../written.js'

const OPTIONS = {
  to: { type: 'string', value: 'TARGET', says: `One of ${TARGETS.join(', ')}.` },
  out: {
    type: 'string',
    short: 'o',
    value: 'FILE',
    says: 'What to write (default: the name of the program); - is stdout.',
  },
  ...SUBJECT,
} as const

export const exportTo = command({
  says: `Write a program as ${TARGETS.join(', ')}.`,
  files: { shown: 'PROGRAM --to TARGET', least: 1, most: 1 },
  more: targetsHelp(),
  options: OPTIONS,
  own: OF_TARGETS,
  run: async ({ given, files, io }) => {
    const target = chosenTarget('export', given.to, given)
    if (E.isLeft(target)) return target
    const subject = await readSubject(files[0], given, io)
    if (E.isLeft(subject)) return subject
    const made = target.right.make(subject.right, given)
    if (E.isLeft(made)) return made
    return store(made.right, given.out ?? `${subject.right.name}${target.right.ending}`)
  },
})
