"""Import torch, and write so many bytes of the same memory to a file on all cores."""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch

PIECE = 2**18


def main(path: str, size: int) -> None:
    memory = memoryview(bytearray(torch.arange(PIECE // 4, dtype=torch.int32).view(torch.uint8).tolist()))
    cores = len(os.sched_getaffinity(0))
    with Path(path).open("wb") as file, ThreadPoolExecutor(cores) as pool:
        os.posix_fallocate(file.fileno(), 0, size)
        list(pool.map(lambda offset: os.pwrite(file.fileno(), memory, offset), range(0, size, PIECE)))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
