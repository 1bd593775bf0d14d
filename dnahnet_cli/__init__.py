"""dnahnet: ask a genomic language model about a genome. The commands are also here, as Python.

`load_model` gives a `Model`, whose methods are the commands; `models` names those that are bundled. Nothing heavy is
imported before it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dnahnet_cli.api import Model as Model
    from dnahnet_cli.api import load_model as load_model
    from dnahnet_cli.networks.weights import bundled_models as models
    from dnahnet_cli.rows.stream import Rows as Rows

__version__ = "0.1.0"
__all__ = ["Model", "Rows", "__version__", "load_model", "models"]

_PLACES = {
    "Model": ("dnahnet_cli.api", "Model"),
    "Rows": ("dnahnet_cli.rows.stream", "Rows"),
    "load_model": ("dnahnet_cli.api", "load_model"),
    "models": ("dnahnet_cli.networks.weights", "bundled_models"),
}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _PLACES[name]
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
