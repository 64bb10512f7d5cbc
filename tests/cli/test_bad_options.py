"""Bad options: exit code 2, the option, what is wrong, and what would be right."""

from __future__ import annotations

from typing import get_args

import pytest

from paramctl.analysis import listing
from paramctl.cli.commands.grad import LossName
from paramctl.cli.commands.listing import SortKey
from paramctl.spec.model import LOSSES
from paramctl.spec.seeds import MAX_SEED, MIN_SEED

MLP = "example:mlp"

OURS = {
    "scheme written as a call": (["init", MLP, "--scheme", "normal(std=1, mean=2)"], "--scheme: there is no init scheme", "write normal:std=1,mean=2"),
    "scheme called without options": (["init", MLP, "--scheme", "zeros()"], "--scheme: there is no init scheme", "write zeros"),
    "unknown scheme": (["init", MLP, "--scheme", "norml"], "--scheme: there is no init scheme 'norml'", "did you mean 'normal'?"),
    "scheme with torch's underscore": (["init", MLP, "--scheme", "kaiming_normal_"], "--scheme: there is no", "did you mean 'kaiming_normal'?"),
    "scheme by torch's path": (["init", MLP, "--scheme", "nn.init.ones_"], "--scheme: there is no", "did you mean 'ones'?"),
    "unknown option": (["init", MLP, "--scheme", "normal:sdt=1"], "--scheme: the scheme normal has no option 'sdt'", "did you mean 'std'?"),
    "missing option": (["init", MLP, "--scheme", "constant"], "--scheme: the scheme constant needs val", "constant:val=…"),
    "option without a value": (
        ["init", MLP, "--scheme", "normal:std"],
        "'std' is no option of normal",
        "write normal:std=…",
    ),
    "value without an option": (
        ["init", MLP, "--scheme", "constant:1"],
        "'1' is no option of constant",
        "write constant:val=1",
    ),
    "value for what takes no option": (["init", MLP, "--scheme", "zeros:1"], "'1' is no option of zeros", "it takes none"),
    "second option without a value": (["init", MLP, "--scheme", "normal:std=1,mean"], "'mean' is not key=value", "normal:mean=0,std=0.02"),
    "option given twice": (["init", MLP, "--scheme", "normal:std=1,std=2"], "the option 'std' is given twice", None),
    "option that is no number": (["init", MLP, "--scheme", "normal:std=big"], "normal takes as std a number, not 'big'", None),
    "option out of range": (["init", MLP, "--rule", "*=sparse:sparsity=2"], "sparse takes as sparsity a number, from 0 to 1, not 2", None),
    "option outside the choices": (["init", MLP, "--scheme", "kaiming_normal:mode=fan"], "one of fan_in, fan_out, not 'fan'", None),
    "bounds upside down": (["init", MLP, "--scheme", "trunc_normal:a=3,b=1"], "trunc_normal needs a ≤ b, not a=3 and b=1", None),
    "infinite std": (["init", MLP, "--scheme", "normal:std=.inf"], "normal takes as std", None),
    "rule without a scheme": (["init", MLP, "--rule", "*.bias"], "--rule: '*.bias' is not GLOB=SCHEME", "'*.bias=zeros'"),
    "rule without a glob": (["init", MLP, "--rule", "=zeros"], "--rule: '=zeros' is not GLOB=SCHEME", None),
    "rule with an unknown scheme": (["init", MLP, "--rule", "*=zeroes"], "--rule: there is no init scheme 'zeroes'", "did you mean 'zeros'?"),
    "function in no file": (["init", MLP, "--scheme", "no_such.py:f"], "there is no file", None),
    "file without a function": (["init", MLP, "--scheme", "my_init.py"], "my_init.py is a file, not a function", "my_init.py:FUNCTION"),
    "function in no module": (["init", MLP, "--scheme", "no_such_module:f"], "there is no module 'no_such_module'", None),
    "seed of 80 bits": (["init", MLP, "--seed", str(2**80)], "--seed", None),
    "dtype": (["list", MLP, "--dtype", "torch.float16"], "--dtype: 'torch.float16' is no dtype", "did you mean 'float16'"),
    "integer dtype": (["list", MLP, "--dtype", "int8"], "--dtype: 'int8' is no dtype of floating parameters", None),
    "device": (["list", MLP, "--device", "gpu"], "--device: cannot use the device 'gpu'", "here there is cpu"),
    "device without values": (["grad", MLP, "--device", "meta"], "--device: cannot use the device 'meta'", None),
    "layer": (["list", MLP, "--layer", "7"], "--layer: the model has no layer '7'", "0, 1, 2"),
    "shape": (["grad", MLP, "--input-shape", "2x4"], "--input-shape: '2x4' is no shape", "such as 2,4"),
    "negative shape": (["grad", MLP, "--input-shape", "-2,4"], "--input-shape: '-2,4' holds a size that no tensor has", None),
    "fill": (["grad", MLP, "--fill", "random"], "--fill: there is no fill 'random'", "did you mean 'rand'"),
    "randint without bounds": (["grad", MLP, "--fill", "randint"], "--fill: there is no fill 'randint'", "randint(0,100)"),
    "out": (["init", MLP, "--out", "x.ckpt"], "--out: cannot tell the format of x.ckpt", ".safetensors"),
    "shards of nothing": (["init", MLP, "--max-shard-size", "5GB"], "--max-shard-size: nothing is written that shards could be made of", "--out model.safetensors"),
    "shards of a pickle": (["init", MLP, "--out", "x.pt", "--max-shard-size", "5GB"], "--max-shard-size: shards are safetensors files, and x.pt is none", "--out model.safetensors"),
    "shards of a lowercase size": (["init", MLP, "--out", "x.safetensors", "--max-shard-size", "5gb"], "--max-shard-size: '5gb' has no unit of bytes", "did you mean 'GB'?"),
    "shards of no size": (["init", MLP, "--out", "x.safetensors", "--max-shard-size", "0"], "--max-shard-size: '0' is less than a byte", "such as 5GB"),
    "model": (["list", "no.yaml"], "MODEL: there is no file no.yaml", None),
    "example": (["list", "example:alexnt"], "MODEL: there is no example 'alexnt'", "did you mean 'alexnet'?"),
    "kind of model": (["list", "model.onnx"], "MODEL: cannot tell what model 'model.onnx' is", "example:NAME"),
    "overlong output": (["list", MLP, "--output", "a" * 300], "--output: cannot write", None),
    "overlong out": (["init", MLP, "--out", "a" * 300 + ".pt"], "--out: cannot write", None),
    "overlong model": (["list", "a" * 300], "MODEL: cannot read", None),
    "file to allow": (["list", MLP, "--allow", "no.py"], "--allow: there is no file no.py", None),
    "tie of one name": (["shared", MLP, "--expect", "0.weight"], "--expect: '0.weight' names no tie", "decoder.weight=embedding.weight"),
    "tie of an unknown name": (["shared", MLP, "--expect", "0.weight=2.weigt"], "--expect: the model has no parameter '2.weigt'", "did you mean '2.weight'?"),
    "tree with values": (["list", MLP, "--tree", "--values", "--stats"], "--tree: a tree shows nothing of --stats and --values", "--format json"),
    "tree with an order": (["list", MLP, "--tree", "--sort", "name"], "--tree: a tree shows nothing of --sort", "--format json"),
    "tree in rows by suffix": (["list", MLP, "--tree", "-o", "x.csv"], "--tree: a tree has no rows", None),
    "tree in rows": (["list", MLP, "--tree", "--format", "csv"], "--tree: a tree has no rows", "--format table or json"),
}  # fmt: skip

TYPERS = {
    "unknown command": (["lst"], "No such command 'lst'"),
    "unknown option": (["list", "--fromat", "json"], "No such option: --fromat"),
    "format": (["list", MLP, "--format", "jsn"], "'jsn' is not one of"),
    "sort": (["list", MLP, "--sort", "size"], "'size' is not one of"),
    "loss": (["grad", MLP, "--loss", "total"], "'total' is not one of"),
    "mode": (["grad", MLP, "--mode", "training"], "'training' is not one of"),
    "no passes": (["grad", MLP, "--passes", "0"], "greater than or equal to 1"),
    "passes": (["grad", MLP, "--passes", "many"], "valid integer"),
    "seed": (["init", MLP, "--seed", "x"], "valid integer"),
    "option without a value": (["init", MLP, "--seed"], "requires an argument"),
    "two models": (["list", MLP, MLP], "unexpected extra argument"),
}


@pytest.mark.parametrize("case", OURS)
def test_a_bad_option_is_answered_with_the_option_and_a_hint(case, paramctl, write):
    write("")
    words, message, hint = OURS[case]
    result = paramctl(*words)
    assert (result.code, result.out) == (2, "")
    assert message in result.err
    assert "Traceback" not in result.err
    if hint is not None:
        assert any(line.startswith("  hint: ") and hint in line for line in result.err.splitlines())


@pytest.mark.parametrize("case", TYPERS)
def test_what_typer_refuses_exits_with_2_and_names_it(case, paramctl):
    words, message = TYPERS[case]
    result = paramctl(*words)
    assert (result.code, result.out) == (2, "")
    assert message in " ".join(result.err.replace("│", " ").split())


def test_the_words_of_an_option_are_those_that_are_understood():
    assert [str(each) for each in LossName] == list(LOSSES)
    assert [str(each) for each in SortKey] == list(get_args(listing.SortKey))


def test_the_seeds_of_the_command_line_are_those_of_a_spec(paramctl):
    for seed, code in ((MIN_SEED, 0), (MAX_SEED, 0), (MIN_SEED - 1, 2), (MAX_SEED + 1, 2)):
        assert paramctl("init", MLP, "--seed", seed).code == code
