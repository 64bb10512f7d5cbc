from __future__ import annotations

import math
from dataclasses import replace

from paramctl.analysis.flow import measure_flow
from paramctl.records import Statistics
from paramctl.reports.grad import ParameterGradient


def row(name, norm):
    grad = None if norm is None else Statistics(mean=0, std=0, min=0, max=0, norm=norm, zeros=0, nan=0, inf=0)
    return ParameterGradient(name=name, aliases=(), shape=(1,), before=None, grad=grad, reason=None)


def test_a_layer_has_the_norm_of_its_own_parameters_in_model_order():
    rows = [
        row("scale", 1.0),
        row("b.weight", 3.0),
        row("b.bias", 4.0),
        row("a.x.weight", 0.0),
        row("a.y.weight", None),
    ]
    assert measure_flow(rows) == [("", 1.0), ("b", 5.0), ("a.x", 0.0), ("a.y", None)]


def test_a_layer_with_an_element_that_is_not_finite_has_no_norm():
    finite = row("a.bias", 1.0)
    broken = replace(finite, name="a.weight", grad=finite.grad._replace(nan=1))
    (layer,) = measure_flow([broken, finite])
    assert math.isnan(layer.norm)
