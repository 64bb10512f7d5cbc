"""The answer of `paramctl shared` for a spec."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch

from paramctl.analysis.equality import Digests, comparable
from paramctl.analysis.expecting import Tie, check_expectations, disappointments
from paramctl.analysis.shared_report import make_shared_report
from paramctl.analysis.sharing import MemorySurvey
from paramctl.reports.shared import SharedReport
from paramctl.spec.model import Spec
from paramctl.tensors.blocks import chunks_of
from paramctl.tensors.build import BuiltModel, build
from paramctl.tensors.digests import blocks_of, digest, digests_of
from paramctl.tensors.initialize import Drawing
from paramctl.tensors.materialize import plan_drawings
from paramctl.tensors.memory import ensure_fits
from paramctl.tensors.producing import bytes_needed
from paramctl.tensors.surveying import survey
from paramctl.tensors.survival import try_ties


def find_shared(
    spec: Spec,
    model: str,
    *,
    seed: int,
    dtype: str | None = None,
    by_value: bool = False,
    expected: Sequence[Tie] = (),
    nothing_else: bool = False,
    survival: bool = False,
) -> SharedReport:
    """Answer `paramctl shared`: the model is built on the meta device, and its Parameters and their memory compared.

    Args:
        spec: the spec.
        model: the model as the user named it.
        seed: the seed of the values, where they are compared.
        dtype: what floating parameters are made as, instead of what the spec says.
        by_value: whether the values that the spec's rules give are compared, too.
        expected: the names that must be tied.
        nothing_else: whether nothing else may be shared.
        survival: whether it is tried what operations do to each tie.

    Raises:
        ParamctlError: if the model cannot be built, does not have a name, or a rule does not fit a parameter.

    """
    built = build(spec, dtype=dtype, seed=seed if by_value else None)
    surveyed = survey(built.net, every=by_value)
    notes = list(built.notes)
    digests = _digests(spec, built, surveyed, seed, notes) if by_value else None
    report = make_shared_report(model, surveyed, digests, notes=notes)
    names = {name for name, _ in built.net.named_parameters(remove_duplicate=False)} if expected else set()
    expectations = check_expectations(expected, report.groups, names, nothing_else=nothing_else)
    return replace(
        report,
        expectations=expectations,
        survival=try_ties(built.net, surveyed, report.ties) if survival else None,
        notes=(*report.notes, *disappointments(expectations)),
    )


def _digests(spec: Spec, built: BuiltModel, surveyed: MemorySurvey, seed: int, notes: list[str]) -> Digests:
    """Draw the parameters whose values are to be compared, and return what stands for them."""
    names = {record.name for record in comparable(surveyed.records)}
    drawings, rule_notes = plan_drawings(built.net, built.programs, spec.rules, seed)
    notes += rule_notes
    wanted = [drawing for drawing in drawings if _name(drawing) in names]
    ensure_fits(bytes_needed(wanted, copies=0), "the values")
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
