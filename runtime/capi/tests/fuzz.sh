#!/bin/sh
# Random calls of the C library, built with AddressSanitizer, then frames and rings of a hostile node; for about
# FUZZ_SECONDS, with seeds from FUZZ_SEED on. Each seed is said before it runs, so that the last one is the one that failed.
set -eu
cd "$(dirname "$0")/../../.."
: "${FUZZ_SECONDS:=300}" "${FUZZ_SEED:=$(date +%s)}"
host=$(rustc -vV | sed -n 's/^host: //p')
out=target/fuzz

# The sanitizers of the stable compiler are there, but it does not say so. With a target of its own, build scripts and
# macros are built without.
RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Zsanitizer=address" \
    cargo build -p capi --target "$host" --target-dir "$out"
cc -fsanitize=address -std=gnu11 -g -O1 -Iruntime/capi/include runtime/capi/tests/c/fuzz.c runtime/capi/tests/c/check.c \
    "$out/$host/debug/libcapi.a" -lpthread -ldl -lm -lrt -lutil -o "$out/fuzz"

dir=$(mktemp -d /dev/shm/mcapi-fuzz-XXXXXX)
trap 'rm -rf "$dir"' EXIT
export UNDERSTUDY_SHM_DIR="$dir/nodes"
end=$(($(date +%s) + FUZZ_SECONDS))
seed=$FUZZ_SEED
while [ "$(date +%s)" -lt "$end" ]; do
    for how in threads processes; do
        echo "fuzz $how $seed 20000"
        "$out/fuzz" "$how" "$seed" 20000
    done
    seed=$((seed + 1))
done
export UNDERSTUDY_FUZZ=$((FUZZ_SECONDS / 2)) UNDERSTUDY_FUZZ_SEED="$FUZZ_SEED"
echo "hostile nodes, $UNDERSTUDY_FUZZ rounds from $UNDERSTUDY_FUZZ_SEED"
cargo test -p runtime-core -p runtime-shm hostile
