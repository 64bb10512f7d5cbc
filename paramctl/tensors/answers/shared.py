"""The answer of `paramctl shared` for a model that is built."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch

from paramctl.analysis.equality import Digests, comparable
from paramctl.analysis.expecting import SharedOptions, with_expectations
from paramctl.analysis.shared_report import make_shared_report
from paramctl.analysis.sharing import MemorySurvey
from paramctl.reports.shared import SharedReport
from paramctl.tensors.building.built import Build, BuiltModel
from paramctl.tensors.building.live import named_parameters
from paramctl.tensors.initializing.blocks import chunks_of
from paramctl.tensors.initializing.drawing import Drawing
from paramctl.tensors.initializing.materialize import plan_drawings
from paramctl.tensors.initializing.producing import bytes_needed
from paramctl.tensors.memory import ensure_fits
from paramctl.tensors.sharing.digests import blocks_of, digest, digests_of
from paramctl.tensors.sharing.surveying import survey
from paramctl.tensors.sharing.survival import try_ties


def find_shared(build: Build, model: str, options: SharedOptions, *, seed: int) -> SharedReport:
    """Answer `paramctl shared`: the Parameters of the model and their memory are compared.

    Args:
        build: builds the model, with values or a seed for them where they are compared.
        model: the model as the user named it.
        options: what was asked for.
        seed: the seed of the values, where they are compared.

    Raises:
        ParamctlError: if the model cannot be built, does not have a name, or a rule does not fit a parameter.

    """
    built = build()
    surveyed = survey(built.net, every=options.by_value)
    notes = list(built.notes)
    digests = _digests(built, surveyed, seed, notes) if options.by_value else None
    report = make_shared_report(model, surveyed, digests, notes=notes)
    if options.survival:
        report = replace(report, survival=try_ties(built.net, surveyed, report.ties))
    return with_expectations(report, options, (name for name, _ in named_parameters(built.net)))


def _digests(built: BuiltModel, surveyed: MemorySurvey, seed: int, notes: list[str]) -> Digests:
    """Draw the parameters whose values are to be compared, and return what stands for them."""
    names = {record.name for record in comparable(surveyed.records)}
    drawings, rule_notes = plan_drawings(built.net, built.programs, built.rules, seed)
    notes += rule_notes
    wanted = [drawing for drawing in drawings if _name(drawing) in names]
    ensure_fits(bytes_needed(wanted), "the values")
    on_meta = [drawing for drawing in wanted if drawing.tensor.is_meta]
    found = digests_of((_name(each), _blocks(each, seed)) for each in on_meta if each.is_blockwise)
    found |= {_name(each): digest(_blocks(each, seed)) for each in on_meta if not each.is_blockwise}
    # What a layer of the user's own has made is drawn in place, and may be the memory of another parameter.
    made = [(_name(each), each.draw(seed)) for each in wanted if not each.tensor.is_meta]
    return found | digests_of((name, blocks_of(tensor)) for name, tensor in made)


def _name(drawing: Drawing) -> str:
    return drawing.plan.target.record.name


def _blocks(drawing: Drawing, seed: int) -> Iterator[torch.Tensor]:
    """Yield the values of a drawing in logical order."""
    if drawing.is_blockwise:
        for chunk in chunks_of(drawing.tensor.numel()):
            yield from (block for _, block in drawing.draw_chunk(seed, chunk))
    else:
        yield from blocks_of(drawing.draw(seed))
