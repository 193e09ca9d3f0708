# Everything a newcomer types. `make devnet` runs the chain, `make test` passes the tests; each installs what it needs.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# Extra words for the thing that runs: `make devnet ARGS="--block-time 2s"`.
ARGS ?=

.PHONY: help
help: ## Lists these targets.
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/\1\t\2/' | expand -t 16

.PHONY: devnet
devnet: ## Builds and runs a rollup with its L1 (anvil), contracts, deposits and batches, until Ctrl-C.
	tools/install.sh devnet
	cargo run --release --locked --bin millrace -- devnet --anvil conformance/node_modules/.bin/anvil $(ARGS)

.PHONY: dev
dev: ## Builds and runs a chain without L1, with funded accounts, until Ctrl-C.
	tools/install.sh build
	cargo run --release --locked --bin millrace -- dev $(ARGS)

# Once it is built, the rollup's tests have each chain derived by it, too.
KONA_CHECK := $(CURDIR)/target/kona/debug/kona-check

.PHONY: test
test: ## Runs every test: unit, property, integration, other people's clients.
	tools/install.sh test
	if [ -x "$(KONA_CHECK)" ]; then export MILLRACE_KONA_CHECK="$(KONA_CHECK)"; fi; cargo test --workspace --locked

.PHONY: check
check: ## Format, lints, documentation, licences and crate walls, contract artifacts.
	tools/install.sh check
	cargo fmt --all --check
	python3 tools/deny.py
	cd fuzz/libfuzzer && cargo metadata --locked --format-version 1 >/dev/null
	node contracts/build.mjs --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked

# In this order, since the tests insist on kona-check here.
.PHONY: ci
ci: export MILLRACE_KONA_CHECK := $(KONA_CHECK)
ci: check conformance test ## Exactly what CI runs.
.NOTPARALLEL:

.PHONY: torture
torture: ## Kills a loaded node over and over (ROUNDS=100) and checks that nothing acknowledged is lost.
	tools/install.sh build
	MILLRACE_TORTURE_ROUNDS=$${ROUNDS:-100} cargo test --locked -p millrace-sequencer --test it -- --nocapture torture

.PHONY: differential
differential: ## Compares parallel execution with plain revm on BLOCKS=100000 made-up blocks, from SEED if there is one.
	tools/install.sh build
	MILLRACE_BLOCKS=$${BLOCKS:-100000} MILLRACE_SEED=$${SEED:-$$RANDOM$$RANDOM} \
		cargo test --workspace --locked --test it -- --nocapture differential::

.PHONY: miri
miri: ## Runs the tests of what is unsafe in the executor under miri, which rustup installs.
	rustup component add --toolchain nightly miri rust-src
	MIRIFLAGS=-Zmiri-disable-isolation cargo +nightly miri test --locked -p millrace-executor --lib code_cache

.PHONY: bench
bench: ## Runs one benchmark: NAME=state-root|kv|executor|mempool|recover|journal|pipeline|batch|rpc-e2e|preconf|soak|restart|reads|submission.
	tools/bench.sh "$(NAME)" $(ARGS)

.PHONY: conformance
conformance: ## Builds kona-check, which derives our chain with another implementation, and tests it on anvil.
	tools/install.sh test
	cd conformance/kona && cargo fmt --check
	cd conformance/kona && CARGO_TARGET_DIR=../../target/kona cargo test --locked

.PHONY: contracts
contracts: ## Compiles the Solidity sources into contracts/artifacts.
	tools/install.sh contracts
	node contracts/build.mjs
