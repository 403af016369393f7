"""Endless shots."""
