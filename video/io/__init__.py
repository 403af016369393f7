"""Video files: read, write, join, sound."""
