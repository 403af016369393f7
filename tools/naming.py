"""Gives the checkout its one import name, `zoetrope`, as the host does under a name of its own."""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

ROOT = Path(__file__).parents[1]


def name_the_checkout() -> None:
    """After this, `import zoetrope` means this checkout, whatever its folder is called and whatever is installed."""
    if "zoetrope" in sys.modules:
        return
    spec = spec_from_file_location("zoetrope", ROOT / "__init__.py", submodule_search_locations=[str(ROOT)])
    assert spec
    assert spec.loader
    sys.modules["zoetrope"] = module_from_spec(spec)
    spec.loader.exec_module(sys.modules["zoetrope"])
