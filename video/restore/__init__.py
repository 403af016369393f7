"""Restoration of old film without networks, in a stream: detectors of damage, weave, flicker, lines, dust."""
