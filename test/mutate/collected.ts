/** Stands for `test/support/suite.ts` in a bundle: tests are collected, and run one by one when they are asked for. */
type Body = () => void | Promise<void>

/** One test. */
export type Collected = { readonly name: string; readonly run: () => Promise<void> }

const found: Collected[] = []

/** The tests that were declared since the last call. */
export const taken = (): readonly Collected[] => found.splice(0)

/** As `suite` of `test/support/suite.ts`; hooks run around each test. */
export const suite = (name: string) => {
  const [before, after, own]: readonly [Body[], Body[], Collected[]] = [[], [], []]
  const declare = (test: string, body: Body): void => {
    const run = async (): Promise<void> => {
      for (const hook of before) await hook()
      try {
        await body()
      } finally {
        for (const hook of after) await hook()
      }
    }
    own.push({ name: `${name}: ${test}`, run })
  }
  return Object.assign(declare, {
    before: (hook: Body) => void before.push(hook),
    after: (hook: Body) => void after.push(hook),
    run: () => void found.push(...own),
  })
}
