#!/usr/bin/env python3
"""Drives `millrace dev` and anvil in turn, flat out, and prints medians and their ratios.

Both run on this machine, beside the driver, with blocks of a second and the same gas limit. Every measurement has a fresh
server, and the servers take turns at going first, so that what else the machine does meets both.
"""

import argparse

import bench_lib as bench

# What is reported of each server, and whether anvil's figure is divided by ours rather than ours by anvil's.
FIGURES = {
    "accepted_per_s": False,
    "included_per_s": False,
    "server_cpu_us_per_tx": True,
    "accept_p99_ms": True,
    "include_p99_ms": True,
}


def arguments() -> argparse.Namespace:
    parser = bench.parser("Drives millrace and anvil in turn, flat out.", gas_limit=1_000_000_000)
    parser.add_argument("--rounds", type=bench.positive, default=5, help="measurements of each kind")
    parser.add_argument("--count", type=bench.positive, default=100_000, help="transactions a measurement")
    parser.add_argument("--batches", type=bench.positive, nargs="+", default=[1, 50], help="transactions a request")
    parser.add_argument("--workload", default="transfers", choices=bench.WORKLOADS)
    return parser.parse_args()


def measure(kind: str, batch: int, given: argparse.Namespace) -> dict[str, str]:
    """One fresh server, driven once: the RESULT line's keys and values."""
    with bench.Server(kind, given) as server:
        return bench.drive(
            server, "--name", f"rpc-e2e-{kind}", "--workload", given.workload, "--count", given.count,
            "--batch", batch, "--duration", 600,
        )


def main() -> None:
    given = arguments()
    bench.build(given, anvil=True)
    seen: dict[tuple[str, int], list[dict[str, str]]] = {}
    for turn in range(given.rounds):
        for batch in given.batches:
            servers = ["millrace", "anvil"]
            for server in servers if turn % 2 == 0 else reversed(servers):
                seen.setdefault((server, batch), []).append(measure(server, batch, given))

    for batch in given.batches:
        medians = {
            server: {figure: bench.median(seen[server, batch], figure) for figure in FIGURES}
            for server in ("millrace", "anvil")
        }
        about = {"workload": given.workload, "batch": batch, "rounds": given.rounds}
        for server, figures in medians.items():
            about_server = {"name": "rpc-e2e", "server": server, **about, "transactions": given.count}
            print(bench.line({**about_server, **figures}))
        times = {}
        for figure, inverse in FIGURES.items():
            ours, theirs = medians["millrace"][figure], medians["anvil"][figure]
            better, worse = (theirs, ours) if inverse else (ours, theirs)
            # A short run may use less CPU time than the clock can tell.
            times[f"{figure}_times"] = better / worse if worse else float("nan")
        print(bench.line({"name": "rpc-e2e-ratio", **about, **times}))


if __name__ == "__main__":
    main()
