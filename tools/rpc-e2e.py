#!/usr/bin/env python3
"""Drives `millrace dev` and anvil in turn, flat out, and prints medians and their ratios.

Both run on this machine, beside the driver, with blocks of a second and the same gas limit. Every measurement has a fresh
server, and the servers take turns at going first, so that what else the machine does meets both.
"""

import argparse
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ANVIL = ROOT / "conformance/node_modules/.bin/anvil"
START_SECS_MAX = 60
# What is reported of each server, and whether anvil's figure is divided by ours rather than ours by anvil's.
FIGURES = {
    "accepted_per_s": False,
    "included_per_s": False,
    "server_cpu_us_per_tx": True,
    "accept_p99_ms": True,
    "include_p99_ms": True,
}


def positive(text: str) -> int:
    if (value := int(text)) < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Drives millrace and anvil in turn.")
    parser.add_argument("--rounds", type=positive, default=5)
    parser.add_argument("--count", type=positive, default=100_000, help="transactions a measurement")
    parser.add_argument("--batches", type=positive, nargs="+", default=[1, 50], help="transactions a request")
    parser.add_argument("--workload", default="transfers", choices=["transfers", "tokens", "swaps", "mixed"])
    parser.add_argument("--gas-limit", type=positive, default=1_000_000_000)
    parser.add_argument("--millrace", type=Path, help="built already")
    parser.add_argument("--driver", type=Path, help="built already")
    return parser.parse_args()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def command(server: str, port: int, data: str, given: argparse.Namespace) -> list[str]:
    """How a server is started: without what it says, which would cost it CPU time."""
    if server == "anvil":
        return [
            str(ANVIL), "--silent", "--hardfork", "prague", "--port", str(port), "--block-time", "1",
            "--balance", "10000000", "--gas-limit", str(given.gas_limit),
        ]
    return [
        str(given.millrace), "dev", "--rpc-addr", f"127.0.0.1:{port}", "--ops-addr", f"127.0.0.1:{free_port()}",
        "--block-time", "1s", "--gas-limit", str(given.gas_limit), "--data-dir", data,
    ]


def wait_for(port: int, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + START_SECS_MAX
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if process.poll() is not None:
                sys.exit(f"{process.args[0]} ended with {process.returncode}")
            if time.monotonic() > deadline:
                sys.exit(f"{process.args[0]} does not listen after {START_SECS_MAX} s")
            time.sleep(0.05)


def measure(server: str, batch: int, given: argparse.Namespace) -> dict[str, str]:
    """One fresh server, driven once: the RESULT line's keys and values."""
    port = free_port()
    with tempfile.TemporaryDirectory() as data:
        process = subprocess.Popen(
            command(server, port, data, given), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            wait_for(port, process)
            driver = subprocess.run(
                [
                    str(given.driver), "--url", f"http://127.0.0.1:{port}", "--name", f"rpc-e2e-{server}",
                    "--workload", given.workload, "--count", str(given.count), "--batch", str(batch),
                    "--server-pid", str(process.pid), "--duration", "600",
                ],
                capture_output=True, text=True,
            )
        finally:
            process.terminate()
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    lines = [line for line in driver.stdout.splitlines() if line.startswith("RESULT ")]
    # What was refused or lost would make a server look fast.
    if driver.returncode != 0 or len(lines) != 1:
        sys.exit(f"{server}: the driver ended with {driver.returncode}\n{driver.stdout}{driver.stderr}")
    print(lines[0], flush=True)
    return dict(pair.split("=", 1) for pair in lines[0].split()[1:])


def main() -> None:
    given = arguments()
    if not ANVIL.exists():
        sys.exit("anvil is missing: tools/install.sh devnet")
    if given.millrace is None or given.driver is None:
        subprocess.run(
            ["cargo", "build", "--release", "--locked", "--bin", "millrace", "--bin", "millrace-load"],
            cwd=ROOT, check=True,
        )
        given.millrace = given.millrace or ROOT / "target/release/millrace"
        given.driver = given.driver or ROOT / "target/release/millrace-load"
    seen: dict[tuple[str, int], list[dict[str, str]]] = {}
    for turn in range(given.rounds):
        for batch in given.batches:
            servers = ["millrace", "anvil"]
            for server in servers if turn % 2 == 0 else reversed(servers):
                seen.setdefault((server, batch), []).append(measure(server, batch, given))

    for batch in given.batches:
        medians = {
            server: {
                figure: statistics.median(float(result[figure]) for result in seen[server, batch])
                for figure in FIGURES
            }
            for server in ("millrace", "anvil")
        }
        for server, figures in medians.items():
            text = " ".join(f"{figure}={value:.1f}" for figure, value in figures.items())
            print(
                f"RESULT name=rpc-e2e server={server} workload={given.workload} batch={batch} "
                f"transactions={given.count} rounds={given.rounds} {text}"
            )
        times = {}
        for figure, inverse in FIGURES.items():
            ours, theirs = medians["millrace"][figure], medians["anvil"][figure]
            better, worse = (theirs, ours) if inverse else (ours, theirs)
            # A short run may use less CPU time than the clock can tell.
            times[figure] = better / worse if worse else float("nan")
        text = " ".join(f"{figure}_times={value:.2f}" for figure, value in times.items())
        print(f"RESULT name=rpc-e2e-ratio workload={given.workload} batch={batch} rounds={given.rounds} {text}")


if __name__ == "__main__":
    main()
