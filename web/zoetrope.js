// Zoetrope in the editor: three panels that show what the nodes do, and previews that move. Every graph runs without them, in API mode too.
import { api } from '../../scripts/api.js'
import { app } from '../../scripts/app.js'
import { watchPreviews } from './zoetrope/moving_previews.js'
import { addFilmstrip, restoreFilmstrip, tellFilmstrip } from './zoetrope/filmstrip.js'
import { addPlan, restorePlan } from './zoetrope/plan.js'
import { fillInPrefix } from './zoetrope/prefix.js'
import { forgetLine, forgetPreview } from './zoetrope/preview.js'
import { setting } from './zoetrope/settings.js'
import { renameInputs } from './zoetrope/renamed.js'
import { addTimeline } from './zoetrope/timeline.js'

const panel = (id, name, more = {}) => ({ id: `Zoetrope.Panels.${id}`, name, category: ['Zoetrope', 'Panels', id], type: 'boolean', defaultValue: true, ...more })
const settings = [
  panel('Timeline', 'Prompt timeline', { tooltip: 'Shows the prompts of Prompt Timeline as bars with cuts and fades to drag. Only the text is used when running. Applies to nodes added or opened later.' }),
  panel('Filmstrip', 'Filmstrip', { tooltip: 'Shows the finished frames of Endless Shot and the time left. Applies to nodes added or opened later.' }),
  panel('FilmstripFrames', 'Frames on the filmstrip', { type: 'number', defaultValue: 200, attrs: { min: 16, max: 2000, step: 16 }, tooltip: 'Number of newest frames kept in the page. The video has all frames.' }),
  panel('Plan', 'Shot plan', { tooltip: 'Shows time, disk and memory of Shot Plan as bars. Applies to nodes added or opened later.' }),
  panel('MovingPreviews', 'Moving previews', { tooltip: 'Plays the clip on a sampler while it is sampled, instead of its first frame. Off: the server computes none. Needs live previews: set Live preview method, or start ComfyUI with --preview-method auto.' }),
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
  beforeConfigureGraph: renameInputs,
  nodeCreated(node) {
    fillInPrefix(node, app)
    if (node.comfyClass === 'ZoetropePromptTimeline' && set('Timeline')) addTimeline(node)
    if (['ZoetropeEndlessShot', 'ZoetropeLiveShot'].includes(node.comfyClass) && set('Filmstrip')) addFilmstrip(node)
    if (node.comfyClass === 'ZoetropeShotPlan' && set('Plan')) addPlan(node)
  },
  loadedGraphNode(node) {
    restoreFilmstrip(node, `${openWorkflow()}/${node.id}`)
    restorePlan(node, `${openWorkflow()}/${node.id}`)
  },
  setup() {
    watchPreviews({ api, app, on: () => set('MovingPreviews') && !setting('VHS.LatentPreview'), openWorkflow, nodeOf })
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
