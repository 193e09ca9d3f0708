#!/usr/bin/env python3
"""Counts the instructions that a submission costs the node, by what they are spent on.

`millrace dev` runs under valgrind, which takes fifty times as long and counts exactly, whatever else the machine does. The kernel's
instructions are not among them. Blocks come every ten seconds and the driver looks for them once a second, so that what is done by
the clock does not drown what is done for each transaction.
"""

import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import bench_lib as bench

WARM_UP = 1_000
# The first that matches a function and its file counts. Code of the standard library belongs to the function that it was inlined
# into, which is named with it.
PARTS = [
    ("recovery", r"secp256k1"),
    ("size", r"fastlz"),
    ("keccak", r"keccak|Keccak|KECCAK|sha3"),
    ("allocation", r"mimalloc|\bmi_|_mi_"),
    ("copies", r"mem(cpy|move|set|cmp)"),
    ("http", r"hyper|httparse|http_body|http-1|tower|rpc/src/(plain|server|socket)|millrace_rpc::(plain|server|socket)"),
    ("json", r"serde_json|const.hex|rpc/src|millrace_rpc|memchr"),
    ("decoding", r"alloy.rlp|alloy.consensus|alloy.eips|types/src/transaction|millrace_types::transaction"),
    ("pool", r"mempool|intake"),
    ("index", r"fjall|lsm.tree|skiplist|crossbeam.epoch|byteview|millrace_sequencer::index"),
    ("journal", r"zstd|ZSTD|HUF_|FSE_|sqlx|sqlite|journal"),
    ("state", r"millrace_state|/state/src"),
    ("execution", r"millrace_executor|executor/src|revm|state_diff|waypoint"),
    ("runtime", r"tokio|rayon|crossbeam|parking_lot|mio|pthread|futex"),
]


class Counted(bench.Server):
    """A node whose instructions are counted while that is wanted."""

    def command(self) -> list[str]:
        return [
            "valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={self.profile}", *super().command(),
        ]

    @property
    def profile(self) -> Path:
        return self.data / "callgrind.out"

    def count(self, state: str) -> None:
        command = ["callgrind_control", "-i", state, str(self.process.pid)]
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)

    def parts(self) -> Counter:
        """What was counted, by part, once it has stopped."""
        annotate = ["callgrind_annotate", "--auto=no", "--threshold=100", str(self.profile)]
        listing = subprocess.run(annotate, capture_output=True, text=True, check=True).stdout
        parts = Counter()
        for line in listing.splitlines():
            if found := re.match(r"\s*([\d,]+) \([ \d.]+%\)\s+(\S.*:.*)", line):
                # Without the program's own path, at the end of a line.
                place = re.sub(r"\[[^]]*\]$", "", found[2])
                part = next((part for part, pattern in PARTS if re.search(pattern, place)), "other")
                parts[part] += int(found[1].replace(",", ""))
        return parts


def measure(batch: int, given) -> Counter:
    """Instructions by part, of `given.count` transactions."""
    with Counted("millrace", given) as server:
        drive = lambda count: bench.drive(
            server, "--name", "submission-drive", "--count", count, "--batch", batch, "--duration", 3600, "--drain", 600,
            "--poll-ms", 1000, "--senders", 32, "--seed", 7,
        )
        # Afterwards the senders have money, and whatever is made once is made.
        drive(WARM_UP)
        server.count("on")
        drive(given.count)
        server.count("off")
        server.stop()
        return server.parts()


def main() -> None:
    parser = bench.parser("Counts a submission's instructions.", gas_limit=1_000_000_000)
    parser.set_defaults(block_time=10)
    parser.add_argument("--count", type=bench.positive, default=5_000, help="transactions")
    parser.add_argument("--batches", type=bench.positive, nargs="+", default=[1, 50], help="transactions a request")
    given = parser.parse_args()
    if shutil.which("valgrind") is None:
        sys.exit("missing: valgrind")
    bench.build(given, anvil=False)
    for batch in given.batches:
        parts = measure(batch, given)
        about = {"name": "submission", "batch": batch, "transactions": given.count}
        parts["all"] = parts.total()
        for part, instructions in parts.most_common():
            print(bench.line({**about, "part": part, "instructions_per_tx": instructions // given.count}), flush=True)


main()
