"""What the benchmarks share that start servers: the programs, servers and their ports, the driver and what it says.

A server is started afresh for every measurement, unless a benchmark says otherwise, with what it writes thrown away: that
would cost it CPU time.
"""

import argparse
import contextlib
import http.client
import json
import os
import queue
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ANVIL = ROOT / "conformance/node_modules/.bin/anvil"
WORKLOADS = ["transfers", "tokens", "swaps", "mixed"]
START_SECS_MAX = 120
STOP_SECS_MAX = 60


def positive(text: str) -> int:
    if (value := int(text)) < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def positive_float(text: str) -> float:
    if not (value := float(text)) > 0:
        raise argparse.ArgumentTypeError("must be over 0")
    return value


class Help(argparse.ArgumentDefaultsHelpFormatter):
    """Names the defaults that there are."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return action.help if action.default is None else super()._get_help_string(action)


def parser(description: str, gas_limit: int) -> argparse.ArgumentParser:
    """A command line with what all of them are told."""
    made = argparse.ArgumentParser(description=description, formatter_class=Help)
    made.add_argument("--millrace", type=Path, help="the node, built already")
    made.add_argument("--driver", type=Path, help="millrace-load, built already")
    made.add_argument("--gas-limit", type=positive, default=gas_limit, help="of a block")
    made.add_argument("--block-time", type=positive, default=1, help="seconds")
    return made


def build(given: argparse.Namespace, anvil: bool) -> None:
    """Builds what is not given."""
    if anvil and not ANVIL.exists():
        sys.exit("anvil is missing: tools/install.sh devnet")
    if given.millrace is None or given.driver is None:
        subprocess.run(
            ["cargo", "build", "--release", "--locked", "--bin", "millrace", "--bin", "millrace-load"],
            cwd=ROOT, check=True,
        )
    given.millrace = given.millrace or ROOT / "target/release/millrace"
    given.driver = given.driver or ROOT / "target/release/millrace-load"


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Server:
    """A server of its own folder and port, `millrace` or `anvil`. As a context it is running, and gone afterwards."""

    def __init__(self, kind: str, given: argparse.Namespace, data: Path | None = None):
        self.kind, self.given = kind, given
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen | None = None
        # Only what nobody named is removed.
        self.temporary = tempfile.TemporaryDirectory() if data is None else None
        self.data = data or Path(self.temporary.name)

    def __enter__(self) -> "Server":
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_) -> None:
        self.stop()
        if self.temporary:
            self.temporary.cleanup()

    def command(self) -> list[str]:
        given = self.given
        if self.kind == "anvil":
            return [
                str(ANVIL), "--silent", "--hardfork", "prague", "--port", str(self.port),
                "--block-time", str(given.block_time), "--balance", "10000000", "--gas-limit", str(given.gas_limit),
            ]
        return [
            str(given.millrace), "dev", "--rpc-addr", f"127.0.0.1:{self.port}",
            "--ops-addr", f"127.0.0.1:{free_port()}", "--block-time", f"{given.block_time}s",
            "--gas-limit", str(given.gas_limit), "--data-dir", str(self.data),
        ]

    def start(self) -> float:
        """Starts it, and gives the seconds from then to the first call that it answered."""
        began = time.monotonic()
        self.process = subprocess.Popen(self.command(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while True:
            with contextlib.suppress(OSError, http.client.HTTPException):
                self.height()
                return time.monotonic() - began
            if self.process.poll() is not None:
                sys.exit(f"{self.process.args[0]} ended with {self.process.returncode}")
            if time.monotonic() - began > START_SECS_MAX:
                sys.exit(f"{self.process.args[0]} does not answer after {START_SECS_MAX} s")
            time.sleep(0.002)

    def stop(self) -> float:
        """Stops it as a service manager does, and gives the seconds that it took."""
        began = time.monotonic()
        if self.process:
            self.process.terminate()
            try:
                self.process.wait(timeout=STOP_SECS_MAX)
            except subprocess.TimeoutExpired:
                self.kill()
                sys.exit(f"{self.kind} does not stop within {STOP_SECS_MAX} s")
            self.process = None
        return time.monotonic() - began

    def kill(self) -> None:
        """Ends it as a crash would."""
        self.process.kill()
        self.process.wait()
        self.process = None

    def call(self, method: str, *params):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(connection):
            body = {"jsonrpc": "2.0", "id": 0, "method": method, "params": params}
            connection.request("POST", "/", json.dumps(body), {"content-type": "application/json"})
            return json.loads(connection.getresponse().read())["result"]

    def height(self) -> int:
        return int(self.call("eth_blockNumber"), 16)


class Driver:
    """A run of millrace-load against a server, in the background. As a context it is gone afterwards."""

    def __init__(self, server: Server, *arguments: object):
        command = [str(server.given.driver), *map(str, arguments), "--url", server.url]
        command += ["--server-pid", str(server.process.pid)]
        self.what = f"{server.kind}: the driver"
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1
        )
        self.said: list[str] = []
        # When its last line came.
        self.ended: float | None = None
        # Whatever it writes, at the time it does, so that it never waits for us.
        self.lines: queue.Queue[tuple[float, str] | None] = queue.Queue()
        self.readers = [
            threading.Thread(target=self.read, args=[stream]) for stream in (self.process.stdout, self.process.stderr)
        ]
        self.streams = len(self.readers)
        for reader in self.readers:
            reader.start()

    def read(self, stream) -> None:
        for line in stream:
            self.lines.put((time.monotonic(), line.rstrip("\n")))
        self.lines.put(None)

    def __enter__(self) -> "Driver":
        return self

    def __exit__(self, *_) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for reader in self.readers:
            reader.join()

    def heard(self):
        """Each line that was not heard yet, with when it came, till the end of its output."""
        while self.streams:
            if (said := self.lines.get()) is None:
                self.streams -= 1
            else:
                self.ended = said[0]
                self.said.append(said[1])
                yield said

    def wait_for(self, start: str) -> float:
        """Until a line begins so; when it came."""
        for when, line in self.heard():
            if line.startswith(start):
                return when
        self.process.wait()
        self.fail(f"never said {start!r}")

    def interrupt(self) -> None:
        """Lets it end with what it has."""
        if self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGINT)

    def results(self, may_fail: bool = False) -> list[dict[str, str]]:
        """Its RESULT lines. What was refused or lost would make a server look fast, and ends the benchmark."""
        for _ in self.heard():
            pass
        code = self.process.wait()
        found = [pairs(line) for line in self.said if line.startswith("RESULT ")]
        if not found or (code != 0 and not may_fail):
            self.fail(f"ended with {code}")
        return found

    def intervals(self) -> list[dict[str, str]]:
        return [pairs(line) for line in self.said if line.startswith("INTERVAL ")]

    def fail(self, problem: str) -> None:
        sys.exit("\n".join([f"{self.what} {problem}", *self.said]))


def drive(server: Server, *arguments: object) -> dict[str, str]:
    """One run of the driver, whose RESULT line is printed and given."""
    with Driver(server, *arguments) as driver:
        (result,) = driver.results()
        print(next(text for text in driver.said if text.startswith("RESULT ")), flush=True)
        return result


def pairs(text: str) -> dict[str, str]:
    """What stands in a line `RESULT key=value …`."""
    return dict(pair.split("=", 1) for pair in text.split()[1:])


def line(values: dict[str, object]) -> str:
    """The reverse. Figures are written short: what is below a percent is noise."""
    return "RESULT " + " ".join(
        f"{key}={value:.2f}" if isinstance(value, float) else f"{key}={value}" for key, value in values.items()
    )


def median(results: list[dict[str, str]], figure: str) -> float:
    return statistics.median(float(result[figure]) for result in results)


def peak(given: argparse.Namespace, name: str, count: int, workload: str, batch: int, rounds: int = 1) -> float:
    """What a fresh millrace includes a second when it is driven flat out: the median of the rounds."""
    results = []
    for _ in range(rounds):
        with Server("millrace", given) as server:
            results.append(
                drive(
                    server, "--name", f"{name}-peak", "--workload", workload, "--count", count, "--batch", batch,
                    "--duration", 600,
                )
            )
    return median(results, "included_per_s")
