# SPDX-License-Identifier: Apache-2.0
"""`loom bench` and PyTorch on the same model, in turns on one machine: medians and ratios.

    PYTHON bench/peers/run.py [--quick] [--loom PROGRAM] [--threads N] [--only NAME,…] [--json FILE]

PYTHON is the one of setup.sh's folder. README.md says what is compared.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import re
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field

import numpy as np

import recording
from sides import Loom, Peer, Skipped, first_line

PIPELINES = pathlib.Path(__file__).resolve().parent.parent.parent / "pipelines"
MIB = 1 << 20


@dataclass
class Comparison:
    name: str
    title: str
    rounds: int
    steps: int
    sides: list
    results: dict = field(default_factory=dict)  # of each side, one dict a round
    skipped: dict = field(default_factory=dict)

    def run(self) -> None:
        self.results = {side.name: [] for side in self.sides}
        try:
            for r in range(self.rounds):
                turn = r % len(self.sides)
                for side in self.sides[turn:] + self.sides[:turn]:
                    if side.name in self.skipped:
                        continue
                    print(f"\r{self.name}: round {r + 1} of {self.rounds}, {side.name:<30}", end="", file=sys.stderr)
                    try:
                        self.results[side.name].append(side.measure(self.steps))
                    except Skipped as why:
                        self.skipped[side.name] = str(why)
        finally:
            print("\r" + 78 * " " + "\r", end="", file=sys.stderr)
            for side in self.sides:
                side.close()

    def median(self, side: str, key: str) -> float | None:
        x = [r[key] for r in self.results[side] if key in r]
        return statistics.median(x) if x and side not in self.skipped else None

    def ratio(self, side: str, key: str) -> tuple[float, float, float] | None:
        """Median, smallest and largest of the rounds' ratios to the first side."""
        pairs = zip(self.results[side], self.results[self.sides[0].name], strict=False)
        x = [a[key] / b[key] for a, b in pairs if key in a and key in b]
        return (statistics.median(x), min(x), max(x)) if x and side not in self.skipped else None

    def summary(self) -> dict:
        sides = {}
        for name in self.results:
            keys = sorted({k for r in self.results[name] for k in r if k != "torch"})
            sides[name] = {k: self.median(name, k) for k in keys if name not in self.skipped}
            sides[name] |= {f"{k}_ratio": self.ratio(name, k) for k in ("wall", "cpu", "late", "memory")}
            sides[name]["rounds"] = self.results[name]
        return {"title": self.title, "steps_a_round": self.steps, "sides": sides, "skipped": self.skipped}


# ---- what is compared ----

NUMERICS = {
    "loom float32": {},
    "loom fast": {"stages.pretrain.numerics": "fast"},
    "loom bf16": {"stages.pretrain.numerics": "fast", "stages.pretrain.precision": "bf16"},
}
STEP = "training step, 64 windows of 150 rows, width"


@dataclass
class Setting:
    """What all comparisons share, and each of them as a function."""

    loom: str
    threads: int
    quick: bool
    rounds: int | None
    steps: int | None
    folder: pathlib.Path  # for files of this run

    def compare(self, name: str, title: str, sides: list, quick: tuple, full: tuple) -> Comparison:
        rounds, steps = quick if self.quick else full
        return Comparison(name, title, self.rounds or rounds, self.steps or steps, sides)

    def training(self, name: str, title: str, variants: tuple, full: tuple, *, keys=None, lengths=None, pipeline=None):
        """keys: of the backbone and of model.Shape alike; lengths: bins of the trials, None: all windows are full."""
        keys, pipeline = keys or {}, pipeline or PIPELINES / "bench-ndt2.cfg"
        backbone = {f"backbone.{key}": value for key, value in keys.items()}
        sides = [Loom(label, self.loom, self.threads, pipeline, backbone | more) for label, more in NUMERICS.items()]
        shape = keys | ({"bins": max(lengths)} if lengths else {})
        for variant in variants:
            job = {"work": "train", "variant": variant, "threads": self.threads, "shape": shape, "lengths": lengths}
            sides.append(Peer(f"torch {variant}", job))
        return self.compare(name, title, sides, (1, 3), full)

    def width256(self):
        variants = ("eager", "bf16") if self.quick else ("eager", "compile", "bf16", "bf16 compile")
        return self.training("width256", f"{STEP} 256", variants, (3, 4))

    def width512(self):
        return self.training("width512", f"{STEP} 512", ("eager", "compile", "bf16"), (2, 2), keys={"width": 512})

    def no_weight_dropout(self):
        title, keys = f"{STEP} 256, attention_dropout = 0", {"attention_dropout": 0.0}
        return self.training("no-weight-dropout", title, ("eager", "compile"), (2, 4), keys=keys)

    def ragged(self, distribution: str):
        """The reference pipeline on a recording with trials of these lengths."""
        bins = recording.lengths(distribution)
        file = self.folder / f"{distribution}.mat"
        recording.write(file, bins, 96, 20.0)
        data = (
            f'data: {{ source = "mat"; files = ( "{file}" ); bin_ms = 20.0;\n'
            f'        window = "trial"; window_ms = {20 * max(bins)}.0;\n'
            '        split: { by = "trial"; train = 1.0; valid = 0.0; test = 0.0; }; };'
        )
        text = (PIPELINES / "bench-ndt2.cfg").read_text()
        pipeline = self.folder / f"{distribution}.cfg"
        pipeline.write_text(re.sub(r"^data: \{.*?^\};", lambda _: data, text, flags=re.S | re.M))
        title = f"training step, 64 trials of {min(bins)} to {max(bins)} bins, mean {np.mean(bins):.0f}, times 3 rows"
        name, variants = f"ragged-{distribution}", ("eager", "bf16")
        return self.training(name, title, variants, (3, 3), lengths=bins, pipeline=pipeline)

    def decode(self):
        variants = ("eager", "bf16") if self.quick else ("eager", "compile", "bf16", "bf16 compile")
        sides = [Loom("loom float32", self.loom, self.threads, PIPELINES / "bench-stream-encoder.cfg", part="stream")]
        for variant in variants:
            job = {"work": "decode", "variant": variant, "threads": self.threads, "windows": 1}
            sides.append(Peer(f"torch {variant}", job))
        title = "one decode step: a window of 150 rows, width 256, encoder of 6 blocks"
        return self.compare("decode", title, sides, (1, 300), (3, 500))

    def all(self) -> dict:
        """Name → what makes the comparison."""
        out = {
            "width256": self.width256,
            "ragged-reach": lambda: self.ragged("reach"),
            "ragged-bci": lambda: self.ragged("bci"),
            "decode": self.decode,
        }
        return out | {"no-weight-dropout": self.no_weight_dropout, "width512": self.width512}

    def usual(self) -> list[str]:
        return [name for name in self.all() if not (self.quick and name in ("no-weight-dropout", "width512"))]


# ---- text ----


def number(x: float | None, form: str) -> str:
    return format(x, form) if x is not None else "-"


def times(r: tuple[float, float, float] | None) -> str:
    if not r:
        return "-"
    return f"{r[0]:5.2f}" + (f" ({r[1]:.2f}…{r[2]:.2f})" if r[1] < r[2] else "")


def print_parameters(c: Comparison) -> None:
    counts = {name: c.median(name, "parameters") for name in c.results}
    ours = counts[c.sides[0].name]
    theirs = {int(n) for name, n in counts.items() if n and name.startswith("torch")}
    if ours is None or not theirs:
        return
    if theirs == {int(ours)}:
        print(f"  {int(ours)} parameters on both sides")
    else:
        print(f"  parameters DIFFER: loom {int(ours)}, PyTorch {sorted(theirs)}; the two are not the same model")


def print_table(c: Comparison) -> None:
    """Ratios are to the first line: how many times as long. Product: GFLOP/s of one thread on large matrices."""
    late = c.name == "decode"
    print(f"\n{c.name}: {c.title}; {c.rounds} rounds of {c.steps}")
    print_parameters(c)
    fourth, fifth = ("p99 ms", "ratio") if late else ("product", "share")
    print(f"  {'':<19}{'wall ms':>9}  {'ratio':<18}{'cpu ms':>9}  {'ratio':<18}{fourth:>8}  {fifth:<8}"
          f"{'MiB':>7}{'process':>9}")  # fmt: skip
    flops = c.median(c.sides[0].name, "flops")
    for name in c.results:
        if name in c.skipped:
            print(f"  {name:<19}skipped: {c.skipped[name]}")
            continue
        wall, cpu, gemm = (c.median(name, k) for k in ("wall", "cpu", "gemm_cpu"))
        line = f"  {name:<19}{number(wall and 1e3 * wall, '9.2f'):>9}  {times(c.ratio(name, 'wall')):<18}"
        line += f"{number(cpu and 1e3 * cpu, '9.2f'):>9}  {times(c.ratio(name, 'cpu')):<18}"
        if late:
            p99, ratio = c.median(name, "late"), c.ratio(name, "late")
            line += f"{number(p99 and 1e3 * p99, '8.2f'):>8}  {number(ratio and ratio[0], '.2f'):<8}"
        else:
            share = flops * 1e-9 / cpu / gemm if flops and cpu and gemm else None
            line += f"{number(gemm, '8.1f'):>8}  {number(share, '.0%'):<8}"
        memory, process = c.median(name, "memory"), c.median(name, "process")
        print(line + f"{number(memory and memory / MIB, '7.0f'):>7}{number(process and process / MIB, '9.0f'):>9}")


def machine(args) -> dict:
    cpu = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    version = subprocess.run([args.loom, "--version"], capture_output=True, text=True)
    return {
        "date": datetime.date.today().isoformat(),
        "cpu": cpu[1] if cpu else platform.processor(),
        "processors": os.cpu_count(),
        "threads": args.threads,
        "load": os.getloadavg()[0],
        "system": platform.platform(),
        "python": platform.python_version(),
        "loom": first_line(version.stdout),
        "OMP_WAIT_POLICY": os.environ.get("OMP_WAIT_POLICY", "PASSIVE"),
    }


def words() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="loom bench and PyTorch on the same model, in turns")
    parser.add_argument("--quick", action="store_true", help="one round, less of everything, nothing compiled")
    parser.add_argument("--loom", default="loom", metavar="PROGRAM")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="of both sides")
    parser.add_argument("--only", metavar="NAME,…", help="these comparisons alone")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--steps", type=int, help="of each side in a round")
    parser.add_argument("--json", metavar="FILE", help="everything that was measured")
    return parser


def main() -> None:
    parser = words()
    args = parser.parse_args()
    out = {"machine": machine(args), "comparisons": {}}
    for key, value in out["machine"].items():
        print(f"{key:<16} {value}")
    with tempfile.TemporaryDirectory(prefix="loom-peers-") as name:
        folder = pathlib.Path(name)
        os.environ["LOOM_CACHE"] = str(folder / "cache")
        setting = Setting(args.loom, args.threads, args.quick, args.rounds, args.steps, folder)
        known = setting.all()
        wanted = args.only.split(",") if args.only else setting.usual()
        for unknown in (w for w in wanted if w not in known):
            parser.error(f"--only {unknown}: there are {', '.join(known)}")
        for w in wanted:
            c = known[w]()
            c.run()
            print_table(c)
            sys.stdout.flush()
            out["comparisons"][c.name] = c.summary()
            torch = [r["torch"] for rounds in c.results.values() for r in rounds if "torch" in r]
            out["machine"] |= {"torch": torch[0]} if torch else {}
            if args.json:
                pathlib.Path(args.json).write_text(json.dumps(out, indent=1) + "\n")
    print(f"\nPyTorch {out['machine'].get('torch', 'did not run')}; ", end="")
    print(f"load average {out['machine']['load']:.1f} before, {os.getloadavg()[0]:.1f} after")


main()
