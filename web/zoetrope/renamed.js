// Inputs that had other names in 0.1. nodes/renamed.py does the same for queued prompts.
export const RENAMED = {
  ZoetropeFifoSampler: { levels: 'noise_levels' },
  ZoetropeLoadVideoCheckpoint: { fps: 'conditioning_fps' },
  ZoetropeLoadVideoSegment: { start: 'first_frame' },
  ZoetropeMotionSettings: { fps: 'conditioning_fps' },
  ZoetropeQueueSettings: { start: 'initial_queue' },
  ZoetropeSlidingWindows: { schedule: 'window_schedule' },
  ZoetropeVideoMetrics: { window: 'seam_every' },
}

/** Gives inputs in a saved graph their new names, before the host builds it, so that links and values stay; subgraphs included. */
export function renameInputs(graph) {
  for (const node of graph?.nodes ?? []) {
    const names = RENAMED[node.type]
    for (const input of (names && node.inputs) || []) {
      const name = names[input.name]
      if (!name || node.inputs.some(other => other.name === name)) continue
      if (input.widget?.name === input.name) input.widget.name = name
      if (input.localized_name === input.name) input.localized_name = name
      input.name = name
    }
  }
  for (const inner of graph?.definitions?.subgraphs ?? []) renameInputs(inner)
}
