#!/usr/bin/env python3
"""Sends at a fixed rate by `eth_sendRawTransactionSync`, and then by `eth_sendRawTransaction`, and prints latencies.

A request counts from when it was due, not from when it could be sent: who comes while the server stalls waits, too. The
first kind ends with the receipt, the second when the sealed block that holds the transaction is seen. Every measurement
has a fresh server.
"""

import argparse

import bench_lib as bench

PERCENTILES = ["p50", "p99", "p999", "max"]


def arguments() -> argparse.Namespace:
    parser = bench.parser("Latency of preconfirmation beside inclusion, at a fixed rate.", gas_limit=1_000_000_000)
    parser.add_argument("--rounds", type=bench.positive, default=5, help="measurements of each kind")
    parser.add_argument("--rate", type=bench.positive_float, default=2_000.0, help="transactions a second")
    parser.add_argument("--duration", type=bench.positive_float, default=60.0, help="seconds a measurement")
    parser.add_argument(
        "--connections", type=bench.positive, default=64,
        help="each carries one request at a time, so that they bound how many wait for a receipt at once",
    )
    parser.add_argument("--workload", default="transfers", choices=bench.WORKLOADS)
    return parser.parse_args()


def main() -> None:
    given = arguments()
    bench.build(given, anvil=False)
    seen: dict[str, list[dict[str, str]]] = {"sync": [], "plain": []}
    for _ in range(given.rounds):
        for method, results in seen.items():
            with bench.Server("millrace", given) as server:
                result = bench.drive(
                    server, "--name", f"preconf-{method}", "--workload", given.workload, "--rate", given.rate,
                    "--duration", given.duration, "--connections", given.connections,
                    *(["--sync"] if method == "sync" else []),
                )
            results.append(result)
    about = {"rate": given.rate, "duration_s": given.duration, "rounds": given.rounds, "workload": given.workload}
    for method, results in seen.items():
        figures = {
            f"{kind}_{p}_ms": bench.median(results, f"{kind}_{p}_ms")
            for kind in ("accept", "include") for p in PERCENTILES
        }
        others = {key: bench.median(results, key) for key in ("behind_max_ms", "server_cpu_us_per_tx")}
        print(bench.line({"name": "preconf", "method": method, **about, **figures, **others}))
    # How much longer than a block the slowest in a hundred wait for theirs.
    over = bench.median(seen["plain"], "include_p99_ms") - given.block_time * 1_000
    print(bench.line({"name": "preconf-inclusion", **about, "include_p99_over_block_time_ms": over}))


if __name__ == "__main__":
    main()
