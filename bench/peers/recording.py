# SPDX-License-Identifier: Apache-2.0
"""A recording whose trials are as long as those of a real one, as a MATLAB file that `loom` reads."""

import pathlib
import struct

import numpy as np

UINT8, INT32, DOUBLE = (2, 9), (5, 12), (9, 6)  # types of data and classes of arrays in MATLAB's version 5 format


def lengths(name: str) -> list[int]:
    """Bins of every trial of a distribution in lengths.txt, in a fixed order without meaning."""
    out = []
    for line in pathlib.Path(__file__).with_name("lengths.txt").read_text().splitlines():
        first, *pairs = line.split()
        if first == name:
            for pair in pairs:
                bins, trials = map(int, pair.split(":"))
                out += [bins] * trials
    if not out:
        raise SystemExit(f"lengths.txt has no distribution {name!r}: add one, or name one of those in it")
    return [int(n) for n in np.random.default_rng(0).permutation(out)]


def _element(kind: int, data: bytes) -> bytes:
    return struct.pack("<II", kind, len(data)) + data + bytes(-len(data) % 8)


def _matrix(name: str, x: np.ndarray, kind: tuple[int, int]) -> bytes:
    flags = _element(6, struct.pack("<II", kind[1], 0))
    shape = _element(5, struct.pack("<2i", *x.shape))
    return _element(14, flags + shape + _element(1, name.encode()) + _element(kind[0], x.tobytes(order="F")))


def write(path: pathlib.Path, bins: list[int], units: int, bin_ms: float) -> None:
    """Poisson counts, 0.2 a bin, in trials of `bins`."""
    spikes = np.random.default_rng(1).poisson(0.2, (sum(bins), units)).astype("<u1")
    trial = np.repeat(np.arange(1, len(bins) + 1), bins).astype("<i4")[:, None]
    step = np.concatenate([np.arange(n) for n in bins]).astype("<i4")[:, None]
    head = b"MATLAB 5.0 MAT-file".ljust(116) + bytes(8) + struct.pack("<H", 0x0100) + b"IM"
    path.write_bytes(
        head
        + _matrix("spikes", spikes, UINT8)
        + _matrix("trial", trial, INT32)
        + _matrix("timestep", step, INT32)
        + _matrix("bin_ms", np.full((1, 1), bin_ms, "<f8"), DOUBLE)
    )
