"""Runs `python -m zoetrope.cli`."""

import sys

from . import main

sys.exit(main())
