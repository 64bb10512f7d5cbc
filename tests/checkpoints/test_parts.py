from __future__ import annotations

from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from paramctl.checkpoints.parts import overlap


@st.composite
def boxes(draw):
    dimensions = draw(st.integers(1, 3))
    sizes = st.tuples(*[st.integers(0, 3)] * dimensions)
    return draw(st.lists(st.tuples(st.tuples(*[st.integers(0, 5)] * dimensions), sizes), max_size=6))


@given(boxes())
def test_parts_overlap_where_an_element_is_in_two(parts):
    elements = [
        element
        for at, sizes in parts
        for element in product(*(range(a, a + size) for a, size in zip(at, sizes, strict=True)))
    ]
    assert overlap(parts) == (len(set(elements)) < len(elements))


def test_a_mesh_of_any_size_is_told():
    mesh = [((4 * i, 3 * j), (4, 3)) for i in range(200) for j in range(200)]
    assert not overlap(mesh)
    assert overlap([*mesh, ((401, 301), (1, 1))])


def test_parts_that_no_cut_goes_between_are_compared():
    pinwheel = [((0, 0), (1, 2)), ((0, 2), (2, 1)), ((2, 1), (1, 2)), ((1, 0), (2, 1)), ((1, 1), (1, 1))]
    assert not overlap(pinwheel)
    assert overlap([*pinwheel[:-1], ((1, 1), (1, 2))])


def test_a_scalar_has_one_part():
    assert not overlap([((), ())])
    assert overlap([((), ()), ((), ())])
