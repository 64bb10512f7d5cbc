from __future__ import annotations

from pathlib import Path

import pytest

from paramctl.analysis.planning import InitTarget, plan
from paramctl.errors import ParamctlError
from paramctl.fans import Fans
from paramctl.records import ParameterRecord
from paramctl.spec.rules import parse_rule, parse_whole_model

HERE = Path()


def target(name, shape, *, dtype="float32", aliases=(), **facts):
    record = ParameterRecord(name, name.rpartition(".")[0], "Linear", "parameter", shape, dtype, True, aliases)
    return InitTarget(record=record, **facts)


WEIGHT, BIAS = target("0.weight", (3, 4)), target("0.bias", (3,))


def rules_of(targets, *rules):
    plans, _ = plan(targets, rules)
    return [[rule.label for rule in each.rules] for each in plans]


def steps_of(*rules):
    plans, _ = plan([WEIGHT], rules)
    return [rule.label for rule in plans[0].steps]


class TestTheReadingForAWholeModel:
    def test_weights_get_the_scheme_and_biases_zeros(self):
        assert rules_of([WEIGHT, BIAS], parse_whole_model("normal", HERE)) == [["normal"], ["zeros"]]

    def test_normalisation_layers_keep_their_own_values(self):
        norms = [target("1.weight", (3,), normalization=True), target("1.bias", (3,), normalization=True)]
        wide = target("2.weight", (3, 4), normalization=True)
        assert rules_of([*norms, wide], parse_whole_model("normal", HERE)) == [[], [], []]

    def test_what_is_neither_weight_nor_bias_keeps_its_own_values(self):
        assert rules_of([target("0.scale", (3,))], parse_whole_model("normal", HERE)) == [[]]

    def test_two_dimensions_make_a_weight_whatever_its_name(self):
        assert rules_of([target("0.bias_k", (1, 1, 8))], parse_whole_model("normal", HERE)) == [["normal"]]

    def test_bias_counts_in_the_last_part_of_the_name_alone(self):
        assert rules_of([target("bias_net.scale", (3,))], parse_whole_model("normal", HERE)) == [[]]
        assert rules_of([target("rnn.bias_ih_l0", (3,))], parse_whole_model("normal", HERE)) == [["zeros"]]

    def test_what_the_scheme_is_not_defined_for_keeps_its_own_values_and_a_note_says_so(self):
        plans, _ = plan([target("0.weight", (3, 4, 5))], [parse_whole_model("eye", HERE)])
        assert plans[0].rules == ()
        assert plans[0].note == "eye is not defined here: it needs 2 dimensions, and the shape is [3, 4, 5]"

    def test_integers_are_left_alone(self):
        plans, _ = plan([target("0.weight", (3, 4), dtype="int8")], [parse_whole_model("normal", HERE)])
        assert plans[0].rules == ()
        assert "the dtype is int8" in plans[0].note


class TestExactRules:
    def test_a_rule_reaches_whatever_it_matches_in_order(self):
        rules = [parse_rule(text, HERE) for text in ("*=ones", "*.bias=zeros", "0.*=add:value=1")]
        assert rules_of([WEIGHT, BIAS], *rules) == [["ones", "add"], ["ones", "zeros", "add"]]

    def test_any_name_of_a_tied_parameter_matches_and_it_is_reached_once(self):
        tied = target("a.weight", (3, 4), aliases=("b.weight",))
        assert rules_of([tied], parse_rule("?.weight=ones", HERE)) == [["ones"]]
        assert rules_of([tied], parse_rule("b.*=ones", HERE)) == [["ones"]]

    def test_a_rule_that_matches_nothing_is_noted(self):
        _, notes = plan([WEIGHT], [parse_rule("1.*=ones", HERE)])
        assert notes == ["--rule: '1.*' matches no parameter"]

    def test_a_misfit_is_an_error_for_each_parameter(self):
        with pytest.raises(ParamctlError) as caught:
            plan([BIAS, target("1.bias", (5,)), WEIGHT], [parse_rule("*=xavier_normal", HERE)])
        assert [problem.message for problem in caught.value.problems] == [
            "xavier_normal does not fit 0.bias: it needs 2 or more dimensions, and the shape is [3]",
            "xavier_normal does not fit 1.bias: it needs 2 or more dimensions, and the shape is [5]",
        ]

    def test_default_is_a_misfit_where_it_is_not_known(self):
        with pytest.raises(ParamctlError, match="how its layer initialises it is not known"):
            plan([target("0.weight", (3, 4), has_default=False)], [parse_rule("*=default", HERE)])


class TestWhereValuesComeFrom:
    def start(self, *texts, **facts):
        rules = [parse_rule(text, HERE) for text in texts]
        plans, notes = plan([target("0.weight", (3, 4), **facts)], rules)
        return plans[0].start, notes

    def test_rules_are_numbered_as_they_apply_and_the_scheme_for_a_whole_model_has_no_number(self):
        rules = [parse_rule("*=ones", HERE), parse_whole_model("normal", HERE), parse_rule("*.weight=zeros", HERE)]
        plans, _ = plan([WEIGHT, BIAS], rules)
        assert [[rule.number for rule in each.rules] for each in plans] == [[1, None, 2], [1, None]]

    def test_what_rules_overwrite_starts_nowhere(self):
        assert self.start("*=normal", unwritten=12) == (None, [])
        assert self.start("*=normal", "*=add:value=1")[0] is None

    @pytest.mark.parametrize("texts", [(), ("*=add:value=1",), ("*=mul:value=2", "*=add:value=1")])
    def test_what_rules_leave_or_change_starts_with_the_layer_or_as_it_was_found(self, texts):
        assert self.start(*texts)[0] == "layer default"
        assert self.start(*texts, as_found=True)[0] == "as found"
        assert self.start(*texts, as_found=True, loaded=True)[0] == "loaded"

    def test_a_rule_for_the_layers_own_values_makes_them_unless_there_are_none(self):
        assert self.start("*=default")[0] is None
        assert self.start("*=default", unwritten=12)[0] == "never written"

    def test_what_the_layer_has_not_written_is_noted(self):
        start, notes = self.start("*=mul:value=2", unwritten=12)
        assert start == "never written"
        assert notes == ["0.weight: never written by the layer; zeros here, anything elsewhere"]
        start, (note,) = self.start(unwritten=5)
        assert start == "partly written"
        assert note.startswith("0.weight (5 of its 12 elements): ")

    def test_a_function_may_write_everything_so_nothing_is_said(self):
        assert self.start("*=my.py:f", unwritten=12) == (None, [])

    def test_a_note_names_three_and_counts_the_others(self):
        _, (note,) = plan([target(f"{i}.weight", (2, 2), unwritten=4) for i in range(5)], [])
        assert note.startswith("0.weight, 1.weight, 2.weight and 2 more: ")


class TestFans:
    def used(self, *texts):
        plans, _ = plan([target("0.weight", (3, 4), fans=Fans(4, 3))], [parse_rule(text, HERE) for text in texts])
        return plans[0].used_fans

    def test_they_are_shown_where_a_scheme_that_is_left_uses_them(self):
        assert self.used("*=kaiming_normal", "*=add:value=1") == (4, 3)
        assert self.used("*=xavier_uniform", "*=normal") is None
        assert self.used() is None


class TestWhatIsLeftToDo:
    def test_nothing_before_the_last_overwriting_rule(self):
        rules = [parse_rule(f"*={scheme}", HERE) for scheme in ("normal", "add:value=1", "uniform", "mul:value=2")]
        assert steps_of(*rules) == ["uniform", "mul"]

    def test_everything_where_no_rule_overwrites(self):
        assert steps_of(*[parse_rule(f"*={scheme}", HERE) for scheme in ("add:value=1", "mul:value=2")]) == [
            "add",
            "mul",
        ]

    def test_a_function_acts_on_what_was_left(self):
        rules = [parse_rule("*=normal", HERE), parse_rule("*=my.py:f", HERE)]
        assert steps_of(*rules) == ["normal", "my.py:f"]
