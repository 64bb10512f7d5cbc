"""What is told of a layer without torch is what torch makes of it; what torch would refuse is left to torch."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from paramctl.errors import Position
from paramctl.spec import holdings
from paramctl.spec.catalog import load_catalog
from paramctl.spec.holdings import holdings_of
from paramctl.spec.model import DtypeName, Layer, LayerCall
from paramctl.tensors.building.construct import construct, initialization
from paramctl.tensors.collect import take_inventory

CATALOG = load_catalog()
KNOWN = sorted({*holdings._RULES, *holdings._WITHOUT_TENSORS})
INTEGERS = st.sampled_from([1, 2, 3, 4, 6, 8] * 5 + [0, -1, 2**40])
WORDS = st.sampled_from(["zeros", "circular", "same", "valid", "mean", "none", "tanh", "?"])
DTYPES = st.sampled_from([None, None, "float64", "bfloat16", "float8_e5m2"])


SCALARS = {
    "int": INTEGERS,
    "float": st.sampled_from([0.5, 0, 1, 1e-5, -0.1, 2.0]),
    "bool": st.booleans(),
    "str": WORDS,
    "dtype": st.sampled_from(["float16", "float64", "int8"]).map(DtypeName),
    "None": st.none(),
    "Any": INTEGERS,
}


def values(kind):
    """Draw what the reader of specs lets pass for an argument of this type."""
    match kind.name:
        case "union":
            return st.one_of([values(each) for each in kind.items if not each.allows("Tensor", "device")])
        case "literal":
            return st.sampled_from(kind.choices)
        case "tuple":
            return st.tuples(*map(values, kind.items))
        case "list":
            return st.lists(values(kind.items[0]), max_size=3).map(tuple)
        case _:
            return SCALARS[kind.name]


@st.composite
def calls(draw, name):
    signature = CATALOG[name]
    writable = [each for each in signature.parameters if not each.type.allows("device", "Tensor")]
    given = [each for each in writable if each.required or draw(st.booleans())]
    by_position = draw(st.integers(0, len(given)))
    leading = 0
    while leading < by_position and given[leading] is signature.parameters[leading] and not given[leading].keyword_only:
        leading += 1
    positional = tuple(draw(values(each.type)) for each in given[:leading])
    keywords = {each.name: draw(values(each.type)) for each in given[leading:]}
    return LayerCall(signature=signature, reference=None, positional=positional, keywords=keywords)


def built(call, dtype):
    layer = Layer(call, 0, False, 0, 0)
    with initialization(enabled=False):
        return take_inventory(construct(layer, Position("spec", 1, 1), device="meta", dtype=dtype, build=None))


@pytest.mark.parametrize("name", KNOWN)
def test_what_is_told_of_a_layer_is_what_torch_makes_of_it(name):
    told = []

    @settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(calls(name), DTYPES)
    def run(call, dtype):
        held = holdings_of(call, dtype)
        told.append(held is not None)
        if held is not None:
            assert held == built(call, dtype)

    run()
    assert sum(told) >= min(5, len(told))


def test_layers_that_only_torch_knows_are_left_to_it():
    for name in ("LSTM", "MultiheadAttention", "Transformer", "Threshold"):
        call = LayerCall(signature=CATALOG[name], reference=None, positional=(2, 2), keywords={})
        assert holdings_of(call, None) is None


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("Linear", (-1, 2)),
        ("Linear", (2**40, 2**40)),
        ("Conv2d", (3, 4, 1, 1, 0, 1, 2)),
        ("Embedding", (3, 2, 5)),
        ("GroupNorm", (3, 4)),
        ("Dropout", (1.5,)),
    ],
)
def test_arguments_that_torch_refuses_are_left_to_it(name, arguments):
    call = LayerCall(signature=CATALOG[name], reference=None, positional=arguments, keywords={})
    assert holdings_of(call, None) is None


def test_the_layers_are_those_of_the_shipped_catalog():
    assert CATALOG.torch_version == holdings.TORCH_VERSION
    assert all(issubclass(getattr(nn, name), nn.Module) for name in KNOWN)
