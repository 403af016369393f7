// A setting of the page, on frontends of today and of before.
import { app } from '../../../scripts/app.js'

export const setting = id => app.extensionManager?.setting?.get?.(id) ?? app.ui?.settings?.getSettingValue?.(id)
