#!/usr/bin/env python3
"""Drives one `millrace dev` for minutes at a share of its peak, and says how it went: a line each ten seconds, and at the
end the first third beside the last.

Everything is signed ahead, which takes some 600 bytes of memory a transaction, and half a minute a million.
"""

import argparse
import statistics
import sys

import bench_lib as bench


def arguments() -> argparse.Namespace:
    # Six times what the load uses at most: a base fee that rises for minutes would pass what transactions offer.
    parser = bench.parser("Minutes at a share of the peak.", gas_limit=10_000_000_000)
    parser.add_argument("--minutes", type=bench.positive_float, default=10.0)
    parser.add_argument("--share", type=bench.positive_float, default=0.7, help="of the peak")
    parser.add_argument("--peak", type=bench.positive_float, help="transactions a second; measured first if not given")
    parser.add_argument("--peak-count", type=bench.positive, default=300_000, help="transactions to measure it with")
    parser.add_argument("--workload", default="mixed", choices=bench.WORKLOADS)
    parser.add_argument("--batch", type=bench.positive, default=1, help="transactions a request")
    parser.add_argument("--every", type=bench.positive_float, default=10.0, help="seconds between lines")
    return parser.parse_args()


def third(intervals: list[dict[str, str]]) -> dict[str, float]:
    """What a stretch of the run was like. Memory is what it ends with."""
    return {
        "included_per_s": statistics.mean(float(one["included_per_s"]) for one in intervals),
        "include_p50_ms": bench.median(intervals, "include_p50_ms"),
        "include_p99_ms": bench.median(intervals, "include_p99_ms"),
        "server_rss_mib": float(intervals[-1]["server_rss_mib"]),
    }


def main() -> None:
    given = arguments()
    bench.build(given, anvil=False)
    peak = given.peak or bench.peak(given, "soak", given.peak_count, given.workload, given.batch, rounds=3)
    rate = given.share * peak
    with bench.Server("millrace", given) as server, bench.Driver(
        server, "--name", "soak", "--workload", given.workload, "--rate", f"{rate:.0f}",
        "--duration", given.minutes * 60, "--batch", given.batch, "--every", given.every,
    ) as driver:
        for _, text in driver.heard():
            if text.startswith(("INTERVAL ", "RESULT ")):
                print(text, flush=True)
        # What went wrong is what is looked for here, and is told at the end.
        (result,) = driver.results(may_fail=True)
        failed = driver.process.returncode != 0
    # Stretches without a block have no latencies, and are counted as missed slots.
    intervals = [one for one in driver.intervals() if "include_p99_ms" in one]
    if len(intervals) < 3:
        sys.exit(f"{len(intervals)} intervals are too few for thirds: more --minutes, or a shorter --every")
    size = len(intervals) // 3
    first, last = third(intervals[:size]), third(intervals[-size:])
    kept = ["submitted", "included", "errors", "included_per_s", "include_p99_ms", "blocks", "slots_missed", "late_max_ms"]
    print(bench.line({
        "name": "soak-thirds", "workload": given.workload, "batch": given.batch, "minutes": given.minutes,
        "peak_per_s": peak, "rate_per_s": rate, **{key: result[key] for key in kept},
        **{f"{key}_first": value for key, value in first.items()},
        **{f"{key}_last": value for key, value in last.items()},
        "p99_times": last["include_p99_ms"] / first["include_p99_ms"],
        "rss_times": last["server_rss_mib"] / first["server_rss_mib"],
    }))
    if failed:
        driver.fail("found that something was refused or lost")


if __name__ == "__main__":
    main()
