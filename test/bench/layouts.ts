/** The order of axes. */
import type { Tensor } from '../../src/index.js'

/** The numbers of [N, C, H, W] as [N, H, W, C]. */
export const lastAxis = (t: Tensor): Float32Array => {
  const [n, c, h, w] = t.shape
  const out = new Float32Array(t.data.length)
  for (let i = 0; i < n; i++)
    for (let k = 0; k < c; k++)
      for (let p = 0; p < h * w; p++) out[(i * h * w + p) * c + k] = t.data[(i * c + k) * h * w + p]
  return out
}
