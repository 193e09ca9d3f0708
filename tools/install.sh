#!/usr/bin/env bash
# Installs what a make target needs and does not find, pinned by the lock files beside it, or says plainly what is
# missing. Usage: tools/install.sh build|check|contracts|devnet|test
set -euo pipefail
cd "$(dirname "$0")/.."

missing() {
    echo "missing: $1. Install it ($2) and run the same command again." >&2
    exit 1
}

# Debian packages are installed only where we may; elsewhere the reader is told which.
debian() {
    local package=$1 reason=$2
    if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
        echo "installing $package ($reason)"
        apt-get install -y -qq "$package" >/dev/null 2>&1 ||
            { apt-get update -qq && apt-get install -y -qq "$package" >/dev/null; }
    else
        missing "$package" "$reason; Debian's package of that name will do"
    fi
}

build() {
    command -v cargo >/dev/null || missing "cargo" "Rust's toolchain by rustup; rust-toolchain.toml names the version"
    command -v cc >/dev/null || debian gcc "a C compiler, for libsecp256k1, SQLite and zstd"
}

node_packages() {
    command -v node >/dev/null || debian nodejs "runs the Solidity compiler and the JavaScript clients"
    command -v npm >/dev/null || debian npm "fetches them"
    local folder=$1
    # The lock file that was installed last lies beside the packages, so a second run costs nothing.
    if ! cmp -s "$folder/package-lock.json" "$folder/node_modules/.installed-lock"; then
        echo "installing the npm packages of $folder"
        npm ci --silent --no-audit --no-fund --prefix "$folder"
        cp "$folder/package-lock.json" "$folder/node_modules/.installed-lock"
    fi
}

postgres() {
    compgen -G "/usr/lib/postgresql/*/bin/initdb" >/dev/null || command -v initdb >/dev/null ||
        debian postgresql "a real PostgreSQL, for the journal's tests"
}

case "${1:?build, check, contracts, devnet or test}" in
build) build ;;
contracts) node_packages contracts ;;
devnet)
    build
    node_packages conformance
    ;;
check)
    build
    command -v python3 >/dev/null || debian python3 "runs tools/deny.py"
    node_packages contracts
    ;;
test)
    build
    node_packages contracts
    node_packages conformance
    postgres
    ;;
*) echo "unknown: $1" >&2; exit 2 ;;
esac
