/** The script of the page: reads the scene that stands in it, draws it, and listens. */
import { unpack } from '../scene/pack.js'
import { byId } from './dom.js'
import { mountScene } from './mount.js'

mountScene(unpack(JSON.parse(byId('scene').textContent ?? '')))
