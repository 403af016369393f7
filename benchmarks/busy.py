"""Slowdown of the demo on a busy machine: `python benchmarks/busy.py [--runs 3]`.

Runs the command with 0 to all cores kept busy by other processes, with the threads and waiting that it chooses, and with
torch's own choice. Prints seconds, and what each load costs as a ratio to the idle machine; its fair share is at most 2.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

CHOICES: dict[str, dict[str, str]] = {
    "torch's own": {"OMP_WAIT_POLICY": "ACTIVE", "OMP_NUM_THREADS": str(os.cpu_count())},
    "chosen": {},
}
COMMAND = [sys.executable, "-m", "zoetrope.cli", "demo", "--prompt", "a red square moving left on black", "--out"]


def seconds(choice: dict[str, str], busy: int) -> float:
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(busy)]
    try:
        with tempfile.TemporaryDirectory() as folder:
            started = time.monotonic()
            subprocess.run([*COMMAND, folder], check=True, capture_output=True, env={**os.environ, **choice})
            return time.monotonic() - started
    finally:
        for other in others:
            other.kill()
            other.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    for name, choice in CHOICES.items():
        took = {
            n: statistics.median(seconds(choice, n) for _ in range(arguments.runs)) for n in range((os.cpu_count() or 1) + 1)
        }
        ratios = {f"{n} busy": round(value / took[0], 2) for n, value in took.items()}
        print(json.dumps({"choice": name, "seconds": {n: round(value, 1) for n, value in took.items()}, "ratios": ratios}))


if __name__ == "__main__":
    main()
