"""One report in every format: the contract of version 1, field by field."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import pytest

from paramctl.records import Histogram, ParameterRecord, Statistics
from paramctl.render.formats import OutputFormat, render
from paramctl.reports.grad import GradReport, ParameterGradient
from paramctl.reports.init import AppliedRule, InitializedParameter, InitReport
from paramctl.reports.listing import ListReport, ListTotals
from paramctl.reports.schemes import SchemesReport
from paramctl.reports.shared import SharedGroup, SharedReport, SharedTotals
from paramctl.scheme_declaration import Moments
from paramctl.schemes import SCHEMES

STATS = Statistics(mean=0.5, std=0.25, min=0.0, max=1.0, norm=2.0, zeros=1, nan=0, inf=0)
NO_MOMENTS = Statistics(mean=None, std=None, min=None, max=None, norm=0.0, zeros=0, nan=3, inf=0)
STATISTICS = ["mean", "std", "min", "max", "norm", "zeros", "nan", "inf"]


class Values:
    def nested(self):
        return [[0.1, None]]

    def text(self):
        return "tensor([[0.1, nan]])"


def listing(**extra):
    record = ParameterRecord("a.weight", "a", "Linear", "parameter", (1, 2), "float32", True, ("b|c.weight",), **extra)
    totals = ListTotals(tensors=1, numel=2, trainable=2, frozen=0, nbytes=8)
    asked = {"measured": "stats" in extra, "with_values": "values" in extra}
    return ListReport(model="m\x1b.yaml", parameters=[record], totals=totals, notes=("a note",), **asked)


def init():
    row = {
        "name": "a.weight",
        "aliases": (),
        "shape": (1, 2),
        "rules": (AppliedRule(scheme="constant", args={"val": float("nan")}),),
        "stats": NO_MOMENTS,
        "expected": Moments(float("nan"), 0.0),
        "deviates": False,
        "note": None,
    }
    kept = row | {"name": "a.bias", "rules": (), "stats": STATS, "expected": None, "deviates": None, "note": "why"}
    parameters = [InitializedParameter(**row), InitializedParameter(**kept)]
    return InitReport(model="m", seed=3, parameters=parameters, written="x.pt")


def shared():
    group = SharedGroup(
        relation="same-module", names=("a.w", "b.w"), shape=(2,), numel=2, nbytes=8, saved_nbytes=8, identity=140
    )
    totals = SharedTotals(groups=1, named_numel=4, numel=2, saved_nbytes=8)
    return SharedReport(model="m", groups=[group], totals=totals)


def grad():
    rows = [
        ParameterGradient(name="a.w", aliases=(), shape=(2,), before=None, grad=STATS, reason=None, values=Values()),
        ParameterGradient(name="b.w", aliases=(), shape=(2,), before=STATS, grad=None, reason="frozen"),
    ]
    return GradReport(
        model="m", output_shape=(2, 1), output_path="output", objective="the sum", loss=float("inf"), passes=2,
        parameters=rows, with_values=True,
    )  # fmt: skip


def text(report, output_format, **options):
    return "".join(render(report, output_format, options.get("width", 10_000), options.get("color")))


def parsed(report):
    return json.loads(text(report, OutputFormat.JSON), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


class TestJson:
    def test_a_listing(self):
        assert parsed(listing()) == {
            "schema_version": 1,
            "command": "list",
            "model": "m\x1b.yaml",
            "parameters": [
                {
                    "name": "a.weight", "module": "a", "module_type": "Linear", "kind": "parameter", "shape": [1, 2],
                    "dtype": "float32", "numel": 2, "nbytes": 8, "requires_grad": True, "aliases": ["b|c.weight"],
                }
            ],
            "totals": {"tensors": 1, "numel": 2, "trainable": 2, "frozen": 0, "nbytes": 8},
        }  # fmt: skip

    def test_statistics_and_values_stand_in_the_row_where_they_were_asked_for(self):
        (row,) = parsed(listing(stats=STATS, values=Values()))["parameters"]
        assert list(row["stats"]) == STATISTICS
        assert row["values"] == [[0.1, None]]

    def test_a_histogram_stands_beside_the_statistics(self):
        histogram = Histogram(edges=(0.0, 0.5, 1.0), counts=(1, 2))
        report = replace(listing(stats=STATS._replace(histogram=histogram)), with_histograms=True)
        (row,) = parsed(report)["parameters"]
        assert list(row["stats"]) == STATISTICS
        assert row["histogram"] == {"edges": [0.0, 0.5, 1.0], "counts": [1, 2]}
        assert (
            parsed(replace(report, with_histograms=False))["parameters"] == parsed(listing(stats=STATS))["parameters"]
        )

    def test_an_initialisation(self):
        report = parsed(init())
        keys = ["schema_version", "command", "model", "seed", "rng", "parameters", "written", "shards", "origins"]
        assert list(report) == keys
        assert (report["seed"], report["written"]) == (3, "x.pt")
        constant, kept = report["parameters"]
        assert constant["rules"] == [{"scheme": "constant", "args": {"val": None}}]
        assert constant["expected"] == {"mean": None, "std": 0.0}
        assert constant["stats"]["mean"] is None
        assert (kept["rules"], kept["expected"], kept["note"]) == ([], None, "why")

    def test_sharing_without_the_id_which_is_another_in_every_run(self):
        report = parsed(shared())
        assert list(report) == ["schema_version", "command", "model", "groups", "totals"]
        assert report["groups"] == [
            {
                "relation": "same-module",
                "names": ["a.w", "b.w"],
                "shape": [2],
                "numel": 2,
                "nbytes": 8,
                "saved_nbytes": 8,
            }
        ]
        assert report["totals"] == {"groups": 1, "named_numel": 4, "numel": 2, "saved_nbytes": 8}

    def test_gradients(self):
        report = parsed(grad())
        assert [report[key] for key in ("output_shape", "loss", "passes")] == [[2, 1], None, 2]
        first, second = report["parameters"]
        assert (first["before"], list(first["grad"]), first["values"]) == (None, STATISTICS, [[0.1, None]])
        assert (second["grad"], second["values"], second["reason"]) == (None, None, "frozen")

    def test_schemes(self):
        report = parsed(SchemesReport(model=None, schemes=tuple(SCHEMES.values())))
        assert report["model"] is None
        schemes = {each["name"]: each for each in report["schemes"]}
        assert schemes["normal"]["options"] == {"mean": 0.0, "std": 0.01}
        assert schemes["constant"]["options"] == {"val": None}
        assert set(schemes["normal"]) == {"name", "options", "formula", "source"}

    def test_every_row_stands_on_a_line_of_its_own(self):
        lines = text(init(), OutputFormat.JSON).splitlines()
        assert sum(line.startswith('    {"name":') for line in lines) == 2

    def test_a_report_without_rows_is_json_too(self):
        empty = SharedReport(
            model="m", groups=[], totals=SharedTotals(groups=0, named_numel=0, numel=0, saved_nbytes=0)
        )
        assert parsed(empty)["groups"] == []

    @pytest.mark.parametrize("make", [listing, init, shared, grad])
    def test_the_report_as_a_dict_is_the_json(self, make):
        assert json.loads(json.dumps(make().to_dict())) == parsed(make())


class TestCsvAndMarkdown:
    def rows(self, report):
        return list(csv.DictReader(io.StringIO(text(report, OutputFormat.CSV))))

    def test_the_columns_do_not_depend_on_whether_there_are_rows(self):
        full = listing(stats=STATS, values=Values())
        empty = replace(full, parameters=[])
        assert text(empty, OutputFormat.CSV) == text(full, OutputFormat.CSV).splitlines(keepends=True)[0]

    def test_a_listing_has_a_row_per_parameter_name_first(self):
        (row,) = self.rows(listing(stats=STATS))
        assert list(row) == [
            "name", "module", "module_type", "kind", "shape", "dtype", "numel", "nbytes", "requires_grad", "aliases",
            *(f"stats.{name}" for name in STATISTICS),
        ]  # fmt: skip
        assert (row["shape"], row["requires_grad"], row["aliases"]) == ("[1, 2]", "true", '["b|c.weight"]')
        assert row["stats.std"] == "0.25"

    @pytest.mark.parametrize("make", [init, grad])
    def test_a_histogram_has_a_column_for_edges_and_one_for_counts(self, make):
        rows = self.rows(replace(make(), with_histograms=True))
        assert [name for name in rows[0] if name.startswith("hist")] == ["histogram.edges", "histogram.counts"]
        assert {row["histogram.counts"] for row in rows} == {""}
        report = replace(
            listing(stats=STATS._replace(histogram=Histogram(edges=(0.0, 1.0), counts=(2,)))), with_histograms=True
        )
        (row,) = self.rows(report)
        assert (row["histogram.edges"], row["histogram.counts"]) == ("[0.0, 1.0]", "[2]")
        assert "| histogram.edges | histogram.counts |" in text(report, OutputFormat.MARKDOWN)
        assert text(report, OutputFormat.MARKDOWN).splitlines()[1].endswith("| ---: | --- | --- |")

    def test_a_group_of_shared_names_begins_with_the_names(self):
        (row,) = self.rows(shared())
        assert next(iter(row)) == "names"
        assert json.loads(row["names"]) == ["a.w", "b.w"]

    def test_what_is_null_is_empty_and_keeps_its_columns(self):
        first, second = self.rows(grad())
        assert (first["before.mean"], first["grad.mean"]) == ("", "0.5")
        assert (second["before.mean"], second["grad.mean"], second["values"]) == ("0.5", "", "")
        constant, kept = self.rows(init())
        assert (constant["expected.mean"], constant["expected.std"]) == ("", "0.0")
        assert (kept["expected.std"], kept["rules"]) == ("", "[]")

    def test_control_characters_are_kept_in_csv_and_escaped_in_markdown(self):
        report = listing()
        wild = [report.parameters[0]._replace(name="a\x1b.w")]
        report = ListReport(model="m", parameters=wild, totals=report.totals)
        assert "a\x1b.w" in text(report, OutputFormat.CSV)
        assert "a\\\\x1b.w" in text(report, OutputFormat.MARKDOWN)

    def test_markdown_sets_numbers_to_the_right_and_escapes_bars(self):
        header, rule, row = text(listing(), OutputFormat.MARKDOWN).splitlines()
        assert header.startswith("| name | module |")
        columns = dict(zip(header.split("|"), rule.split("|"), strict=True))
        assert (columns[" name "], columns[" numel "]) == (" --- ", " ---: ")
        assert '["b\\|c.weight"]' in row

    def test_a_report_without_rows_has_its_header(self):
        empty = SharedReport(
            model="m", groups=[], totals=SharedTotals(groups=0, named_numel=0, numel=0, saved_nbytes=0)
        )
        assert text(empty, OutputFormat.CSV) == "names,relation,shape,numel,nbytes,saved_nbytes\n"
        assert len(text(empty, OutputFormat.MARKDOWN).splitlines()) == 2


class TestTable:
    def test_what_all_rows_have_in_common_takes_no_column(self):
        page = text(listing(), OutputFormat.TABLE)
        assert "float32" not in page.splitlines()[0]
        assert page.splitlines()[-1] == "all float32 · all trainable · 1 further name (=) counted once"

    def test_values_are_those_that_torch_prints(self):
        assert "\na.weight\ntensor([[0.1, nan]])\n" in text(listing(values=Values()), OutputFormat.TABLE)

    def test_a_deviation_is_marked_and_explained(self):
        row = init().parameters[1]
        from dataclasses import replace

        off = replace(row, expected=Moments(0.0, 1.0), deviates=True)
        page = text(InitReport(model="m", seed=0, parameters=[off]), OutputFormat.TABLE)
        assert "! 0 ± 1" in page
        assert "1 parameter (!) off by more than five standard errors from what is expected" in page

    def test_a_scheme_that_was_not_defined_is_explained(self):
        assert "1 parameter kept the layer's own values: why" in text(init(), OutputFormat.TABLE)

    def test_missing_gradients_are_explained(self):
        page = text(grad(), OutputFormat.TABLE)
        assert "1 parameter without a gradient: 1 frozen" in page
        assert page.splitlines()[0] == "output [2, 1]   loss inf (the sum)   2 passes"

    def test_no_sharing_is_said_plainly(self):
        empty = SharedReport(
            model="m", groups=[], totals=SharedTotals(groups=0, named_numel=7, numel=7, saved_nbytes=0)
        )
        assert text(empty, OutputFormat.TABLE).startswith("No parameter is shared: 7 elements")

    @pytest.mark.parametrize("make", [listing, init, shared, grad])
    def test_colours_change_no_character(self, make):
        import re

        colored = text(make(), OutputFormat.TABLE, color="standard")
        assert "\x1b[" in colored
        uncolored = re.sub(r"\x1b\[[0-9;]*m", "", colored).splitlines()
        assert [line.rstrip() for line in uncolored] == text(make(), OutputFormat.TABLE).splitlines()

    @pytest.mark.parametrize("make", [listing, init, shared, grad])
    def test_no_line_is_wider_than_80_columns(self, make):
        page = text(make(), OutputFormat.TABLE, width=80)
        assert max(len(line) for line in page.splitlines()) <= 80

    def test_an_empty_listing_is_said_plainly(self):
        totals = ListTotals(tensors=0, numel=0, trainable=0, frozen=0, nbytes=0)
        page = text(ListReport(model="m", parameters=[], totals=totals), OutputFormat.TABLE)
        assert page == "There are no parameters here.\n"
