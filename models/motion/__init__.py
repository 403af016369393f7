"""Motion modules: families, loading, reports, frame guides."""
