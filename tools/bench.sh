#!/usr/bin/env bash
# Runs one benchmark by name. Each ends in lines `RESULT name=… key=value …`; sizes are set by its arguments.
set -euo pipefail
cd "$(dirname "$0")/.."

names="state-root|kv|executor|mempool|recover|journal|pipeline|batch|rpc-e2e|preconf|soak|restart|reads|submission"

banner() {
    echo "# $(date -u +%F) commit $(git rev-parse --short HEAD) on $(nproc) cores"
}

run() {
    local package=$1 bench=$2
    shift 2
    banner
    exec cargo bench --locked -p "$package" --bench "$bench" -- "$@"
}

# Those that start servers are Python, with what they share in bench_lib.py.
script() {
    local needs=$1
    shift
    tools/install.sh "$needs"
    command -v python3 >/dev/null || { echo "missing: python3" >&2; exit 1; }
    banner
    exec python3 "tools/$name.py" "$@"
}

name=${1:-}
shift || true
case "$name" in
state-root) run millrace-state state_root "$@" ;;
kv) run millrace-state kv "$@" ;;
executor) run millrace-executor executor "$@" ;;
mempool) run millrace-sequencer mempool "$@" ;;
recover) run millrace-sequencer recover "$@" ;;
journal) run millrace-sequencer journal "$@" ;;
pipeline) run millrace-sequencer pipeline "$@" ;;
batch) run millrace-batcher batch "$@" ;;
rpc-e2e | reads) script devnet "$@" ;;
preconf | soak | restart | submission) script build "$@" ;;
*)
    echo "make bench NAME=$names" >&2
    exit 2
    ;;
esac
