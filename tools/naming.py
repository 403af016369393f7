"""Imports the checkout under the name `zoetrope`."""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

ROOT = Path(__file__).parents[1]


def name_the_checkout() -> None:
    """Registers this checkout as the module `zoetrope`, independent of its folder's name and of installed versions."""
    if "zoetrope" in sys.modules:
        return
    spec = spec_from_file_location("zoetrope", ROOT / "__init__.py", submodule_search_locations=[str(ROOT)])
    assert spec
    assert spec.loader
    sys.modules["zoetrope"] = module_from_spec(spec)
    spec.loader.exec_module(sys.modules["zoetrope"])
