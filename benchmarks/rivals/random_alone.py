"""Draw so many normal or uniform values on all cores, in memory that is used again, and do nothing with them."""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor

import torch

BLOCK = 2**16


def draw(kind: str, seed: int, count: int) -> None:
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(seed)
    block = torch.empty(BLOCK)
    for _ in range(count // BLOCK):
        if kind == "uniform":
            block.uniform_(generator=generator)
        else:
            block.normal_(generator=generator)


def main(kind: str, count: int) -> None:
    cores = len(os.sched_getaffinity(0))
    with ThreadPoolExecutor(cores) as pool:
        list(pool.map(lambda seed: draw(kind, seed, count // cores), range(cores)))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
