// What the panels say, in the editor's language.
import { setting } from './settings.js'

const WORDS = {
  en: {
    timeline: 'Prompt timeline',
    frame: 'frame {n}',
    cut: 'Frame {n} begins: {said}',
    fade: 'Cross-fade of {n} frames into: {said}',
    nothing: '(no words)',
    hint: 'Drag edges and dots. Double-click: new prompt. Delete: remove.',
    long: 'more than {most} characters',
    many: 'more than {most} prompts',
    entry: 'expected a frame number and a colon, such as 48: a blue square ~12, got "{got}"',
    quoted: 'prompts in quotes (FizzNodes): write 0: a red circle / 1: a blue square ~47. Run shows the whole text converted',
    whole: 'expected a whole frame number, 0 or more, got "{got}"',
    separator: 'put each prompt on its own line, or " / " with spaces between prompts, got "{got}"',
    far: 'expected frames up to {most}, got {got}',
    first: 'the first prompt starts the shot: expected frame 0 and no fade, got "{got}"',
    order: 'expected a frame after {after}, got {got}',
    alwaysEmpty: 'expected a text after always:',
    alwaysTwice: 'expected one always: entry, got a second one; join the two, with a comma between',
    overlap: 'the fade of {fade} frames that starts at frame {start} is not over at frame {got}; start at {over} or later, or fade faster',
    where: 'Line {line}, column {column}: {fault}',
    strip: 'Filmstrip',
    waiting: 'Press Run: finished frames appear here.',
    base: 'First clip, step {step} of {steps}',
    warming: 'Warm-up, {n} steps left',
    filming: 'Frame {frame} of {frames}',
    live: '{frame} frames, {fps} fps, delay {delay} s, {dropped} dropped',
    left: '{time} left',
    resumed: 'resumed after {n} finished frames',
    fresh: 'New shot ({folder}), changed: {news}',
    linked: 'The text comes from a linked node.',
    stopped: 'Stopped after frame {frame} of {frames}. Press Run to resume.',
    early: 'Stopped before the first frame. Press Run to resume.',
    again: 'Stopped before the first frame. Press Run to start again.',
    failed: 'Stopped by an error after frame {frame} of {frames}. Finished frames are kept.',
    done: 'Done: {frames} frames.',
    after: 'Done: {frames} frames, the first {n} from an earlier run.',
    there: 'Done: all {frames} frames were finished earlier.',
    enlarge: 'Frame {n}: enlarge',
    close: 'Close',
    previous: 'Previous frame',
    next: 'Next frame',
    earlier: '{n} earlier frames',
    plan: 'Shot plan',
    press: 'Press Run to time one window and estimate the shot.',
    time: 'Time',
    disk: 'Disk',
    ram: 'Memory',
    device: 'Graphics card',
    of: '{used} of {all}',
    free: '{used} of {all} free',
    first_frame: 'until the first frame',
    sampling: 'sampling',
    decoding: 'decoding and writing',
    per_frame: '{time} a frame',
    unknown: 'unknown on this device',
    together: 'Best windows per call here: {n}',
    s: '{n} s',
    min: '{n} min',
    h: '{h} h {min} min',
  },
  zh: {
    timeline: '提示词时间线',
    frame: '第 {n} 帧',
    cut: '从第 {n} 帧开始：{said}',
    fade: '用 {n} 帧渐变到：{said}',
    nothing: '（空）',
    hint: '拖动边缘和圆点。双击：新提示词。Delete：删除。',
    long: '超过 {most} 个字符',
    many: '超过 {most} 条提示词',
    entry: '应为帧号加冒号，例如 48: a blue square ~12，实际为“{got}”',
    quoted: '带引号的提示词（FizzNodes）：请写成 0: a red circle / 1: a blue square ~47。运行后会显示转换好的全文',
    whole: '帧号应为 0 或更大的整数，实际为“{got}”',
    separator: '每条提示词单独一行，或用两侧有空格的“ / ”分隔，实际为“{got}”',
    far: '帧号最大为 {most}，实际为 {got}',
    first: '第一条提示词是开头：应为第 0 帧且没有渐变，实际为“{got}”',
    order: '应在第 {after} 帧之后，实际为 {got}',
    alwaysEmpty: 'always: 之后应有文本',
    alwaysTwice: '只能有一条 always:，请用逗号合并为一条',
    overlap: '从第 {start} 帧开始的 {fade} 帧渐变在第 {got} 帧还没有结束；请从第 {over} 帧或更晚开始，或缩短渐变',
    where: '第 {line} 行第 {column} 列：{fault}',
    strip: '胶片条',
    waiting: '点击运行：完成的帧会显示在这里。',
    base: '第一个片段，第 {step} / {steps} 步',
    warming: '预热中，还剩 {n} 步',
    filming: '第 {frame} / {frames} 帧',
    live: '{frame} 帧，{fps} fps，延迟 {delay} 秒，丢弃 {dropped} 帧',
    left: '还需 {time}',
    resumed: '从已完成的 {n} 帧之后继续',
    fresh: '新的长镜头（{folder}），已更改：{news}',
    linked: '文本来自所连接的节点。',
    stopped: '已停在第 {frame} / {frames} 帧。再次运行会从这里继续。',
    early: '在第一帧之前停止。再次运行会继续。',
    again: '在第一帧之前停止。再次运行会重新开始。',
    failed: '在第 {frame} / {frames} 帧后因错误停止。已完成的帧都已保留。',
    done: '完成：{frames} 帧。',
    after: '完成：{frames} 帧，其中前 {n} 帧来自之前的运行。',
    there: '完成：{frames} 帧此前都已完成。',
    enlarge: '第 {n} 帧：放大',
    close: '关闭',
    previous: '上一帧',
    next: '下一帧',
    earlier: '之前还有 {n} 帧',
    plan: '长镜头计划',
    press: '点击运行：测量一个窗口的耗时，并估算整个长镜头。',
    time: '时间',
    disk: '磁盘',
    ram: '内存',
    device: '显卡',
    of: '{used} / {all}',
    free: '{used} / 可用 {all}',
    first_frame: '到第一帧',
    sampling: '采样',
    decoding: '解码和写入',
    per_frame: '每帧 {time}',
    unknown: '此设备上未知',
    together: '此处每次调用的最佳窗口数：{n}',
    s: '{n} 秒',
    min: '{n} 分钟',
    h: '{h} 小时 {min} 分钟',
  },
}

/** The text of that name, its {slots} filled. */
export function say(name, slots = {}) {
  const language = String(setting('Comfy.Locale') ?? 'en')
  const words = WORDS[language] ?? WORDS[language.split('-')[0]] ?? WORDS.en
  return words[name].replace(/\{(\w+)\}/g, (_, slot) => String(slots[slot]))
}

/** `45 s`, `12 min`, `3 h 20 min`. */
export function spoken(seconds) {
  if (seconds < 90) return say('s', { n: seconds < 10 ? Number(seconds.toPrecision(2)) : Math.round(seconds) })
  const minutes = Math.round(seconds / 60)
  return minutes < 90 ? say('min', { n: minutes }) : say('h', { h: Math.floor(minutes / 60), min: minutes % 60 })
}

/** Bytes as `12 MB`. */
export function size(bytes) {
  const units = ['B', 'KB', 'MB', 'GB', 'TB']
  const unit = Math.min(units.length - 1, Math.max(0, Math.floor(Math.log10(Math.max(1, bytes)) / 3)))
  const value = bytes / 1000 ** unit
  return `${value >= 10 || !unit ? Math.round(value) : value.toFixed(1)} ${units[unit]}`
}
