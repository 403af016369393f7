"""Runs the host tests on every further ComfyUI, in a process of its own, because a process can import only one."""

import os
import subprocess
import sys

from hosting import found_hosts, version

if __name__ == "__main__":
    worst = 0
    if len(found_hosts()) < 2:
        print("no second ComfyUI found: host tests ran on one version at most (make host NAME=ComfyUI-0.25 adds one)")
    for host in found_hosts()[1:]:
        print(f"\n== the same host tests on ComfyUI {version(host)}", flush=True)
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-m",
            "host and not one_host and not slow and not e2e",
            "tests",
            *sys.argv[1:],
        ]
        worst = max(worst, subprocess.call(command, env={**os.environ, "COMFYUI_PATH": str(host)}))
    sys.exit(worst)
