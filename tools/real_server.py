"""A ComfyUI server in its own folder, and a client that waits for queued graphs."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from archive import pack
from hosting import packages
from templates import workflow
from templates.queued import api_form

ROOT = Path(__file__).parents[1]
ODD_NAME = "My.Zoetrope-main_1.2"
"""Spaces and accents load too, but the host then serves no web files (docs/hosts.md)."""


@dataclass(frozen=True)
class Server:
    url: str
    folder: Path
    log: Path
    process: subprocess.Popen[bytes]

    def get(self, path: str, **query: str) -> bytes:
        target = urllib.parse.quote(path) + (f"?{urllib.parse.urlencode(query)}" if query else "")
        with urllib.request.urlopen(self.url + target, timeout=60) as answer:
            return answer.read()

    def json(self, path: str, **query: str) -> Any:
        return json.loads(self.get(path, **query))

    def post(self, path: str, body: Any) -> tuple[int, Any]:
        """Status and decoded body of the response, also of errors."""
        data = json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"{}")

    def queue(self, graph: dict[str, Any]) -> str:
        status, body = self.post("/prompt", {"prompt": graph})
        assert status == 200, body
        return body["prompt_id"]

    def wait(self, prompt_id: str, seconds: float = 540) -> dict[str, Any]:
        """Polls for the history of a finished prompt (a socket would need a further dependency)."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            assert self.process.poll() is None, f"the server died:\n{self.tail()}"
            if entry := self.json(f"/history/{prompt_id}").get(prompt_id):
                return entry
            time.sleep(0.5)
        raise AssertionError(f"not finished after {seconds} s:\n{self.tail()}")

    def run(self, graph: dict[str, Any], seconds: float = 540) -> dict[str, Any]:
        return self.wait(self.queue(graph), seconds)

    def workflow(self, name: str, **changes: dict[str, Any]) -> dict[str, Any]:
        """A shipped workflow as the frontend would queue it; changes: node type -> inputs to replace."""
        graph = api_form(workflow(name), self.json("/object_info"))
        for node in graph.values():
            node["inputs"].update(changes.get(node["class_type"], {}))
        return graph

    @property
    def version(self) -> str:
        return self.json("/system_stats")["system"]["comfyui_version"]

    def tail(self) -> str:
        return self.log.read_text(errors="replace")[-3000:]


def error_of(entry: dict[str, Any]) -> str:
    """Error message of a failed prompt; empty if it succeeded."""
    for kind, data in entry["status"]["messages"]:
        if kind == "execution_error":
            return f"{data['exception_type']}: {data['exception_message']}"
        if kind == "execution_interrupted":
            return "interrupted"
    return ""


@contextmanager
def serve(
    host: Path,
    folder: Path,
    name: str = ODD_NAME,
    change: Callable[[Path], object] = lambda pack: None,
    options: Sequence[str] = (),
) -> Iterator[Server]:
    """Starts `host` on a free port with the pack installed under a name, and stops it afterwards.

    change    applied to the folder of the installed pack before the start
    options   further arguments of the host
    """
    install_pack(folder / "custom_nodes" / name)
    change(folder / "custom_nodes" / name)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable, str(host / "main.py"), "--cpu", "--port", str(port), "--base-directory", str(folder),
        "--disable-auto-launch", "--disable-api-nodes", *options,
    ]  # fmt: skip
    log = folder / "server.log"
    environment = {
        **os.environ,
        "PYTHONUNBUFFERED": "1",
        "PYTHONPATH": str(packages(host)),  # its own frontend
        "OMP_NUM_THREADS": "1",  # the networks are tiny, and a second thread spins where other work wants the core
    }
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=subprocess.STDOUT, cwd=host, env=environment, start_new_session=True
        )
    server = Server(f"http://127.0.0.1:{port}", folder, log, process)
    try:
        _wait_until_ready(server)
        yield server
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def install_pack(target: Path) -> None:
    """Installs the published archive, unpacked."""
    with TemporaryDirectory() as folder, zipfile.ZipFile(pack(Path(folder) / "zoetrope.zip")) as archive:
        archive.extractall(target)


def _wait_until_ready(server: Server, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if server.process.poll() is not None:
            break
        try:
            server.get("/system_stats")
            return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.3)
    raise AssertionError(f"the server did not start:\n{server.tail()}")
