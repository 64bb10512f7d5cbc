"""Which operation of forward backward failed in, and which module called it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.autograd.graph import Node

from paramctl.tensors.gradients.graph import number_of, trace
from paramctl.tensors.gradients.timeline import Origin, Timeline, recording


def find_origin(forward: Callable[[], torch.Tensor]) -> Origin | None:
    """Run forward and backward once more, and return what made the node that backward fails in.

    That costs nothing where nothing fails, while asking every node to tell when its turn comes takes a tenth of the
    time of a pass through small layers.

    Args:
        forward: computes the loss, as it did when its backward failed.

    Returns:
        None where this time it does not fail, or does before backward, or where forward computes in threads, which
        number their nodes alike.

    """
    timeline = Timeline()
    try:
        with recording(timeline):
            loss = forward()
    except (Exception, SystemExit):  # noqa: BLE001  the failure to be reported is the first one
        return None
    begun: list[Node] = []
    graph = trace(loss)
    if timeline.elsewhere or timeline.threads_made(graph.numbers):
        return None
    for node in graph.nodes:
        node.register_prehook(_noting(node, begun))
    try:
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    except (Exception, SystemExit):  # noqa: BLE001  as above
        return timeline.origin(begun[-1], number_of(begun[-1])) if begun else None
    return None


def _noting(node: Node, begun: list[Node]) -> Callable[[object], None]:
    def note(_: object) -> None:
        begun.append(node)

    return note
