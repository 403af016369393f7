"""Measuring and comparing clips: metrics, study, charts, contact sheets."""
