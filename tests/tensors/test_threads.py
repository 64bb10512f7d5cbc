from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event, Thread

import pytest
import torch

from paramctl.tensors.threads import Budget, in_order, one_thread, one_thread_each, share_out


def test_two_callers_at_once_leave_the_number_of_threads_as_it_was():
    before = torch.get_num_threads()
    inside, go_on = Event(), Event()
    after = []

    def first():
        with one_thread():
            inside.set()
            go_on.wait(1)

    def second():
        inside.wait()
        with one_thread():
            assert torch.get_num_threads() == 1
        after.append(torch.get_num_threads())

    try:
        torch.set_num_threads(2)
        threads = [Thread(target=first), Thread(target=second)]
        for thread in threads:
            thread.start()
        inside.wait()
        go_on.set()
        for thread in threads:
            thread.join()
        assert after == [2]
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("in_pool", [False, True])
def test_a_thread_stays_at_one_when_another_sets_the_number_before_its_first_operation(in_pool):
    before = torch.get_num_threads()
    entered, changed = Event(), Event()

    def count_in_pool():
        entered.set()
        changed.wait()
        return torch.get_num_threads()

    def count_alone():
        with one_thread():
            return count_in_pool()

    try:
        with one_thread_each(1) as limited, ThreadPoolExecutor(1) as own:
            counted = limited.submit(count_in_pool) if in_pool else own.submit(count_alone)
            entered.wait()
            torch.set_num_threads(2)
            changed.set()
            assert counted.result() == 1
    finally:
        torch.set_num_threads(before)


def test_torch_works_on_one_thread_in_a_worker_before_and_after_it_asks_for_one():
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)

        def counted(_):
            first = torch.get_num_threads()
            with one_thread():
                inside = torch.get_num_threads()
            return first, inside, torch.get_num_threads()

        with one_thread_each(2) as pool:
            assert set(in_order(pool, counted, range(10))) == {(1, 1, 1)}
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_results_come_in_the_order_of_the_items_and_a_failure_at_its_place():
    def third_fails(item):
        if item == 3:
            raise KeyError(item)
        return item

    with one_thread_each(4) as pool:
        assert list(in_order(pool, lambda item: -item, range(2000))) == [-item for item in range(2000)]
        results = in_order(pool, third_fails, range(2000))
        assert [next(results) for _ in range(3)] == [0, 1, 2]
        with pytest.raises(KeyError):
            next(results)


def test_a_budget_is_never_passed_but_by_one_that_is_alone():
    budget, held, most = Budget(10), [], []

    def hold(nbytes):
        with budget.holding(nbytes):
            held.append(nbytes)
            most.append(list(held))
            time.sleep(0.001)
            held.remove(nbytes)

    with one_thread_each(6) as pool:
        list(in_order(pool, hold, [4, 5, 6, 3, 12, 7, 2, 1, 30, 4, 4, 4] * 5))
    assert all(sum(each) <= 10 or len(each) == 1 for each in most)
    assert max(map(len, most)) > 1


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_what_is_shared_out_comes_back_in_order_and_is_worked_on_by_one_torch_thread_each(workers):
    before = torch.get_num_threads()

    def make_work():
        return lambda number: (number, torch.get_num_threads())

    assert share_out(range(50), workers, make_work) == [(number, 1) for number in range(50)]
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("inference", [False, True])
def test_what_is_shared_out_runs_in_the_inference_mode_of_the_caller(inference):
    both = Barrier(2, timeout=20)

    def make_work():
        return lambda _: (both.wait(), torch.is_inference_mode_enabled())[1]

    with torch.inference_mode(inference):
        assert share_out(range(2), 2, make_work) == [inference, inference]


def test_every_thread_that_shares_has_work_of_its_own():
    both = Barrier(2, timeout=20)

    def make_work():
        mine = object()

        def work(_):
            both.wait()  # neither goes on before the other one has an item, too
            return mine

        return work

    one, other = share_out(range(2), 2, make_work)
    assert one is not other


@pytest.mark.parametrize("workers", [1, 3])
def test_a_failure_of_any_thread_is_raised_and_stops_the_others(workers):
    done = []

    def work(number):
        if number == 3:
            raise KeyError(number)
        time.sleep(0.001)
        done.append(number)

    with pytest.raises(KeyError, match="3"):
        share_out(range(2000), workers, lambda: work)
    assert len(done) < 1000
