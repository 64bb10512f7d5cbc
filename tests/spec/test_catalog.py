from __future__ import annotations

import json
from contextlib import nullcontext

import pytest
from torch import nn

from paramctl.errors import ParamctlError
from paramctl.spec.catalog import load_catalog
from paramctl.tensors.building.build import build
from paramctl.tensors.building.signatures import live_catalog
from paramctl.tensors.building.unregistered import find_unregistered

CATALOG = load_catalog()
CLASSES = sorted(name for name, value in vars(nn).items() if isinstance(value, type) and issubclass(value, nn.Module))


def test_the_shipped_file_is_what_the_installed_torch_says():
    live = live_catalog()
    assert CATALOG.torch_version == live.torch_version
    assert {name: list(CATALOG.entries[name]) for name in CATALOG.names()} == {
        name: list(live.entries[name]) for name in live.names()
    }
    assert CATALOG.attributes == live.attributes


EXAMPLES = {
    "int": 2, "float": 0.5, "bool": True, "str": "mean", "None": None, "Module": {"Linear": [2, 2]}, "Any": 2,
    "list": [2, 4], "tuple": [2, 2], "literal": "zeros",
}  # fmt: skip
ENCODER_LAYER = {"d_model": 2, "nhead": 2, "batch_first": True}
ARGUMENTS = {
    "AdaptiveLogSoftmaxWithLoss": {"in_features": 16, "n_classes": 20, "cutoffs": [5, 10]},
    "FractionalMaxPool2d": {"kernel_size": 2, "output_size": 2},
    "FractionalMaxPool3d": {"kernel_size": 2, "output_size": 2},
    "RNNBase": {"mode": "LSTM", "input_size": 2, "hidden_size": 2},
    "Transformer": {"d_model": 2, "nhead": 2, "batch_first": True},
    "TransformerDecoder": {"decoder_layer": {"TransformerDecoderLayer": ENCODER_LAYER}, "num_layers": 2},
    "TransformerEncoder": {"encoder_layer": {"TransformerEncoderLayer": ENCODER_LAYER}, "num_layers": 2},
}
DEPRECATED = ("Container", "NLLLoss2d")


@pytest.mark.parametrize("name", [name for name in CLASSES if not CATALOG[name].lazy])
def test_every_module_class_of_torch_nn_is_bound_and_built(name, spec):
    required = [each for each in CATALOG[name].parameters if each.required and name != "Sequential"]
    arguments = ARGUMENTS.get(name) or {each.name: EXAMPLES[each.type.alternatives[0].name] for each in required}
    read = spec(json.dumps({"layers": [{name: arguments} if arguments else name]}))
    with pytest.warns((FutureWarning, DeprecationWarning)) if name in DEPRECATED else nullcontext():
        net = build(read).net
    assert type(net[0]) is getattr(nn, name)
    assert find_unregistered(net) == ()


@pytest.mark.parametrize("name", [name for name in CLASSES if CATALOG[name].lazy])
def test_every_lazy_class_is_refused(name, spec):
    with pytest.raises(ParamctlError, match=f"{name} is lazy"):
        spec(f"layers: [{name}]")


def test_an_lstm_has_the_arguments_of_its_overload():
    names = [parameter.name for parameter in CATALOG["LSTM"].parameters]
    assert names[:3] == ["input_size", "hidden_size", "num_layers"]
    assert "proj_size" in names


def test_a_class_without_a_constructor_of_its_own_takes_no_arguments():
    assert CATALOG["Tanh"].parameters == ()
    assert not CATALOG["Tanh"].more_keywords


def test_identity_takes_anything():
    assert CATALOG["Identity"].more_positional
    assert CATALOG["Identity"].more_keywords


def test_what_stands_behind_a_star_is_given_by_name_alone():
    signature = CATALOG["TripletMarginWithDistanceLoss"]
    assert signature.positional == ()
    assert "margin" in signature.by_name
