"""What is in this model's parameters? The command line's answers for a spec, here on a live `nn.Module`."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from paramctl.errors import ParamctlError

if TYPE_CHECKING:
    from types import ModuleType

    from paramctl.api import find_shared, gradients, initialize, list_parameters

__version__ = "0.1.0"
__all__ = ["ParamctlError", "__version__", "find_shared", "gradients", "initialize", "list_parameters"]


def __getattr__(name: str) -> Any:
    """Import the API, and torch with it, when it is first used: the command line does not always need them."""
    if name in {"find_shared", "gradients", "initialize", "list_parameters"}:
        globals()[name] = function = getattr(_api(), name)  # so that only the first use touches the generator
        return function
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _api() -> ModuleType:
    """Import the API without a draw from Python's generator: Rich makes some when it is imported."""
    import random

    state = random.getstate()
    try:
        return import_module("paramctl.api")
    finally:
        random.setstate(state)


def __dir__() -> list[str]:
    """Name the API before it is imported too, for completion."""
    return sorted({*globals(), *__all__})
