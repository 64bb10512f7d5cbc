from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from paramctl.analysis.listing import ListOptions
from paramctl.checkpoints.kinds import read_checkpoint
from paramctl.errors import ParamctlError
from paramctl.tensors import stored
from paramctl.tensors.statistics import BLOCK, measure
from paramctl.tensors.stored import measurer

ALL = ListOptions(stats=True, values=True)


def measured(path):
    checkpoint = read_checkpoint(path, path.name)
    measure_named = measurer(checkpoint, ALL)
    return {name: measure_named(name) for record in checkpoint.records for name in record.names}


def agree(found, tensors):
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        stats, values = found[name]
        assert torch.equal(values.tensor.nan_to_num(7), tensor.nan_to_num(7)), name
        assert stats == measure(tensor), name


@pytest.mark.parametrize("numel", [0, 1, 100, BLOCK, BLOCK + 1, 9 * BLOCK + 5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int64, torch.bool, torch.float64])
def test_statistics_are_those_of_the_loaded_tensor_to_the_bit(numel, dtype, tmp_path):
    torch.manual_seed(0)
    tensors = {"a": torch.ones(3), "w": (torch.randn(numel) * 4).to(dtype)}
    save_file(tensors, tmp_path / "x.safetensors")
    agree(measured(tmp_path / "x.safetensors"), tensors)


@pytest.mark.parametrize("new_form", [True, False])
def test_views_are_read_through_their_strides(new_form, tmp_path):
    base = torch.randn(300, 500)
    tensors = {"t": base.T, "sliced": base[1::7, 3:400:5], "row": base[2], "last": base[-1, -1]}
    torch.save(tensors, tmp_path / "x.pt", _use_new_zipfile_serialization=new_form)
    found = measured(tmp_path / "x.pt")
    for name, tensor in tensors.items():
        stats, values = found[name]
        assert torch.equal(values.tensor, tensor)
        assert stats.mean == pytest.approx(tensor.mean().item(), abs=1e-6)
        assert stats.norm == pytest.approx(tensor.norm().item(), rel=1e-5)


def test_an_element_that_is_repeated_counts_as_often(tmp_path):
    tensors = {"e": torch.tensor([[1.0, 2.0, 4.0]]).expand(5, 3), "s": torch.tensor(3.0).expand(1000, 1000)}
    torch.save(tensors, tmp_path / "x.pt")
    found = measured(tmp_path / "x.pt")
    for name, tensor in tensors.items():
        stats, values = found[name]
        assert torch.equal(values.tensor, tensor)
        assert (stats.mean, stats.min, stats.max) == pytest.approx(
            (tensor.mean().item(), tensor.min().item(), tensor.max().item())
        )
        assert stats.norm == pytest.approx(tensor.norm().item())


def test_elements_that_overlap_without_end_are_refused(tmp_path):
    torch.save({"w": torch.ones(2000).as_strided((1000, 1000), (1, 1))}, tmp_path / "x.pt")
    checkpoint = read_checkpoint(tmp_path / "x.pt", "x.pt")
    with pytest.raises(ParamctlError, match="elements of w overlap"):
        measurer(checkpoint, ListOptions(stats=True))("w")


def test_what_cannot_be_read_has_no_statistics_and_its_values_are_refused(tmp_path):
    torch.save({"s": torch.eye(3).to_sparse()}, tmp_path / "x.pt")
    checkpoint = read_checkpoint(tmp_path / "x.pt", "x.pt")
    assert measurer(checkpoint, ListOptions(stats=True))("s") == (None, None)
    with pytest.raises(ParamctlError, match="the elements of s cannot be read: it is sparse"):
        measurer(checkpoint, ALL)("s")


def test_a_file_that_shrinks_while_it_is_read_is_told(tmp_path):
    path = tmp_path / "x.safetensors"
    save_file({"w": torch.ones(100)}, path)
    checkpoint = read_checkpoint(path, "x")
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(ParamctlError, match="it has become shorter"):
        measurer(checkpoint, ALL)("w")


def test_a_byte_that_is_no_bool_counts_as_true(tmp_path):
    path = tmp_path / "x.safetensors"
    save_file({"w": torch.tensor([True, False, True])}, path)
    content = path.read_bytes()
    path.write_bytes(content[:-3] + b"\x02\x00\xff")
    assert measurer(read_checkpoint(path, "x"), ALL)("w")[0].mean == pytest.approx(2 / 3)


@given(data=st.data())
def test_any_strided_view_is_read_as_it_is(data, tmp_path_factory):
    """With buffers of a few elements, so that small views are cut as large ones are."""
    sizes = data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=3))
    base = torch.arange(float(torch.Size(sizes).numel())).reshape(sizes)
    view = base.permute(data.draw(st.permutations(range(base.ndim))))
    for dimension in range(view.ndim):
        start = data.draw(st.integers(0, view.shape[dimension] - 1))
        view = view[(slice(None),) * dimension + (slice(start, None, data.draw(st.integers(1, 3))),)]
    path = tmp_path_factory.getbasetemp() / "view.pt"
    torch.save({"v": view}, path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stored, "_CHUNK", 3)
        stats, values = measured(path)["v"]
    assert torch.equal(values.tensor, view)
    assert (stats.mean, stats.min, stats.max) == pytest.approx(
        (view.mean().item(), view.min().item(), view.max().item())
    )
