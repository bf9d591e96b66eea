# SPDX-License-Identifier: Apache-2.0
"""Times one PyTorch variant, on command. run.py starts it; by hand:

    echo 'run 5' | python step.py '{"work": "train", "variant": "eager", "threads": 2}'

First a line about the process, then for each line of input one line of JSON: `run N` times N steps, `gemm N` N products
of 1024 x 1024 matrices in float32. Times are seconds of each, wall and processor (all threads).
"""

import contextlib
import json
import os
import resource
import sys
import time

JOB = {"work": "train", "variant": "eager", "threads": 2, "shape": {}, "windows": 64, "lengths": None, "seed": 1}
JOB |= json.loads(sys.argv[1])
os.environ["OMP_NUM_THREADS"] = str(JOB["threads"])

import numpy as np  # noqa: E402  (threads are set before the libraries start)
import torch  # noqa: E402

from model import NDT2, Shape, optimizer  # noqa: E402

PREPARED = 8  # batches made beforehand, used in turn
WARM_UP = 3  # before the first timed call, one before each later one


def memory(what: str) -> int:
    """Bytes resident now (VmRSS) or at most (VmHWM)."""
    with open("/proc/self/status") as f:
        return next(int(line.split()[1]) << 10 for line in f if line.startswith(what))


def forget_peak() -> None:
    """Let VmHWM begin anew, so that it leaves out what compilation took."""
    with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w") as f:
        f.write("5")


def batch(shape: Shape, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Counts of a batch, padded to its longest window, and lengths in rows; None where all are full."""
    windows, lengths = JOB["windows"], JOB["lengths"]
    bins = rng.choice(lengths, windows, replace=False) if lengths else np.full(windows, shape.bins)
    rows = bins * shape.patches
    counts = rng.poisson(0.2, (windows, rows.max(), shape.patch_units))
    counts[np.arange(rows.max()) >= rows[:, None]] = 0
    return torch.from_numpy(counts), torch.from_numpy(rows) if lengths else None


def training(shape: Shape, autocast):
    model = NDT2(shape).train()
    rule = optimizer(model)
    rng = np.random.default_rng(JOB["seed"])
    batches = [batch(shape, rng) for _ in range(PREPARED)]
    forward = torch.compile(model, dynamic=JOB["lengths"] is not None) if "compile" in JOB["variant"] else model
    steps = 0

    def step() -> torch.Tensor:
        nonlocal steps
        counts, length = batches[steps % PREPARED]
        steps += 1
        with autocast:
            loss = forward(counts, length)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0, foreach=True)
        rule.step()
        rule.zero_grad(set_to_none=True)
        return loss

    return model, step


def decoding(shape: Shape, autocast):
    model = NDT2(shape).eval()
    counts, _ = batch(shape, np.random.default_rng(JOB["seed"]))
    decode = torch.compile(model.decode) if "compile" in JOB["variant"] else model.decode
    autocast.__enter__()  # for good, so that cast weights are kept from call to call

    def step() -> torch.Tensor:
        with torch.inference_mode():
            return decode(counts)

    return model, step


def timed(f, n: int) -> tuple[dict, object]:
    wall, cpu, result = [], [], None
    for _ in range(n):
        began, used = time.perf_counter(), time.process_time()
        result = f()
        wall.append(time.perf_counter() - began)
        cpu.append(time.process_time() - used)
    return {"wall": wall, "cpu": cpu}, result


def main() -> None:
    torch.set_num_threads(JOB["threads"])
    torch.manual_seed(JOB["seed"])
    imported = memory("VmRSS")
    bf16 = torch.autocast("cpu", torch.bfloat16, enabled="bf16" in JOB["variant"])
    model, step = (training if JOB["work"] == "train" else decoding)(Shape(**JOB["shape"]), bf16)
    begun = memory("VmRSS")
    left, right = torch.randn(1024, 1024), torch.randn(1024, 1024)
    parameters = sum(p.numel() for p in model.parameters())
    spec = {"torch": torch.__version__, "numpy": np.__version__, "parameters": parameters, "imported": imported}
    print(json.dumps(spec), flush=True)
    met = set()
    for line in sys.stdin:
        what, n = line.split()
        f = (lambda: left @ right) if what == "gemm" else step
        timed(f, 1 if what in met else WARM_UP)
        met.add(what)
        if what == "run":
            forget_peak()
        out, result = timed(f, int(n))
        if what == "run":
            assert torch.isfinite(result).all(), "the model diverged: its times mean nothing"
            out |= {"result": result.detach().float().mean().item()}
            out |= {"peak": memory("VmHWM"), "grown": memory("VmHWM") - begun}
        print(json.dumps(out | {"process": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10}), flush=True)


main()
