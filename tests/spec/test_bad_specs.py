"""Bad specs: each ends with exit code 2, the position, what is wrong, and what would be right."""

from __future__ import annotations

from textwrap import dedent

import pytest

LINEAR = "{Linear: {in_features: 4, out_features: 3}}"


def bomb(levels: int, width: int = 10) -> str:
    """Chain aliases so that the last level names width ** levels modules."""
    lines = ["layers:", "  a0: &a0 {Linear: [1, 1, false]}"]
    for level in range(1, levels + 1):
        aliases = ", ".join([f"*a{level - 1}"] * width)
        lines.append(f"  a{level}: &a{level} {{Sequential: [{aliases}]}}")
    return "\n".join(lines)


def value_bomb(levels: int) -> str:
    """Chain aliases on plain values, ten at each level."""
    lines = ["layers:", "  - Identity:", "      a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    for level in range(1, levels + 1):
        aliases = ", ".join([f"*a{level - 1}"] * 10)
        lines.append(f"      a{level}: &a{level} [{aliases}]")
    return "\n".join(lines)


CASES = {
    # The text of the file.
    "empty file": ("", "spec.yaml:1:1", "the spec is empty", "layers:"),
    "only a comment": ("# nothing\n", "spec.yaml:1:1", "the spec is empty", "layers:"),
    "tab": ("layers:\n\t- ReLU\n", "spec.yaml:2:1", "cannot start any token", "spaces, not tabs"),
    "NUL": ("layers: [ReLU]\nname: a\0b\n", "spec.yaml:2:8", "U+0000 is not allowed", None),
    "unclosed bracket": ("layers: [ReLU\n", "spec.yaml:2:1", "did not find expected", "a bracket or a comma"),
    "unclosed quote": ("name: 'mlp\nlayers: [ReLU]\n", "spec.yaml:3:1", "unexpected end of stream", None),
    "colon in a plain value": ("name: a: b\n", "spec.yaml:1:8", "mapping values are not allowed", "must be quoted"),
    "two documents": ("layers: [ReLU]\n---\nlayers: [ReLU]\n", "spec.yaml:2:1", "a second document", "one spec"),
    "duplicate key": ("layers: [ReLU]\nlayers: [GELU]\n", "spec.yaml:2:1", "'layers' stands twice", "at 1:1"),
    "duplicate argument": (
        "layers:\n  - Linear: {in_features: 4, in_features: 5, out_features: 3}\n",
        "spec.yaml:2:30",
        "'in_features' stands twice",
        "at 2:14",
    ),
    "python tag": (
        "layers: !!python/object/apply:os.system ['id']\n",
        "spec.yaml:1:9",
        "the tag !!python/object/apply:os.system is not allowed",
        "plain data",
    ),
    "own tag": ("layers: [!mine ReLU]\n", "spec.yaml:1:10", "the tag !mine is not allowed", "plain data"),
    "tag that does not fit": ("layers: !!map [ReLU]\n", "spec.yaml:1:9", "the tag !!map", None),
    "alias without an anchor": (
        "layers: [&fc ReLU, *fx]\n",
        "spec.yaml:1:20",
        "no anchor &fx",
        "stands before its aliases",
    ),
    "cycle": ("layers: &a [ReLU, *a]\n", "spec.yaml:1:19", "inside its own anchor: a cycle", None),
    "merge key of a list": (
        "layers:\n  - Linear:\n      <<: 3\n      in_features: 4\n      out_features: 3\n",
        "spec.yaml:3:11",
        "the merge key << takes a mapping",
        "<<: *name",
    ),
    "key that is a list": ("layers: [ReLU]\n[1, 2]: 3\n", "spec.yaml:2:1", "a key must be a plain name", None),
    "10,000 levels": ("layers: " + "[" * 10_000, "spec.yaml:1:208", "nested deeper than 200 levels", None),
    # The spec's own structure.
    "list at the top": ("- ReLU\n", "spec.yaml:1:1", "a spec is a mapping, not a list", "layers:"),
    "string at the top": ("ReLU\n", "spec.yaml:1:1", "a spec is a mapping, not the string 'ReLU'", "layers:"),
    "no layers": ("name: x\n", "spec.yaml:1:1", "a spec needs layers", "layers:"),
    "misspelt key": (
        "layers: [ReLU]\nsed: 1\n",
        "spec.yaml:2:1",
        "sed: a spec has no key 'sed'",
        "did you mean 'seed'?",
    ),
    "empty layers": ("layers: []\n", "spec.yaml:1:9", "layers: there are no layers here", "Identity"),
    "empty mapping of layers": ("layers: {}\n", "spec.yaml:1:9", "layers: there are no layers here", "Identity"),
    "layers that are a number": ("layers: 3\n", "spec.yaml:1:9", "expected layers, not 3", "a list of layers"),
    "layers that are null": ("layers:\n", "spec.yaml:1:8", "expected layers, not null", "a list of layers"),
    "name that is a number": ("name: 5\nlayers: [ReLU]\n", "spec.yaml:1:7", "must be a string, not 5", "quotes"),
    "child with a dot": ("layers: {a.b: ReLU}\n", "spec.yaml:1:10", "'a.b' cannot name a module", None),
    "child named as a method": (
        "layers: {forward: ReLU}\n",
        "spec.yaml:1:10: layers.forward:",
        "a child of Sequential cannot be named 'forward'",
        None,
    ),
    # Layers.
    "arguments in brackets": (
        "layers: ['Linear(4, 8)']\n",
        "spec.yaml:1:10",
        "torch.nn has no layer 'Linear(4, 8)'",
        "arguments stand behind the name: Linear: [4, 8]",
    ),
    "named layer in a list": (
        "layers:\n  - stem: {Conv2d: [3, 8, 1]}\n",
        "spec.yaml:2:5",
        "torch.nn has no layer 'stem'",
        "in a mapping, without dashes: {stem: …}",
    ),
    "begun scheme": (
        "layers: [{Linear: [1, 1]}]\ninit: [{match: '*', scheme: xavier}]\n",
        "spec.yaml:2:29",
        "there is no init scheme 'xavier'",
        "did you mean 'xavier_normal' or 'xavier_uniform'?",
    ),
    "argument of a container in Hydra's form": (
        "layers: [{_target_: torch.nn.Sequential, layers: [ReLU]}]\n",
        "spec.yaml:1:42",
        "Sequential has no key 'layers'",
        "its keys are modules",
    ),
    "open bracket": ("layers: [ReLU\n", "spec.yaml:2:1", "not valid YAML", "a bracket or a comma is missing"),
    "misspelt layer": ("layers: [RELU6]\n", "spec.yaml:1:10", "torch.nn has no layer 'RELU6'", "did you mean 'ReLU6'?"),
    "function of torch.nn": (
        "layers: [functional]\n",
        "spec.yaml:1:10",
        "torch.nn has no layer 'functional'",
        "import path",
    ),
    "layer that is a number": ("layers: [5]\n", "spec.yaml:1:10", "layers[0]: expected a layer, not 5", "a name"),
    "layer that is a list": ("layers: [[ReLU]]\n", "spec.yaml:1:10", "expected a layer, not a list of 1", "Sequential"),
    "layer with two keys": (
        "layers:\n  - Linear: [4, 3]\n    ReLU:\n",
        "spec.yaml:2:5",
        "a layer has one key, its name, not 2 (Linear, ReLU)",
        None,
    ),
    "misspelt argument": (
        "layers:\n  - Linear: {in_featurs: 4, out_features: 3}\n",
        "spec.yaml:2:14",
        "layers[0].Linear.in_featurs: Linear has no argument 'in_featurs'",
        "did you mean 'in_features'",
    ),
    "missing argument": (
        "layers: [{Linear: {in_features: 4}}]\n",
        "spec.yaml:1:11",
        "Linear needs out_features",
        "Linear(in_features, out_features, bias=True)",
    ),
    "bare layer that needs arguments": (
        "layers: [Linear]\n",
        "spec.yaml:1:10",
        "Linear needs in_features and out_features",
        "Linear(in_features",
    ),
    "too many arguments": ("layers: [{ReLU: [true, 2]}]\n", "spec.yaml:1:24", "at most 1 arguments", "ReLU(inplace"),
    "argument of a layer that takes none": (
        "layers: [{Tanh: {inplace: true}}]\n",
        "spec.yaml:1:18",
        "Tanh has no argument 'inplace'",
        "it takes none",
    ),
    "string for a boolean": (
        'layers: [{Linear: {in_features: 4, out_features: 3, bias: "no"}}]\n',
        "spec.yaml:1:59",
        "bias must be true or false, not the string 'no'",
        "only true and false, unquoted",
    ),
    "YAML 1.1 boolean": (
        "layers: [{ReLU: {inplace: yes}}]\n",
        "spec.yaml:1:27",
        "inplace must be true or false, not the string 'yes'",
        "only true and false, unquoted",
    ),
    "float for an integer": (
        "layers: [{Linear: [4.5, 3]}]\n",
        "spec.yaml:1:20",
        "in_features must be an integer, not 4.5",
        None,
    ),
    "boolean for an integer": (
        "layers: [{Linear: [true, 3]}]\n",
        "spec.yaml:1:20",
        "must be an integer, not true",
        None,
    ),
    "quoted number": (
        "layers: [{Dropout: {p: '0.5'}}]\n",
        "spec.yaml:1:24",
        "p must be a number, not the string '0.5'",
        "without quotes",
    ),
    "list of the wrong length": (
        "layers: [{Conv2d: {in_channels: 1, out_channels: 1, kernel_size: [3, 3, 3]}}]\n",
        "spec.yaml:1:66",
        "kernel_size must be an integer or a list of 2 integers, not a list of 3",
        None,
    ),
    "word outside the choices": (
        "layers: [{Conv2d: {in_channels: 1, out_channels: 1, kernel_size: 3, padding_mode: zero}}]\n",
        "spec.yaml:1:83",
        "padding_mode must be one of zeros, reflect, replicate, circular",
        "did you mean 'zeros'?",
    ),
    "device": (
        "layers: [{Linear: {in_features: 4, out_features: 3, device: cuda}}]\n",
        "spec.yaml:1:61",
        "a spec names no device",
        "--device",
    ),
    "dtype by torch's path": (
        "layers: [{Linear: {in_features: 4, out_features: 3, dtype: torch.float16}}]\n",
        "spec.yaml:1:60",
        "dtype must be the name of a dtype or null, not the string 'torch.float16'",
        "did you mean 'float16'",
    ),
    "tensor": (
        "layers: [{CrossEntropyLoss: {weight: [1.0, 2.0]}}]\n",
        "spec.yaml:1:38",
        "weight is a tensor, which a spec cannot hold",
        None,
    ),
    "number beyond 64 bits": (
        "layers: [{Linear: [99999999999999999999, 1]}]\n",
        "spec.yaml:1:20",
        "does not fit in 64 bits",
        None,
    ),
    "lazy layer": ("layers: [{LazyLinear: 3}]\n", "spec.yaml:1:11", "LazyLinear is lazy", "write Linear"),
    "layer of one's own that was not allowed": (
        "layers: [{mine.Block: {dim: 3}}]\n",
        "spec.yaml:1:11",
        "importing it was not allowed",
        "--allow mine",
    ),
    "module of torch outside torch.nn": (
        "layers: [torch.nn.utils.Foo]\n",
        "spec.yaml:1:10",
        "torch.nn has no layer",
        None,
    ),
    "misspelt layer in an argument": (
        "layers: [{TransformerEncoder: {encoder_layer: {TransformerEncodrLayer: [8, 2]}, num_layers: 2}}]\n",
        "spec.yaml:1:48",
        "torch.nn has no layer 'TransformerEncodrLayer'",
        "did you mean 'TransformerEncoderLayer'",
    ),
    "anchor on a layer's name": (
        "layers:\n  - &fc Linear: [4, 3]\n  - *fc\n",
        "spec.yaml:2:5",
        "the anchor &fc stands on the name 'Linear' alone",
        "&fc {Linear: …}",
    ),
    "Hydra's target that is a number": (
        "layers: [{_target_: 3}]\n",
        "spec.yaml:1:21",
        "_target_ is the import path",
        None,
    ),
    "Hydra's arguments that are no list": (
        "layers: [{_target_: torch.nn.Linear, _args_: 3}]\n",
        "spec.yaml:1:46",
        "_args_ is a list of arguments, not 3",
        None,
    ),
    "argument given twice": (
        "layers: [{_target_: torch.nn.Linear, _args_: [4, 3], in_features: 4}]\n",
        "spec.yaml:1:54",
        "in_features is given by position and by name",
        None,
    ),
    "key beside class_path": (
        "layers: [{class_path: torch.nn.ReLU, inplace: true}]\n",
        "spec.yaml:1:38",
        "unknown key 'inplace' beside class_path",
        "init_args",
    ),
    # Blocks.
    "Repeat without times": (
        "layers: [{Repeat: {layers: [ReLU]}}]\n",
        "spec.yaml:1:11",
        "Repeat needs times",
        "times: 12",
    ),
    "Repeat of nothing": ("layers: [{Repeat: {times: 0, layer: ReLU}}]\n", "spec.yaml:1:27", "1 or more, not 0", None),
    "Repeat of a billion": (
        "layers: [{Repeat: {times: 1000000000, layer: ReLU}}]\n",
        "spec.yaml:1:27",
        "1,000,000,000 copies are more than the limit of 5,000,000",
        None,
    ),
    "Repeat of layers and a layer": (
        "layers: [{Repeat: {times: 2, layer: ReLU, layers: [ReLU]}}]\n",
        "spec.yaml:1:11",
        "Repeat takes either layers",
        None,
    ),
    "Repeat with a misspelt key": (
        "layers: [{Repeat: {time: 2, layer: ReLU}}]\n",
        "spec.yaml:1:20",
        "Repeat has no key 'time'",
        "did you mean 'times'?",
    ),
    "alias into a Repeat from outside": (
        "layers:\n  - Repeat: {times: 2, layers: [&a ReLU]}\n  - *a\n",
        "spec.yaml:2:33",
        "this layer stands inside a Repeat",
        "outside the Repeat",
    ),
    "Residual of nothing": ("layers: [Residual]\n", "spec.yaml:1:10", "Residual needs layers", "shortcut"),
    "ModuleDict of a list": (
        "layers: [{ModuleDict: [ReLU]}]\n",
        "spec.yaml:1:23",
        "a ModuleDict names its children",
        None,
    ),
    # Limits that count what is expanded.
    "alias bomb": (bomb(11), "spec.yaml", "111,111,111,111 parameter names, more than the limit", "every alias"),
    "bomb of values": (value_bomb(8), "spec.yaml:1", "more than 5,000,000 nodes", None),
    "Repeat in Repeat": (
        "layers: [{Repeat: {times: 3000, layer: {Repeat: {times: 3000, layer: {Linear: [1, 1]}}}}}]\n",
        "spec.yaml",
        "18,000,000 parameter names",
        None,
    ),
    # Settings.
    "input that is a list": (
        f"layers: [{LINEAR}]\ninput: [2, 4]\n",
        "spec.yaml:2:8",
        "the input is a mapping",
        "shape",
    ),
    "input without a shape": (
        f"layers: [{LINEAR}]\ninput: {{fill: ones}}\n",
        "spec.yaml:2:8",
        "needs a shape",
        "[2, 4]",
    ),
    "negative size": (f"layers: [{LINEAR}]\ninput: {{shape: [2, -4]}}\n", "spec.yaml:2:20", "0 or more", None),
    "unknown fill": (
        f"layers: [{LINEAR}]\ninput: {{shape: [2, 4], fill: random}}\n",
        "spec.yaml:2:30",
        "the fill cannot be",
        "rand",
    ),
    "randint without bounds": (
        f"layers: [{LINEAR}]\ninput: {{shape: [2, 4], fill: randint}}\n",
        "spec.yaml:2:30",
        "randint needs its bounds",
        "low: 0, high: 100",
    ),
    "randint upside down": (
        f"layers: [{LINEAR}]\ninput: {{shape: [2, 4], fill: {{randint: {{low: 5, high: 2}}}}}}\n",
        "spec.yaml:2:40",
        "low < high, not 5 and 2",
        None,
    ),
    "unknown loss": (
        f"layers: [{LINEAR}]\nloss: crossentropy\n",
        "spec.yaml:2:7",
        "the loss cannot be",
        "'cross_entropy'",
    ),
    "unknown dtype": (
        f"layers: [{LINEAR}]\ndtype: int8\n",
        "spec.yaml:2:8",
        "floating parameters cannot be",
        "float32",
    ),
    "seed that is a fraction": (
        f"layers: [{LINEAR}]\nseed: 1.5\n",
        "spec.yaml:2:7",
        "an integer of 64 bits, not 1.5",
        None,
    ),
    "rule without a scheme": (
        f"layers: [{LINEAR}]\ninit: [{{match: '*'}}]\n",
        "spec.yaml:2:8",
        "needs scheme",
        "match",
    ),
    "unknown scheme": (
        f"layers: [{LINEAR}]\ninit: [{{match: '*', scheme: kaiming}}]\n",
        "spec.yaml:2:29",
        "there is no init scheme 'kaiming'",
        "did you mean 'kaiming_normal'",
    ),
    "unknown option": (
        f"layers: [{LINEAR}]\ninit: [{{match: '*', scheme: normal, sdt: 1}}]\n",
        "spec.yaml:2:37",
        "the scheme normal has no option 'sdt'",
        "did you mean 'std'?",
    ),
    "missing option": (
        f"layers: [{LINEAR}]\ninit: [{{match: '*', scheme: constant}}]\n",
        "spec.yaml:2:8",
        "the scheme constant needs val",
        "constant:val=",
    ),
    "negative std": (
        f"layers: [{LINEAR}]\ninit: [{{match: '*', scheme: normal, std: -1}}]\n",
        "spec.yaml:2:37",
        "normal takes as std a number, 0 or more, not -1",
        None,
    ),
    "bounds upside down": (
        f"layers: [{LINEAR}]\ninit: [{{match: '*', scheme: uniform, a: 2}}]\n",
        "spec.yaml:2:8",
        "uniform needs a ≤ b",
        None,
    ),
    "rule that does not fit": (
        f"layers: [{LINEAR}]\ninit: [{{match: '*', scheme: eye}}]\n",
        "spec.yaml:2:29",
        "eye does not fit 0.bias: it needs 2 dimensions, and the shape is [3]",
        None,
    ),
    "function that was not allowed": (
        f"layers: [{LINEAR}]\ninit: [{{match: '*', scheme: mine.py:f}}]\n",
        "spec.yaml:2:29",
        "mine.py:f is code of your own",
        "--allow mine.py",
    ),
    "tie of one name": (f"layers: [{LINEAR}]\ntie: [[0.weight]]\n", "spec.yaml:2:7", "two names or more", "tie: [["),
    "tie of an unknown name": (
        f"layers: [{LINEAR}]\ntie: [[0.weight, 0.wieght]]\n",
        "spec.yaml:2:18",
        "there is no parameter '0.wieght'",
        "did you mean '0.weight'",
    ),
    "tie of different shapes": (
        f"layers: [{LINEAR}]\ntie: [[0.weight, 0.bias]]\n",
        "spec.yaml:2:18",
        "cannot tie 0.bias to 0.weight: their shapes differ, [3] and [3, 4]",
        None,
    ),
    "freeze that is a string": (f"layers: [{LINEAR}]\nfreeze: '*'\n", "spec.yaml:2:9", "freeze is a list", "freeze: ["),
    # What only torch knows.
    "constructor that raises": (
        "layers:\n  - ReLU\n  - MultiheadAttention: {embed_dim: 7, num_heads: 2}\n",
        "spec.yaml:3:5",
        "MultiheadAttention(embed_dim=7, num_heads=2) failed: ",
        None,
    ),
    "negative size of a layer": ("layers: [{Linear: [-4, 3]}]\n", "spec.yaml:1:10", "Linear(-4, 3) failed: ", None),
    "layer too large for 64 bits": (
        "layers: [{Linear: [10000000000, 10000000000]}]\n",
        "spec.yaml:1:10",
        "Linear(10000000000, 10000000000) failed: ",
        None,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_bad_spec_is_answered_with_place_and_hint(case, paramctl, write):
    text, position, message, hint = CASES[case]
    # `init` reads, builds and plans, so that every mistake has its chance.
    result = paramctl("init", write(text))
    assert result.code == 2
    assert result.out == ""
    assert f"error: {position}" in result.err
    assert message in result.err
    if hint is not None:
        assert any(line.startswith("  hint: ") and hint in line for line in result.err.splitlines())


def test_a_misfit_in_forward_names_the_layer_its_arguments_and_the_shape_that_reached_it(paramctl, write):
    spec = write("layers:\n  - Linear: [4, 3]\n  - Linear: {in_features: 5, out_features: 2}\ninput: {shape: [2, 4]}\n")
    result = paramctl("grad", spec)
    assert result.code == 2
    assert result.err.startswith(
        "error: spec.yaml:3:5: layer 1, Linear(in_features=5, out_features=2) failed in forward"
    )
    assert "on an input of [2, 3]" in result.err
    assert "hint: it takes [N, 5]" in result.err
    assert result.err.count("error:") == 1


def test_all_mistakes_of_a_file_are_reported_at_once_in_the_order_of_the_text(paramctl, write):
    spec = write(
        dedent("""\
            nmae: five
            layers:
              - Linaer: [4, 3]
              - Linear: {in_features: 4, out_feature: 3}
            loss: total
            init: [{match: "*", scheme: norml}]
        """)
    )
    result = paramctl("list", spec)
    errors = [line for line in result.err.splitlines() if line.startswith("error:")]
    assert [error.split(": ")[1] for error in errors] == [
        "spec.yaml:1:1",
        "spec.yaml:3:5",
        "spec.yaml:4:30",
        "spec.yaml:5:7",
        "spec.yaml:6:29",
    ]


def test_mistakes_that_only_torch_or_the_built_model_shows_are_reported_at_once_too(paramctl, write):
    result = paramctl("list", write("layers: [{GroupNorm: [3, 4]}, {Sequential: [{Dropout: 3}]}]"))
    first, second = [line for line in result.err.splitlines() if line.startswith("error:")]
    assert first.startswith("error: spec.yaml:1:10: layers[0].GroupNorm: GroupNorm(3, 4) failed: ValueError")
    assert second.startswith("error: spec.yaml:1:45: layers[1].Sequential[0].Dropout: Dropout(3) failed: ValueError")
    result = paramctl("list", write("layers: [{Linear: [2, 1]}]\ntie: [[0.weigth, 0.bias], [1.foo, 0.bia]]"))
    assert [line.split(": ")[1] for line in result.err.splitlines() if line.startswith("error:")] == [
        "spec.yaml:2:8",
        "spec.yaml:2:28",
        "spec.yaml:2:35",
    ]


@pytest.mark.parametrize("layer", ["Sequential", "Residual"])
def test_a_chain_of_aliases_is_not_deeper_than_the_limit(layer, paramctl, write):
    lines = [f"  - &a{i} {{{layer}: [*a{i - 1}]}}" for i in range(1, 1000)]
    result = paramctl("list", write("\n".join(["layers:", "  - &a0 {Sequential: [{Linear: [1, 1]}]}", *lines])))
    assert result.code == 2
    assert "with its aliases followed, modules are nested deeper than 200 levels" in result.err
    assert result.err.count("error:") == 1
    chain = "\n".join(["layers:", "  - &a0 {Sequential: [{Linear: [1, 1]}]}", *lines[:90]])
    assert paramctl("list", write(chain)).code == 0


@pytest.mark.parametrize(
    "layer",
    [
        "{LSTM: [2, 3, 100000000]}",
        "{TransformerEncoder: {encoder_layer: {TransformerEncoderLayer: [4, 2]}, num_layers: 100000000}}",
        "{Transformer: {d_model: 4, nhead: 2, num_decoder_layers: 100000000}}",
    ],
)
def test_layers_inside_a_layer_count_before_it_is_built(layer, paramctl, write):
    result = paramctl("list", write(f"layers: [{layer}]"))
    assert result.code == 2
    assert "100,000,000 layers inside have more parameter names than the limit of 5,000,000" in result.err


def test_a_great_many_mistakes_are_cut_to_fifty_and_the_rest_counted(paramctl, write):
    result = paramctl("list", write("layers: [" + ", ".join(["Foo"] * 60) + "]"))
    assert result.err.count("error:") == 50
    assert result.err.endswith("… and 10 more\n")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"layers: [\xff]", "spec.yaml:1:10: the byte 0xFF is not UTF-8"),
        (b"layers: [ReLU]\n# \x80", "spec.yaml:2:3: the byte 0x80 is not UTF-8"),
        (b"#" * (64 * 2**20 + 1), "spec.yaml: the spec has more than 64 MiB of text"),
    ],
)
def test_bytes_that_are_no_spec_are_refused(content, message, paramctl, write):
    path = write("")
    path.write_bytes(content)
    result = paramctl("list", path)
    assert result.code == 2
    assert message in result.err


def test_a_byte_order_mark_is_no_mistake(paramctl, write):
    assert paramctl("list", write("\ufefflayers: [ReLU]")).code == 0
