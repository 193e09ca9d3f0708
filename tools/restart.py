#!/usr/bin/env python3
"""Fills a chain with transactions, and measures how long `millrace dev` takes from its start to its first answer: after a
clean stop, and after kill -9 under load.

The chain is kept where `--folder` says, and filled only as far as it is not yet. The files are in the system's cache, as
they are when a process is restarted and its machine is not.
"""

import argparse
import contextlib
import sys
import tempfile
import time
from pathlib import Path

import bench_lib as bench

# A chain under load makes blocks all the time; one that makes none for so long will not make any.
BLOCKS_SECS_MAX = 60


def arguments() -> argparse.Namespace:
    parser = bench.parser("Time from the start of a process to its first answer.", gas_limit=1_000_000_000)
    parser.add_argument("--transactions", type=bench.positive, default=5_000_000, help="the chain holds at least")
    parser.add_argument("--folder", type=Path, help="keeps the chain, and goes on with the one that is there")
    parser.add_argument("--rounds", type=bench.positive, default=5, help="restarts of each kind")
    parser.add_argument("--chunk", type=bench.positive, default=500_000, help="transactions signed ahead at once")
    parser.add_argument("--blocks", type=bench.positive, default=5, help="made under load before the process is killed")
    parser.add_argument("--batch", type=bench.positive, default=50, help="transactions a request")
    parser.add_argument("--workload", default="transfers", choices=bench.WORKLOADS)
    return parser.parse_args()


def load(given: argparse.Namespace, count: int) -> list[object]:
    """The driver's arguments."""
    return ["--workload", given.workload, "--count", count, "--batch", given.batch, "--duration", 600]


def fill(given: argparse.Namespace, server: bench.Server, note: Path) -> int:
    """Adds what is missing, and gives how many transactions there are. The note beside the chain says how many were sent."""
    there = int(note.read_text()) if note.exists() else 0
    while there < given.transactions:
        count = min(given.chunk, given.transactions - there)
        bench.drive(server, "--name", "restart-fill", *load(given, count))
        there += count
        note.write_text(str(there))
    return there


def kill_under_load(given: argparse.Namespace, server: bench.Server) -> int:
    """Kills it while it makes blocks of transactions, and gives the height that it had last answered with."""
    with bench.Driver(server, "--name", "restart-load", *load(given, given.chunk)) as driver:
        driver.wait_for("sending")
        began, height = time.monotonic(), server.height()
        until = height + given.blocks
        while height < until:
            if time.monotonic() - began > BLOCKS_SECS_MAX:
                sys.exit(f"no {given.blocks} blocks were made within {BLOCKS_SECS_MAX} s")
            time.sleep(0.01)
            height = server.height()
        server.kill()
        return height


def main() -> None:
    given = arguments()
    bench.build(given, anvil=False)
    with contextlib.ExitStack() as stack:
        folder = given.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        server = stack.enter_context(bench.Server("millrace", given, folder / "chain"))
        there = fill(given, server, folder / "transactions")
        seen: dict[str, list[dict[str, float]]] = {"stop": [], "kill": []}
        for _ in range(given.rounds):
            for after, results in seen.items():
                if after == "stop":
                    height = server.height()
                    stop_s = server.stop()
                else:
                    height = kill_under_load(given, server)
                    stop_s = 0.0
                serving_s = server.start()
                # What it had shown before is there again at once, or it isn't serving yet.
                if (again := server.height()) < height:
                    sys.exit(f"after a {after} it answers with height {again}, and had answered with {height}")
                result = {"serving_s": serving_s, "stop_s": stop_s}
                print(bench.line({"name": "restart-one", "after": after, "height": height, **result}), flush=True)
                results.append(result)
        for after, results in seen.items():
            figures = {figure: bench.median(results, figure) for figure in ("serving_s", "stop_s")}
            slowest = max(result["serving_s"] for result in results)
            print(bench.line({
                "name": "restart", "after": after, "transactions": there, "workload": given.workload,
                "rounds": given.rounds, **figures, "serving_max_s": slowest,
            }))


if __name__ == "__main__":
    main()
