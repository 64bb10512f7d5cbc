"""What is in this model's parameters? The command line's answers for a spec, here on a live `nn.Module`."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from paramctl.errors import ParamctlError

if TYPE_CHECKING:
    from paramctl.api import find_shared, gradients, initialize, list_parameters

__version__ = "0.1.0"
__all__ = ["ParamctlError", "__version__", "find_shared", "gradients", "initialize", "list_parameters"]


def __getattr__(name: str) -> Any:
    """Import the API, and torch with it, when it is first used: the command line does not always need them."""
    if name in {"find_shared", "gradients", "initialize", "list_parameters"}:
        return getattr(import_module("paramctl.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Name the API before it is imported too, for completion."""
    return sorted({*globals(), *__all__})
