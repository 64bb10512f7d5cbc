from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

from paramctl.checkpoints.kinds import read_checkpoint
from paramctl.tensors.sharing import stored_digests
from paramctl.tensors.sharing.digests import BLOCK, blocks_of, digest
from paramctl.tensors.sharing.stored_digests import digests_of_stored


def digests(path):
    checkpoint = read_checkpoint(path, path.name)
    spans = checkpoint.spans()
    records = [each._replace(span=spans.get(each.name)) for each in checkpoint.records]
    return digests_of_stored(checkpoint, records)


@pytest.mark.parametrize("numel", [2, BLOCK, 8 * BLOCK, 8 * BLOCK + 5])
@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.bfloat16, torch.int64, torch.bool, torch.complex64, torch.float8_e4m3fn]
)
def test_the_digest_of_a_file_is_that_of_the_loaded_tensor(numel, dtype, tmp_path):
    torch.manual_seed(0)
    tensors = {"a": (torch.randn(3) * 4).to(dtype), "w": (torch.randn(numel) * 4).to(dtype)}
    save_file(tensors, tmp_path / "x.safetensors")
    assert digests(tmp_path / "x.safetensors") == (
        {name: digest(blocks_of(tensor)) for name, tensor in tensors.items()},
        [],
    )


@pytest.mark.parametrize("in_slabs", [2**26, 4000, 40])
@pytest.mark.parametrize("new_form", [True, False])
def test_views_are_hashed_in_logical_order_whatever_fits_in_memory(in_slabs, new_form, tmp_path, monkeypatch):
    monkeypatch.setattr(stored_digests, "_IN_SLABS", in_slabs)
    base = torch.randn(60, 50)
    tensors = {
        "t": base.T,
        "sliced": base[1::7, 3:40:5],
        "rows": base[2:5],
        "cube": base.view(4, 15, 50).permute(2, 0, 1),
        "repeated": base[:, :1].expand(60, 7),
        "one": base[:1, ::3],
    }
    torch.save(tensors, tmp_path / "x.pt", _use_new_zipfile_serialization=new_form)
    found, notes = digests(tmp_path / "x.pt")
    assert found == {name: digest([tensor.contiguous()]) for name, tensor in tensors.items()}
    assert notes == []


def test_a_constant_tensor_has_no_digest(tmp_path):
    save_file({"w": torch.full((9 * BLOCK,), 3.0)}, tmp_path / "x.safetensors")
    assert digests(tmp_path / "x.safetensors") == ({"w": None}, [])


def test_a_few_bytes_that_are_repeated_without_end_are_not_hashed(tmp_path):
    torch.save({"e": torch.rand(3).expand(2**40, 3), "w": torch.rand(2)}, tmp_path / "x.pt")
    found, notes = digests(tmp_path / "x.pt")
    assert found.keys() == {"w"}
    assert notes == ["not compared by value: e: elements are repeated in place to more than 1 GiB"]


def test_views_of_one_storage_are_read_so_often_that_a_small_file_takes_no_hours(tmp_path, monkeypatch):
    monkeypatch.setattr(stored_digests, "_MOST_REPEATED", 2**10)
    base = torch.randn(200)
    torch.save({f"v{i}": base[i : i + 100] for i in range(100)} | {"own": torch.randn(100)}, tmp_path / "x.pt")
    found, notes = digests(tmp_path / "x.pt")
    assert len(found) == 1 + 16 * 2
    assert notes == [
        "not compared by value: v32, v33, v34 and 65 more: with the views before it more than 16 times their storage would be read"
    ]
