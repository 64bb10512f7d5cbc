from __future__ import annotations

from threading import Event, Thread

import torch

from paramctl.tensors.threads import one_thread


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
