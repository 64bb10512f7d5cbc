"""`paramctl shared`."""

from __future__ import annotations

from paramctl.cli import options
from paramctl.cli.output import emit


def shared(
    model: options.Model = None,
    arg: options.Arg = None,
    allow: options.Allow = None,
    seed: options.Seed = None,
    device: options.Device = "cpu",
    dtype: options.Dtype = None,
    output_format: options.Format = None,
    output: options.File = None,
) -> None:
    """Find the parameters that are one and the same, under several names."""
    from paramctl.cli.session import computing, open_session
    from paramctl.sources.sharing import find_shared

    session = open_session(
        model, allow, seed=seed, dtype=dtype, writes={"--output": output}, device=device, arguments=arg
    )
    with computing():
        report = find_shared(session.source, dtype=session.dtype)
    emit(report, options.output_of(output_format, output))
