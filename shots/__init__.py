"""Long shots on disk: journal, recording, folders, cache, plan."""
