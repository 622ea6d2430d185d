# One line a target; what there is to know about each stands in README.md.

CARGO      ?= cargo
TOPOLOGY   ?= topology/examples/failover.yaml
BACKEND    ?= qemu
UNDERSTUDY := target/debug/understudy
export UNDERSTUDY_NODE := $(CURDIR)/target/node/x86_64-unknown-linux-gnu/node/guest-linux
BAREMETAL  := x86_64-unknown-linux-gnu/bare-metal/guest-baremetal
FOOTPRINT  := $(CARGO) build --config runtime/baremetal/image.toml --profile bare-metal -p guest-baremetal --no-default-features
export UNDERSTUDY_BAREMETAL := $(CURDIR)/target/bare-metal/$(BAREMETAL)

.PHONY: aarch64 node-aarch64 install install-built uninstall cluster-up cluster-down test check lint unit loom fuzz tsan system build images node footprint harness setup mcapi-speed sim sim-exhaustive soak soak-process kills validate bench clean

# Boot the topology, run its workload with its faults, judge; the cluster stays up.
cluster-up: build
	$(UNDERSTUDY) up $(TOPOLOGY) --backend $(BACKEND) --replace
	$(UNDERSTUDY) run

# Take it down again.
cluster-down: harness
	$(UNDERSTUDY) down

# Everything: lints, unit and simulator tests, processes, QEMU guests.
test: lint unit loom system

# What a change must pass before it is looked at: lints, and all tests but the whole-system ones.
check: lint unit

# Formatting, clippy and documentation, warnings denied.
lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --document-private-items --quiet

# Unit tests, and the simulator's: seeds, crashes at every step.
unit: setup
	$(CARGO) test --workspace --exclude tests

# All ways in which the two sides of a ring, and whoever sleeps and whoever wakes, can meet.
loom:
	RUSTFLAGS="--cfg loom" LOOM_MAX_PREEMPTIONS=3 $(CARGO) test -p runtime-shm --lib --target-dir target/loom

# Random calls of the C library under AddressSanitizer, and hostile nodes; FUZZ_SECONDS and FUZZ_SEED.
fuzz:
	runtime/capi/tests/fuzz.sh

# The C suite, nodes as threads, under ThreadSanitizer.
tsan:
	runtime/capi/tests/tsan.sh

# Whole systems: processes, then QEMU guests.
system: build
	$(CARGO) test -p tests -- --test-threads=1 --nocapture

# The harness, the node program and the tools that QEMU guests need.
build: setup harness node

# With the C library, for `understudy cc`.
harness:
	$(CARGO) build -p harness -p capi

# The node programs, static and not position-independent: for Linux (runtime/linux/node.toml), and for guests
# without an operating system (runtime/baremetal/image.toml).
node:
	$(CARGO) build --config runtime/linux/node.toml --profile node -p guest-linux
	$(CARGO) build --config runtime/baremetal/image.toml --profile bare-metal -p guest-baremetal

# The node program of aarch64 guests, and their kernel, from Debian's packages; a line says so where they cannot be had.
node-aarch64:
	./images/aarch64.sh

# Guests with an aarch64 processor. Not part of `test`: their compiler is fetched, and takes minutes.
aarch64: build node-aarch64
	$(CARGO) test -p tests -- --test-threads=1 --nocapture aarch64::

# Kernel and initramfs of Linux guests, with a manifest of hashes.
images: setup node
	$(CARGO) run -p images -- build --node $(UNDERSTUDY_NODE) --out target/understudy/images --cache target/understudy/cache

# How large a bare-metal image is, without test suites: the whole, and without the shared memory.
footprint:
	$(FOOTPRINT) --target-dir target/footprint/whole --features node
	$(FOOTPRINT) --target-dir target/footprint/link
	$(CARGO) run -p images -- footprint $(foreach which,whole link,target/footprint/$(which)/$(BAREMETAL))

# The C library, its headers and its pkg-config file, below PREFIX; `install-built` takes what MCAPI_BUILT holds already.
PREFIX        ?= /usr/local
MCAPI_VERSION := 2.15
MCAPI_HEADERS := mcapi.h mca.h mcapi_impl_spec.h mca_config.h
MCAPI_BUILT   ?= $(or $(CARGO_TARGET_DIR),target)/release
MCAPI_LIB      = $(DESTDIR)$(PREFIX)/lib
install:
	$(CARGO) build --release -p capi
	$(MAKE) install-built

install-built:
	install -d $(DESTDIR)$(PREFIX)/include $(MCAPI_LIB)/pkgconfig
	install -m 644 $(addprefix runtime/capi/include/,$(MCAPI_HEADERS)) $(DESTDIR)$(PREFIX)/include
	install -m 644 $(MCAPI_BUILT)/libcapi.a $(MCAPI_LIB)/libmcapi.a
	install -m 755 $(MCAPI_BUILT)/libcapi.so $(MCAPI_LIB)/libmcapi.so.$(MCAPI_VERSION)
	ln -sf libmcapi.so.$(MCAPI_VERSION) $(MCAPI_LIB)/libmcapi.so.2
	ln -sf libmcapi.so.2 $(MCAPI_LIB)/libmcapi.so
	sed 's|@PREFIX@|$(PREFIX)|; s|@VERSION@|$(MCAPI_VERSION)|' runtime/capi/mcapi.pc.in > $(MCAPI_LIB)/pkgconfig/mcapi.pc

uninstall:
	rm -f $(addprefix $(DESTDIR)$(PREFIX)/include/,$(MCAPI_HEADERS)) $(MCAPI_LIB)/pkgconfig/mcapi.pc
	rm -f $(addprefix $(MCAPI_LIB)/libmcapi,.a .so .so.2 .so.$(MCAPI_VERSION))

# Install what is missing (root or sudo).
setup:
	./images/setup.sh

# A thousand random runs of the core, with crashes; `make sim-exhaustive` crashes every node at every step, and then
# another one wherever it left a trace (three quarters of an hour); `make soak` lets anything happen until a promise breaks.
sim: harness
	$(UNDERSTUDY) sim

sim-exhaustive: harness
	$(UNDERSTUDY) sim --exhaustive --pairs

soak: harness
	$(UNDERSTUDY) sim --soak --seed $$(date +%s)

# Processes with heartbeats of 10 ms while every processor is busy, for MINUTES: nobody may be taken for dead.
MINUTES ?= 60
soak-process: harness node
	$(UNDERSTUDY) bench --only soak --minutes $(MINUTES)

# Kills on QEMU by the dozen, each judged bit by bit; stops at the first that fails.
kills: build
	$(UNDERSTUDY) test topology/examples/failover.yaml --repeat 12

validate: harness
	$(UNDERSTUDY) validate topology/examples/*.yaml

# The program that measures MCAPI over shared memory, beside message queues, sockets and bare memory.
mcapi-speed:
	$(CARGO) build --release -p capi
	$(CC) -O2 -std=gnu11 -Wall -Wextra -o target/release/$@ runtime/capi/bench/*.c -I runtime/capi/include \
		target/release/libcapi.a -lpthread -ldl -lm -lrt

# What messages cost over shared memory, sockets, TCP and Ethernet, with Linux and without; what many guests cost.
bench: build footprint mcapi-speed
	$(UNDERSTUDY) bench

clean: cluster-down
	$(CARGO) clean
