#!/usr/bin/env bash
# Runs one benchmark by name. Each ends in lines `RESULT name=… key=value …`; sizes are set by its arguments.
set -euo pipefail
cd "$(dirname "$0")/.."

run() {
    local package=$1 bench=$2
    shift 2
    echo "# $(date -u +%F) commit $(git rev-parse --short HEAD) on $(nproc) cores"
    exec cargo bench --locked -p "$package" --bench "$bench" -- "$@"
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
batch) run millrace-batcher batch "$@" ;;
rpc-e2e)
    tools/install.sh devnet
    echo "# $(date -u +%F) commit $(git rev-parse --short HEAD) on $(nproc) cores"
    exec python3 tools/rpc-e2e.py "$@"
    ;;
*)
    echo "make bench NAME=state-root|kv|executor|mempool|recover|journal|batch|rpc-e2e" >&2
    exit 2
    ;;
esac
