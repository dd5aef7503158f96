# Two commands do everything on a machine with Rust, a C compiler and make:
#   make demo    set up what is missing, build, play the sample events of five platforms
#   make test    set up what is missing, run every test
.PHONY: help demo test lint fuzz bench simulate torture powercut flips relay-torture setup setup-test setup-bench release clean

DEMO_ARGS ?=
BENCH_ARGS ?=
CYCLES ?= 200
FLIPS ?= 10000
FUZZ_SECONDS ?= 60
# These tests wait for a relay most of the time; others take all the processors that there are.
E2E_THREADS ?= $(shell echo $$((2 * $$(getconf _NPROCESSORS_ONLN))))
# Each file is a target.
FUZZ_TARGETS ?= $(filter-out mod mutate,$(basename $(notdir $(wildcard tests/src/fuzz/*.rs))))
TARGET_DIR ?= $(or $(CARGO_TARGET_DIR),target)
FUZZ_DIR ?= $(TARGET_DIR)/fuzz

help:
	@sed -n '2,3s/^# *//p' Makefile
	@echo "make bench   measure beside nginx and a plain proxy (BENCH_ARGS=--quick: two minutes)"
	@echo "make fuzz    every fuzz target for a minute (FUZZ_SECONDS=600, FUZZ_TARGETS='config rows')"
	@echo "make lint    formatting, clippy"
	@echo "make simulate SEEDS=n   the whole relay in simulated time; SEED=s runs one and shows its trace"
	@echo "make torture CYCLES=n SEED=s    kills a relay under load n times, reckons up"
	@echo "make powercut SEEDS=n SEED=s    cuts the power under n stores"
	@echo "make flips FLIPS=n SEED=s       flips n bits in the files of a store"

# The target that plugins are compiled for.
setup:
	@rustup target list --installed 2>/dev/null | grep -qx wasm32-wasip2 \
	  || rustup target add wasm32-wasip2 \
	  || { echo "plugins are compiled for wasm32-wasip2, which is missing; install it with: rustup target add wasm32-wasip2"; exit 1; }

# nginx, the baseline of the benchmark.
setup-bench: setup
	@command -v nginx >/dev/null || [ -x /usr/sbin/nginx ] \
	  || { command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ] \
	       && apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends nginx-light; } \
	  || { echo "the benchmark compares with nginx, which is missing; install it, on Debian with: apt-get install nginx-light"; exit 1; }

# Python, in which what tests the OpenAPI document is written, and plugins; the tests get what that takes
# themselves.
setup-test: setup
	@python3 -c 'import ensurepip, venv' 2>/dev/null \
	  || { command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ] \
	       && apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3 python3-venv; } \
	  || { echo "the OpenAPI document is tested by a program in Python, which is missing; install it, on Debian with: apt-get install python3-venv"; exit 1; }

# FEATURES=javascript: builds plugins in JavaScript and TypeScript, too.
release: setup
	cargo build --release --locked -p relay $(if $(FEATURES),--features $(FEATURES))

# Without the optimisations that a release takes its time for.
demo: setup
	cargo build --profile demo --locked -p relay
	$(TARGET_DIR)/demo/relay demo $(DEMO_ARGS)

# The program that the tests start is built together with them: by itself it would have other
# features of its dependencies, and each of those would be compiled twice. With JavaScript, so
# that there is one build of the relay to test. The end-to-end suite runs by itself, with more threads.
TESTED := --locked --workspace --exclude 'guest-*' --features relay-tests/javascript
SUITES := $(basename $(notdir $(wildcard tests/tests/*)))
test: setup-test
	cargo build $(TESTED) --bin relay --tests
	cargo test $(TESTED) --lib --bins --test plugin
	cargo test $(TESTED) --doc
	RUST_TEST_THREADS=$(E2E_THREADS) cargo test $(TESTED) --test e2e
	cargo test $(TESTED) $(addprefix --test ,$(filter-out e2e,$(SUITES)))

lint: setup
	cargo fmt --all --check
	cargo clippy --locked --workspace --exclude 'guest-*' --all-targets --features relay-tests/javascript -- -D warnings

# What was found to reach new code stays in FUZZ_DIR, so that the next run goes on from there.
fuzz: setup
	RUSTC_WORKSPACE_WRAPPER=$(CURDIR)/tests/fuzz/instrument \
	  cargo build --locked -p relay-tests --bin relay-fuzz --features libfuzzer
	@for target in $(FUZZ_TARGETS); do \
	  echo "---- $$target"; mkdir -p $(FUZZ_DIR)/$$target || exit 1; \
	  FUZZ_TARGET=$$target FUZZ_SEEDS=$(FUZZ_DIR)/$$target $(TARGET_DIR)/debug/relay-fuzz $(FUZZ_DIR)/$$target \
	    -dict=$(FUZZ_DIR)/$$target.words -artifact_prefix=$(FUZZ_DIR)/$$target. -max_total_time=$(FUZZ_SECONDS) \
	    -max_len=65536 -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 -verbosity=0 || exit 1; \
	done

bench: setup-bench release
	cargo build --release --locked -p relay-tests --bin relay-bench
	$(TARGET_DIR)/release/relay-bench $(BENCH_ARGS)

# Builds with the profile of the tests, so after make test it is there already.
simulate: setup
	cargo build --locked -p relay-tests --bin relay-simulate
	$(TARGET_DIR)/debug/relay-simulate $(if $(SEED),--seed $(SEED),--seeds $(or $(SEEDS),2000))

relay-torture: setup
	cargo build --release --locked -p relay -p relay-tests --bin relay --bin relay-torture

torture: relay-torture
	$(TARGET_DIR)/release/relay-torture kill --cycles $(CYCLES) --seed $(or $(SEED),1)

powercut: relay-torture
	$(TARGET_DIR)/release/relay-torture power-cut --seeds $(or $(SEEDS),20000) --seed $(or $(SEED),1)

flips: relay-torture
	$(TARGET_DIR)/release/relay-torture flip --flips $(FLIPS) --seed $(or $(SEED),1)

clean:
	cargo clean
