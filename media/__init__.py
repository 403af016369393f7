"""Shots and the world of the embedded model."""
