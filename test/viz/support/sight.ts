/** What a person sees of an open page: how large its words are, what covers them, what they run into. Runs in the page. */
import type { Page } from 'playwright-core'

/** What is wrong in a view, and how many words of drawings are in sight. */
export type Sight = { readonly labels: number; readonly faults: readonly string[] }

/** Looks at the page as it stands. */
export const look = async (page: Page): Promise<Sight> => {
  // The loader of TypeScript marks functions by a helper that a page doesn't have.
  await page.evaluate('globalThis.__name ??= (f) => f')
  return page.evaluate(() => {
    const LEAST = 10.95
    type Word = { readonly text: string; readonly box: DOMRect; readonly drawn: boolean }
    const faults: string[] = []
    const words: Word[] = []
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
    const within = (x: number, y: number, r: DOMRect): boolean => x > r.left && x < r.right && y > r.top && y < r.bottom
    const see = (node: Text, parent: Element, svg: SVGElement | null, box: DOMRect): void => {
      const text = (node.textContent ?? '').trim().slice(0, 30)
      const [x, y] = [box.left + box.width / 2, box.top + box.height / 2]
      const pane = svg?.getBoundingClientRect()
      if (box.width < 1 || box.right < 0 || box.left > innerWidth || box.bottom < 0 || box.top > innerHeight) return
      if (pane !== undefined && !within(x, y, pane)) return
      const scale =
        parent instanceof SVGGraphicsElement
          ? Math.hypot(parent.getScreenCTM()?.a ?? 1, parent.getScreenCTM()?.b ?? 0)
          : 1
      const size = Number.parseFloat(getComputedStyle(parent).fontSize) * scale
      if (size < LEAST) faults.push(`“${text}” is ${size.toFixed(1)} px high`)
      words.push({ text, box, drawn: svg !== null })
      if (svg === null) return
      const top = document.elementFromPoint(x, y)
      if (top !== null && x >= 0 && y >= 0 && !svg.contains(top) && !top.contains(svg))
        faults.push(`“${text}” is under ${top.id || top.nodeName}`)
      const frame = parent.closest('g')?.querySelector(':scope > rect')?.getBoundingClientRect()
      if (
        frame !== undefined &&
        parent.closest('.item, .chip') !== null &&
        !parent.hasAttribute('data-value') &&
        (box.left < frame.left - 1 || box.right > frame.right + 1)
      )
        faults.push(`“${text}” runs over the border of its box`)
    }
    for (let n = walker.nextNode(); n !== null; n = walker.nextNode()) {
      const parent = n.parentElement
      if (
        !(n instanceof Text) ||
        parent === null ||
        n.data.trim() === '' ||
        parent.closest('script,style,title') !== null
      )
        continue
      const style = getComputedStyle(parent)
      if (style.visibility === 'hidden' || style.opacity === '0') continue
      const range = document.createRange()
      range.selectNodeContents(n)
      const near = parent.closest('svg')
      for (const box of range.getClientRects()) see(n, parent, near, box)
    }
    const area = (r: DOMRect): number => r.width * r.height
    words.forEach((a, i) => {
      for (const b of words.slice(i + 1)) {
        if (!a.drawn && !b.drawn) continue
        const w = Math.min(a.box.right, b.box.right) - Math.max(a.box.left, b.box.left)
        const h = Math.min(a.box.bottom, b.box.bottom) - Math.max(a.box.top, b.box.top)
        if (w > 1 && h > 1 && w * h > 0.15 * Math.min(area(a.box), area(b.box)))
          faults.push(`“${a.text}” over “${b.text}”`)
      }
    })
    // Labels of lines keep off the frames of closed items, and off the borders of open ones.
    const frames = [...document.querySelectorAll('.item:not(.open) > .frame')].map((f) => f.getBoundingClientRect())
    for (const label of document.querySelectorAll('.label')) {
      const r = label.getBoundingClientRect()
      if (
        r.width > 0 &&
        frames.some(
          (f) => r.left < f.right - 2 && r.right > f.left + 2 && r.top + 3 < f.bottom - 2 && r.bottom - 3 > f.top + 2,
        )
      )
        faults.push(`label “${label.textContent}” over a box`)
    }
    return { labels: words.filter((w) => w.drawn).length, faults }
  })
}
