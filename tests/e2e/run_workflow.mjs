// Runs a workflow in the real frontend: node run_workflow.mjs URL WORKFLOW.json RUNNING.png FINISHED.png SECONDS
// The first screenshot is taken while it runs, as soon as its node shows a preview; the second when it has ended.
import { openEditor } from './editor.mjs'

const [url, workflow, running, finished, seconds] = process.argv.slice(2)
const { browser, page } = await openEditor(url, workflow, [60, 60], { width: 1500, height: 980 })
await page.evaluate(() => {
  window.seen = { previews: 0, ended: false }
  window.app.api.addEventListener('b_preview', () => window.seen.previews++)
  window.app.api.addEventListener('b_preview_with_metadata', () => window.seen.previews++)
  for (const end of ['execution_success', 'execution_error', 'execution_interrupted'])
    window.app.api.addEventListener(end, () => { window.seen.ended = true })
})
await page.evaluate(() => { window.app.queuePrompt(0, 1) })
const limit = { timeout: Number(seconds) * 1000, polling: 500 }
await page.waitForFunction(() => window.seen.previews > 2 || window.seen.ended, null, limit)
await page.waitForTimeout(4000)
await page.screenshot({ path: running })
await page.waitForFunction(() => window.seen.ended, null, limit)
await page.waitForTimeout(5000)
await page.screenshot({ path: finished })
await browser.close()
