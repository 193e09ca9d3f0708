#!/usr/bin/env python3
"""Reads flat out from an idle anvil, an idle `millrace dev`, and one that is written to at a share of its peak, and says
what the writes lose by it.

Each server has the same transactions to read about. Every measurement has a fresh server, and the servers take turns at
going first. What writes lose is told by the same rate of writes on the same server: first alone, then while it is read.
"""

import argparse
import sys

import bench_lib as bench

METHODS = ["eth_call", "eth_getBalance", "eth_getLogs", "eth_getTransactionReceipt"]
CASES = ["anvil", "millrace", "millrace-writing"]


def arguments() -> argparse.Namespace:
    parser = bench.parser("Reads from servers that are idle, and from one that is written to.", gas_limit=1_000_000_000)
    parser.add_argument("--rounds", type=bench.positive, default=5, help="measurements of each kind")
    parser.add_argument("--methods", nargs="+", default=METHODS, choices=METHODS)
    parser.add_argument("--duration", type=bench.positive_float, default=10.0, help="seconds a method")
    parser.add_argument("--connections", type=bench.positive, default=16, help="that read")
    parser.add_argument("--transactions", type=bench.positive, default=2_000, help="that are read about")
    parser.add_argument("--share", type=bench.positive_float, default=0.5, help="of the peak, that is written at")
    parser.add_argument("--peak", type=bench.positive_float, help="transactions a second; measured first if not given")
    parser.add_argument("--peak-count", type=bench.positive, default=200_000, help="transactions to measure it with")
    parser.add_argument("--workload", default="transfers", choices=bench.WORKLOADS, help="of the writes")
    parser.add_argument("--batch", type=bench.positive, default=1, help="transactions a request of the writes")
    return parser.parse_args()


def reader(given: argparse.Namespace, server: bench.Server, case: str) -> bench.Driver:
    return bench.Driver(
        server, "reads", "--name", f"reads-{case}", "--connections", given.connections, "--duration", given.duration,
        "--transactions", given.transactions, "--methods", *given.methods,
    )


def read(given: argparse.Namespace, case: str) -> list[dict[str, str]]:
    """An idle server is read from."""
    with bench.Server(case, given) as server, reader(given, server, case) as driver:
        return driver.results()


def included(intervals: list[dict[str, str]], since: float, until: float) -> dict[str, float]:
    """What was included in a stretch of the writes' run, by the intervals that lie in it."""
    within = [one for one in intervals if since < float(one["end_s"]) - 1 and float(one["end_s"]) <= until]
    if len(within) < 2:
        sys.exit("the writes were over before the reads: they could not be set against each other")
    # Stretches in which nothing was included have no latency, and count by what they lack.
    timed = [one for one in within if "include_p99_ms" in one]
    seconds = float(within[-1]["last_block_s"]) - float(within[0]["last_block_s"])
    return {
        "included_per_s": sum(int(one["included"]) for one in within[1:]) / seconds,
        "include_p99_ms": bench.median(timed, "include_p99_ms"),
    }


def read_while_writing(given: argparse.Namespace, rate: float) -> tuple[list[dict[str, str]], list[dict[str, float]]]:
    """What reads found, and what the writes were like alone and beside them."""
    reading_s = given.duration * len(given.methods)
    # Before reads begin, they prepare the chain, which is written to meanwhile: two blocks, and room.
    writing_s = 2 * reading_s + 20 * given.block_time + 30
    with bench.Server("millrace", given) as server, bench.Driver(
        server, "--name", "reads-writes", "--workload", given.workload, "--rate", f"{rate:.0f}",
        "--duration", writing_s, "--batch", given.batch, "--every", 1,
    ) as writer:
        start = writer.wait_for("sending")
        # Alone for as long as they will have company.
        for when, _ in writer.heard():
            if when - start > reading_s + 2:
                break
        with reader(given, server, "millrace-writing") as driver:
            began = driver.wait_for("reading by")
            results = driver.results()
            ended = driver.ended
        writer.interrupt()
        writer.results(may_fail=True)
        intervals = writer.intervals()
        alone = included(intervals, 1, reading_s + 2)
        beside = included(intervals, began - start, ended - start)
        return results, [alone, beside]


def main() -> None:
    given = arguments()
    bench.build(given, anvil=True)
    peak = given.peak or bench.peak(given, "reads", given.peak_count, given.workload, given.batch, rounds=3)
    rate = given.share * peak
    seen: dict[tuple[str, str], list[dict[str, str]]] = {}
    writes: list[list[dict[str, float]]] = []
    for turn in range(given.rounds):
        for case in CASES if turn % 2 == 0 else reversed(CASES):
            if case == "millrace-writing":
                results, both = read_while_writing(given, rate)
                writes.append(both)
            else:
                results = read(given, case)
            for result in results:
                print(bench.line(result), flush=True)
                seen.setdefault((case, result["method"]), []).append(result)
    about = {"connections": given.connections, "rounds": given.rounds}
    for method in given.methods:
        medians = {case: bench.median(seen[case, method], "reads_per_s") for case in CASES}
        p99s = {case: bench.median(seen[case, method], "p99_ms") for case in CASES}
        print(bench.line({
            "name": "reads", "method": method, **about,
            **{f"{case}_per_s": value for case, value in medians.items()},
            **{f"{case}_p99_ms": value for case, value in p99s.items()},
            "idle_times": medians["millrace"] / medians["anvil"],
            "writing_times": medians["millrace-writing"] / medians["anvil"],
        }))
    alone, beside = ([both[place] for both in writes] for place in (0, 1))
    figures = {
        f"{figure}_{which}": bench.median(some, figure)
        for figure in ("included_per_s", "include_p99_ms") for which, some in (("alone", alone), ("beside", beside))
    }
    lost = 100 * (1 - figures["included_per_s_beside"] / figures["included_per_s_alone"])
    print(bench.line({
        "name": "reads-writes", "workload": given.workload, "batch": given.batch, **about, "peak_per_s": peak,
        "rate_per_s": rate, **figures, "lost_percent": lost,
    }))


if __name__ == "__main__":
    main()
