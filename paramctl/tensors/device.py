"""The devices that a model can run on here."""

from __future__ import annotations

import torch

from paramctl.errors import failure


def check_device(name: str) -> str:
    """Return the device's name if tensors with values can be made on it.

    Raises:
        ParamctlError: if there is no such device here.

    """
    try:
        if torch.device(name).type != "meta":
            torch.empty(1, device=name).fill_(1)
            return name
        reason = "tensors there have no values"
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0].split(". ")[0]  # torch goes on with every backend that it has
    found = ["cpu"] + [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    raise failure(
        f"cannot use the device {name!r}: {reason}", where="--device", hint=f"here there is {', '.join(found)}"
    )
