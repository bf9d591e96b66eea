#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How fast a large NWB file is read, and in how much memory, beside pynwb and NumPy on the same machine.

    python3 tests/peers/big_nwb.py LOOM [GIGABYTES [FOLDER [ROUNDS]]]

Makes a file of units' spike times and a signal of 64 channels at 1 kHz, half of the bytes each, reads it by both in turn (the
file is in the page cache for all), and removes it. What is measured is everything from the start of the program to its end, of
all its threads and processes. The first `loom data info` reads everything, checks it, and writes the checksummed cache; again it
opens the cache. pynwb reads everything into arrays: spike times of each unit, the signal in pieces. Printed are the medians of
the rounds, and each figure as a multiple of the peer's; processor time is what a busy machine leaves comparable.
"""
import datetime
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

PEER = """
import sys, numpy as np
from pynwb import NWBHDF5IO
with NWBHDF5IO(sys.argv[1], "r") as io:
    nwb = io.read()
    spikes, last = 0, 0.0
    units = nwb.units
    for i in range(len(units)):
        t = units["spike_times"][i]
        spikes += len(t)
        last = max(last, float(np.max(t)))
    data = nwb.acquisition["lfp"].data
    least, most = np.inf, -np.inf
    for i in range(0, data.shape[0], 1 << 16):
        x = np.asarray(data[i : i + (1 << 16)], np.float32)
        least, most = min(least, x.min()), max(most, x.max())
    print(spikes, last, data.shape, least, most)
"""

# What a conversion is: the spikes of all units in one order of time with their units, and the signal beside.
PEER_CONVERT = """
import sys, h5py, numpy as np
from pynwb import NWBHDF5IO
with NWBHDF5IO(sys.argv[1], "r") as io, h5py.File(sys.argv[2], "w") as out:
    nwb = io.read()
    times = [nwb.units["spike_times"][i] for i in range(len(nwb.units))]
    unit = np.repeat(np.arange(len(times)), [len(t) for t in times])
    times = np.concatenate(times)
    order = np.argsort(times, kind="stable")
    out["timestamps"], out["unit_index"] = times[order], unit[order]
    data = nwb.acquisition["lfp"].data
    value = out.create_dataset("value", data.shape, np.float32)
    for i in range(0, data.shape[0], 1 << 16):
        value[i : i + (1 << 16)] = data[i : i + (1 << 16)]
"""


def make(path, gigabytes):
    import numpy as np
    from hdmf.common import VectorData, VectorIndex
    from pynwb import NWBHDF5IO, NWBFile, TimeSeries
    from pynwb.misc import Units

    rng = np.random.default_rng(0)
    half, units = int(gigabytes * 0.5e9), 500
    each, samples = half // 8 // units, half // (64 * 4)
    seconds = samples / 1000
    times = np.sort(rng.uniform(0, seconds, (units, each)), axis=1).reshape(-1)
    data = VectorData(name="spike_times", description="spike times", data=times)
    index = VectorIndex(name="spike_times_index", target=data, data=(np.arange(units, dtype=np.uint64) + 1) * each)
    start = datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)
    nwb = NWBFile(session_description="big", identifier="big", session_start_time=start)
    nwb.units = Units(name="units", description="units", columns=[data, index], colnames=["spike_times"], id=list(range(units)))
    signal = rng.standard_normal((samples // 16 + 1, 64), dtype=np.float32)
    signal = np.concatenate([signal] * 16)[:samples]
    nwb.add_acquisition(TimeSeries(name="lfp", data=signal, unit="V", rate=1000.0, starting_time=0.0))
    with NWBHDF5IO(path, "w") as io:
        io.write(nwb)


def timed(command, **more):
    began, before = time.time(), resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.NamedTemporaryFile("r") as peak:
        subprocess.run(["/usr/bin/env", "python3", "-c", WRAP, peak.name, *command], check=True, stdout=subprocess.DEVNULL, **more)
        kilobytes = int(peak.read())
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.time() - began, cpu, kilobytes / 1024


# The largest process of a command, its helpers included.
WRAP = """
import resource, subprocess, sys
subprocess.run(sys.argv[2:], check=True)
open(sys.argv[1], "w").write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
"""


def main():
    loom, gigabytes = sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 1.0
    rounds = int(sys.argv[4]) if len(sys.argv) > 4 else 5
    with tempfile.TemporaryDirectory(dir=sys.argv[3] if len(sys.argv) > 3 else None) as folder:
        path, cache = f"{folder}/big.nwb", f"{folder}/cache"
        subprocess.run([sys.executable, __file__, "--make", path, str(gigabytes)], check=True)
        size = os.path.getsize(path) / 1e6
        env = dict(os.environ, LOOM_CACHE=cache)
        info = [loom, "data", "info", path]
        convert = [loom, "data", "convert", path, f"{folder}/out.h5"]
        read, written = "pynwb + NumPy", "pynwb + NumPy + h5py, convert"
        runs = (
            (read, read, [sys.executable, "-c", PEER, path], False),
            ("loom data info, first reading", read, info, True),
            ("loom data info, from the cache", read, info, False),
            (written, written, [sys.executable, "-c", PEER_CONVERT, path, f"{folder}/peer.h5"], False),
            ("loom data convert to .h5", written, convert, False),
            ("loom data convert, first reading", written, convert, True),
        )
        rows = {name: [] for name, *_ in runs}
        for _ in range(rounds):
            for name, _, command, first in runs:
                if first:
                    shutil.rmtree(cache, ignore_errors=True)
                rows[name].append(timed(command, env=env))
        median = {name: [statistics.median(column) for column in zip(*row)] for name, row in rows.items()}
        for name, peer, *_ in runs:
            wall, cpu, peak = median[name]
            print(
                f"{name:32} {wall:6.2f} s wall ({wall / median[peer][0]:4.2f}) {cpu:6.2f} s processor"
                f" ({cpu / median[peer][1]:4.2f}) {size / wall:6.0f} MB/s  peak {peak:5.0f} MB"
            )


if sys.argv[1] == "--make":
    make(sys.argv[2], float(sys.argv[3]))
else:
    main()
