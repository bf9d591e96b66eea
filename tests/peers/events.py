#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Read a run's events by the tensorboard package and hold them to its log.jsonl and metrics.json:

    python3 tests/peers/events.py RUN

Needs tensorboard; without it it says so and ends with 77 (skipped).
"""
import json
import os
import sys

try:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
except ImportError as missing:
    print(f"no tensorboard: {missing}")
    sys.exit(77)


def near(a, b):
    return abs(a - b) <= 1e-6 * max(abs(a), abs(b), 1e-30)


run = sys.argv[1]
seen = EventAccumulator(run, size_guidance={"scalars": 0, "tensors": 0})
seen.Reload()
tags = set(seen.Tags()["scalars"])
due = {}
with open(os.path.join(run, "log.jsonl"), encoding="utf-8") as log:
    for line in log:
        said = json.loads(line)
        if said["event"] == "step":
            due.setdefault(said["stage"] + "/loss", []).append((said["step"], said["loss"]))
            due.setdefault(said["stage"] + "/lr", []).append((said["step"], said["lr"]))
            for name, value in said["terms"].items():
                due.setdefault(f"{said['stage']}/terms/{name}", []).append((said["step"], value))
with open(os.path.join(run, "metrics.json"), encoding="utf-8") as file:
    for stage, splits in json.load(file).items():
        for split, metrics in splits.items():
            for metric, value in metrics.items():
                if isinstance(value, dict) and isinstance(value.get("mean"), (int, float)):
                    due[f"{stage}/{split}/{metric}"] = [(0, value["mean"])]
assert len(due) > 5, "nothing to compare"
for tag, points in due.items():
    assert tag in tags, f"{tag} is not there"
    events = [(event.step, event.value) for event in seen.Scalars(tag)]
    assert [step for step, _ in events] == [step for step, _ in points], f"{tag}: steps {events} for {points}"
    assert all(near(a[1], b[1]) for a, b in zip(events, points)), f"{tag}: {events} for {points}"
print(f"{len(due)} tags, {sum(map(len, due.values()))} points")
