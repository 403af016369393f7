// Zoetrope in the editor: three panels that show what the nodes do. Every graph runs without them, in API mode too.
import { api } from '../../scripts/api.js'
import { app } from '../../scripts/app.js'
import { addFilmstrip, restoreFilmstrip, tellFilmstrip } from './zoetrope/filmstrip.js'
import { addPlan, restorePlan } from './zoetrope/plan.js'
import { fillInPrefix } from './zoetrope/prefix.js'
import { forgetLine, forgetPreview } from './zoetrope/preview.js'
import { setting } from './zoetrope/settings.js'
import { addTimeline } from './zoetrope/timeline.js'

const panel = (id, name, more = {}) => ({ id: `Zoetrope.Panels.${id}`, name, category: ['Zoetrope', 'Panels', id], type: 'boolean', defaultValue: true, ...more })
const settings = [
  panel('Timeline', 'Prompt timeline', { tooltip: 'Prompt Timeline shows its schedule as bars; cuts and fades can be dragged. The text stays the source of truth. Changes act on nodes that are added or opened later.' }),
  panel('Filmstrip', 'Filmstrip', { tooltip: 'Endless Shot shows its frames as they are finished, and how long the rest will take. Changes act on nodes that are added or opened later.' }),
  panel('FilmstripFrames', 'Frames on the filmstrip', { type: 'number', defaultValue: 200, attrs: { min: 16, max: 2000, step: 16 }, tooltip: 'How many of the newest frames the page keeps. All of them are in the video.' }),
  panel('Plan', 'Shot plan', { tooltip: 'Shot Plan shows time, disk and memory as bars. Changes act on nodes that are added or opened later.' }),
]
const set = id => setting(`Zoetrope.Panels.${id}`) ?? settings.find(one => one.id.endsWith(`.${id}`)).defaultValue
const keep = () => Math.max(16, Number(set('FilmstripFrames')) || 200)
const openWorkflow = () => (app.graph?.rootGraph ?? app.graph)?.id

/** The node of an execution id: `12`, or `5:12` for node 12 inside the subgraph that is node 5; undefined where it is out of sight. */
function nodeOf(id) {
  let graph = app.graph?.rootGraph ?? app.graph
  let node
  for (const part of String(id).split(':')) {
    node = graph?.getNodeById?.(part) ?? graph?.getNodeById?.(Number(part)) ?? undefined
    graph = node?.subgraph
  }
  return node
}

/** The node of an execution id, and those of the subgraphs around it, which show its previews as well. */
function nodesAround(id) {
  const parts = String(id).split(':')
  return parts.map((_, at) => nodeOf(parts.slice(0, at + 1).join(':'))).filter(Boolean)
}

/** What the filmstrips of running shots are told: "workflow/node" -> [workflow, node]. */
const running = new Map()

/** Ids of nodes of ours with a line of progress below them. */
const lines = new Set()

function tell(workflow, id, message) {
  const shown = workflow === openWorkflow() ? nodeOf(id) : null
  tellFilmstrip(shown, `${workflow}/${id}`, message, keep())
}

app.registerExtension({
  name: 'zoetrope.panels',
  settings,
  nodeCreated(node) {
    fillInPrefix(node, app)
    if (node.comfyClass === 'ZoetropePromptTimeline' && set('Timeline')) addTimeline(node)
    if (node.comfyClass === 'ZoetropeEndlessShot' && set('Filmstrip')) addFilmstrip(node)
    if (node.comfyClass === 'ZoetropeShotPlan' && set('Plan')) addPlan(node)
  },
  loadedGraphNode(node) {
    restoreFilmstrip(node, `${openWorkflow()}/${node.id}`)
    restorePlan(node, `${openWorkflow()}/${node.id}`)
  },
  setup() {
    api.addEventListener('zoetrope.shot', ({ detail }) => {
      if (!set('Filmstrip')) return
      running.set(`${detail.workflow}/${detail.node}`, [detail.workflow, detail.node])
      tell(detail.workflow, detail.node, detail)
    })
    const ended = kind => () => {
      for (const [workflow, id] of running.values()) tell(workflow, id, { kind })
      running.clear()
      for (const id of lines) nodesAround(id).forEach(forgetLine)
      lines.clear()
    }
    api.addEventListener('progress_text', ({ detail }) => {
      if (nodeOf(detail.nodeId)?.comfyClass?.startsWith('Zoetrope')) lines.add(detail.nodeId)
    })
    api.addEventListener('execution_interrupted', ended('stopped'))
    api.addEventListener('execution_error', ended('failed'))
    api.addEventListener('execution_success', () => (running.clear(), lines.clear()))
    api.addEventListener('executed', ({ detail }) => {
      const id = detail.display_node ?? detail.node
      const node = nodeOf(id)
      const [figures] = detail.output?.zoetrope_plan ?? []
      if (figures) node?.zoetropePlan?.(figures, `${openWorkflow()}/${node.id}`)
      if (detail.output?.animated && node?.comfyClass?.startsWith('Zoetrope')) nodesAround(id).forEach(forgetPreview)
    })
  },
})
