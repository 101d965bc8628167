/** Laws of what stands in a drawing: cut names fit, labels keep apart, colours belong to scales, what opens at first. */
import fc from 'fast-check'
import * as assert from 'uvu/assert'
import { noOverlay } from '../../viz/draw/overlay.js'
import { plainLook, rowsAt, settingOf } from '../../viz/draw/drawing.js'
import { hueOf, huesOf, plyOf } from '../../viz/draw/hues.js'
import { paintedInOrder, placeLabels } from '../../viz/draw/place.js'
import { layoutOf, type Rect } from '../../viz/scene/layout.js'
import { allOpen, firstOpen, openingOf, openings } from '../../viz/scene/opening.js'
import { startOf } from '../../viz/scene/start.js'
import { cutTo, estimate } from '../../viz/scene/type.js'
import { labelled, visibleOf, type Line } from '../../viz/scene/visible.js'
import { sceneOf } from '../../viz/index.js'
import { suite } from '../support/suite.js'
import { programs } from './programs.js'

const test = suite('viz: placing')

test('a cut text is no wider than its room, begins as the whole does, and is whole where it fits', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', maxLength: 60 }), fc.integer({ min: 20, max: 300 }), (text, room) => {
      const cut = cutTo(estimate, text, 'strong', room)
      if (estimate(text, 'strong') <= room) return assert.is(cut, text)
      assert.ok(estimate(cut, 'strong') <= room && cut.endsWith('…') && text.startsWith(cut.slice(0, -1)))
      assert.not.match(cut, /[\ud800-\udbff](?![\udc00-\udfff])/)
    }),
  )
})

const meet = (a: Rect, b: Rect): boolean =>
  a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height

test('what is shown at first has names around it, and holds an input where one has', () => {
  const window = { width: 790, height: 560 }
  for (const make of Object.values(programs)) {
    const scene = sceneOf(make())
    for (const open of [firstOpen(scene), allOpen(scene)]) {
      const v = visibleOf(scene, open, true)
      const { width, height, rects } = layoutOf(v, settingOf(plainLook))
      const items = [...v.at.values()]
      const named = items.filter((i) => !i.open).flatMap((i) => rects.get(i.id) ?? [])
      const start = startOf(items, rects, { width, height, window })
      if (named.length === 0) continue
      assert.ok(start !== undefined)
      const near = named.filter(
        (r) =>
          Math.abs(r.x + r.width / 2 - (start?.x ?? 0) - (start?.width ?? 0) / 2) <= window.width &&
          Math.abs(r.y - (start?.y ?? 0)) <= window.height,
      )
      assert.ok(near.length >= Math.min(3, named.length), `${near.length} of ${named.length}`)
    }
  }
  // An input far from all else gives way to where names are.
  const item = (id: string, role: 'input' | null) => ({ id, open: false, values: role === null ? [] : [{ role }] })
  const items = [item('x', 'input'), item('a', null), item('b', null), item('c', null)] as never
  const at = (x: number, y: number): Rect => ({ x, y, width: 80, height: 30 })
  const rects = new Map([
    ['x', at(0, 0)],
    ['a', at(5000, 400)],
    ['b', at(5100, 400)],
    ['c', at(5200, 440)],
  ])
  const far = startOf(items, rects, { width: 5300, height: 500, window: { width: 600, height: 300 } })
  assert.ok((far?.x ?? 0) >= 5000)
})

for (const [name, make] of Object.entries(programs)) {
  test(`${name}: no label is over a box, over the border of one, or over another label`, () => {
    const scene = sceneOf(make())
    for (const open of [firstOpen(scene), allOpen(scene)]) {
      const v = visibleOf(scene, open, true)
      const layout = layoutOf(v, settingOf(plainLook))
      const first = labelled(v)
      const written = v.lines
        .filter((l) => first.has(l.id))
        .map((line) => ({ line, rows: rowsAt({ over: noOverlay, now: plainLook.now }, line) }))
        .filter((w) => w.rows.length > 0)
      const { spots, through } = placeLabels(v, layout, estimate, written)
      const labels = written.flatMap(({ line, rows }): readonly Rect[] => {
        const spot = spots.get(line.id)
        const width = Math.max(...rows.map((r) => estimate(r, 'label')))
        return spot === undefined
          ? []
          : [
              {
                x: spot.anchor === 'end' ? spot.x - width : spot.x,
                y: spot.y - 10,
                width,
                height: 12 + (rows.length - 1) * 15,
              },
            ]
      })
      // A label lies on top of the lines that run through it, unless these run through each other's labels.
      const painted = paintedInOrder(v.lines, through)
      assert.equal(new Set(painted), new Set(v.lines))
      const under = (a: Line, b: Line, seen = new Set<Line>()): boolean =>
        !seen.has(b) &&
        (through.get(b.id) ?? []).some((x) => x.flow === b.flow && (x === a || under(a, x, seen.add(b))))
      for (const [id, others] of through) {
        const line = v.lines.find((l) => l.id === id)
        for (const other of others)
          if (line !== undefined && other.flow === line.flow && !under(line, other))
            assert.ok(painted.indexOf(other) < painted.indexOf(line), `${other.id} over the label of ${id}`)
      }
      // Most find a place: room for them is made when things are laid out.
      assert.ok(labels.length >= 0.8 * written.length, `${labels.length} of ${written.length}`)
      labels.forEach((a, k) => assert.ok(labels.every((b, n) => n <= k || !meet(a, b))))
      for (const i of v.at.values()) {
        const r = layout.rects.get(i.id)
        if (r === undefined) continue
        const solid = i.open
          ? [
              { ...r, height: 1 },
              { ...r, y: r.y + r.height, height: 1 },
              { ...r, width: 1 },
              { ...r, x: r.x + r.width, width: 1 },
            ]
          : [r]
        assert.ok(
          labels.every((a) => solid.every((s) => !meet(a, s))),
          i.id,
        )
      }
    }
  })

  test(`${name}: a scale has one colour, whatever is open; no two scales have the same, up to 24`, () => {
    const scene = sceneOf(make())
    const hues = huesOf(scene)
    const scales = [...new Set(scene.nodes.flatMap((n) => n.scale ?? []))]
    assert.is(hues.size, scales.length)
    const looks = [...hues.keys()].slice(0, 24).map((s) => `${hueOf(hues, s)} ${plyOf(hues, s)}`)
    assert.is(new Set(looks).size, looks.length)
  })

  test(`${name}: what opens at first is the most that fits, else the least`, () => {
    const scene = sceneOf(make())
    const levels = openings(scene)
    assert.equal([...openingOf(scene, () => true)], [...levels[0]])
    assert.equal([...openingOf(scene, () => false)], [...levels[levels.length - 1]])
    levels.forEach((l, k) => assert.ok(k === 0 || l.size <= levels[k - 1].size))
  })
}

test.run()
