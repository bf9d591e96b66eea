# SPDX-License-Identifier: Apache-2.0
"""The two sides of a comparison: `measure(n)` is one turn of n steps, medians in seconds and bytes."""

import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import textwrap
from dataclasses import dataclass, field

import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
GEMM_FLOP = 2 * 1024**3


class Skipped(Exception):
    """This side cannot do it here; why."""


def first_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return textwrap.shorten(lines[0], 160, placeholder=" …") if lines else "no word of why"


@dataclass
class Loom:
    """A pipeline under `loom bench`, which warms up and measures products between its steps itself."""

    name: str
    program: str
    threads: int
    pipeline: pathlib.Path
    keys: dict = field(default_factory=dict)  # instead of what the pipeline says
    part: str = "steps"

    def measure(self, n: int) -> dict:
        words = [self.program, "bench", "--json", "--only", self.part, "--threads", str(self.threads)]
        words += ["--steps", str(n), str(self.pipeline), *(f"{key}={value}" for key, value in self.keys.items())]
        with tempfile.TemporaryFile("w+") as err:
            try:
                process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=err, text=True)
            except OSError as e:
                raise SystemExit(f"{self.program}: {e.strerror}; build it, and name it with --loom") from e
            text = process.stdout.read()
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            err.seek(0)
            if status != 0:
                raise Skipped(first_line(err.read().replace(str(self.pipeline), self.pipeline.name)))
        found = json.loads(text).get("steps" if self.part == "steps" else "stream") or {}
        if not found:
            raise Skipped(f"this loom's bench has no figures for '{self.part}'")
        figures = next(iter(found.values()))
        return (self.step if self.part == "steps" else self.call)(figures) | {"process": usage.ru_maxrss << 10}

    @staticmethod
    def step(s: dict) -> dict:
        return {
            "wall": s["ms"] * 1e-3,
            "cpu": s["cpu_ms"] * 1e-3,
            "gemm_wall": s["sgemm_gflops"],
            "gemm_cpu": s["sgemm_cpu_gflops"],
            "memory": s["peak_bytes"],
            "parameters": s["parameters"],
            "flops": s["flops"],
        }

    @staticmethod
    def call(s: dict) -> dict:
        return {"wall": s["p50_us"] * 1e-6, "late": s["p99_us"] * 1e-6} | (
            {"cpu": s["cpu_us"] * 1e-6} if "cpu_us" in s else {}
        )

    def close(self) -> None:
        pass


@dataclass
class Peer:
    """A PyTorch variant in a process of its own (step.py), which lives as long as its comparison."""

    name: str
    job: dict
    process: subprocess.Popen | None = None
    spec: dict = field(default_factory=dict)

    def start(self) -> None:
        environment = os.environ | {"OMP_NUM_THREADS": str(self.job["threads"])}
        environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        self.err = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            [sys.executable, HERE / "step.py", json.dumps(self.job)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.err, text=True, env=environment,
        )  # fmt: skip
        self.spec = self.answer()

    def answer(self) -> dict:
        line = self.process.stdout.readline()
        if not line:
            self.err.seek(0)
            raise Skipped(first_line("\n".join(reversed(self.err.read().splitlines()))))
        return json.loads(line)

    def ask(self, words: str) -> dict:
        print(words, file=self.process.stdin, flush=True)
        return self.answer()

    def measure(self, n: int) -> dict:
        if not self.process:
            self.start()
        run = self.ask(f"run {n}")
        out = {k: statistics.median(run[k]) for k in ("wall", "cpu")}
        out |= {"late": float(np.quantile(run["wall"], 0.99)), "parameters": self.spec["parameters"]}
        out |= {"memory": run["grown"], "process": run["process"], "torch": self.spec["torch"]}
        gemm = self.ask("gemm 30")
        return out | {f"gemm_{k}": GEMM_FLOP * 1e-9 / statistics.median(gemm[k]) for k in ("wall", "cpu")}

    def close(self) -> None:
        if self.process:
            self.process.stdin.close()
            self.process.wait()
