/** Opens a page from disk in headless Chromium, as a reader would, and watches what it does. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Browser, Page } from 'playwright-core'

/** An open page. */
export type Opened = {
  readonly page: Page
  readonly errors: readonly string[]
  readonly requests: readonly string[]
  readonly loadMs: number
  readonly close: () => Promise<void>
}
/** How it is opened. */
export type OpenOptions = {
  readonly hash?: string
  readonly dark?: boolean
  readonly before?: () => void
  readonly width?: number
  readonly height?: number
}

/** Opens HTML as a file. `before` runs in the page before its own script. */
export const openHtml = async (browser: Browser, html: string, o: OpenOptions = {}): Promise<Opened> => {
  const folder = mkdtempSync(join(tmpdir(), 'quantrace-viz-'))
  const file = join(folder, 'page.html')
  writeFileSync(file, html)
  const page = await browser.newPage({
    viewport: { width: o.width ?? 1280, height: o.height ?? 800 },
    colorScheme: o.dark === true ? 'dark' : 'light',
  })
  const [errors, requests]: [string[], string[]] = [[], []]
  page.on('pageerror', (e) => {
    errors.push(String(e))
  })
  page.on('console', (m) => {
    if (['error', 'warning'].includes(m.type())) errors.push(m.text())
  })
  page.on('request', (r) => {
    requests.push(r.url())
  })
  page.on('dialog', (d) => {
    errors.push(`dialog: ${d.message()}`)
    void d.dismiss()
  })
  if (o.before !== undefined) await page.addInitScript(o.before)
  const started = performance.now()
  await page.goto(`${pathToFileURL(file).href}${o.hash ?? ''}`)
  return {
    page,
    errors,
    requests,
    loadMs: performance.now() - started,
    close: async () => {
      await page.close()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** All elements that match, with those of their attributes that begin with `data-`. */
export const readBack = (page: Page, selector: string): Promise<readonly { readonly [name: string]: string }[]> =>
  page.evaluate(
    (s) =>
      [...document.querySelectorAll(s)].map((e) =>
        Object.fromEntries([...e.attributes].filter((a) => a.name.startsWith('data-')).map((a) => [a.name, a.value])),
      ),
    selector,
  )
