#!/bin/sh
# The C suite and the examples, nodes as threads of one process, under ThreadSanitizer: no two threads may touch a node's
# state without its lock. Memory that nodes share is mapped once for each, which the sanitizer does not see; that is for the
# models of runtime-shm (`make loom`).
set -eu
cd "$(dirname "$0")/../../.."
host=$(rustc -vV | sed -n 's/^host: //p')
out=target/tsan
runtime=$(rustc --print target-libdir)/librustc-stable_rt.tsan.a

# As in fuzz.sh. The standard library is not instrumented, which the compiler wants to be told is known.
RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer" \
    cargo build -p capi --target "$host" --target-dir "$out"

dir=$(mktemp -d /dev/shm/mcapi-tsan-XXXXXX)
trap 'rm -rf "$dir"' EXIT
export UNDERSTUDY_SHM_DIR="$dir/nodes"

# make PROGRAM SOURCE...
make_one() {
    program=$1
    shift
    objects=
    for source in "$@"; do
        object=$dir/$(basename "$source" .c).o
        cc -fsanitize=thread -std=gnu11 -g -O1 -Iruntime/capi/include -c "$source" -o "$object"
        objects="$objects $object"
    done
    # shellcheck disable=SC2086
    c++ $objects "$out/$host/debug/libcapi.a" -Wl,--whole-archive "$runtime" -Wl,--no-whole-archive \
        -Wl,--export-dynamic -lpthread -ldl -lm -lrt -lutil -o "$dir/$program"
}

if ! nm -u "$out/$host/debug/libcapi.a" 2> /dev/null | grep -q __tsan_func_entry; then
    echo "tsan: the library was built without the sanitizer" >&2
    exit 1
fi
tests=runtime/capi/tests/c
# It races with the library on purpose: whoever finds nothing there finds nothing anywhere.
make_one races $tests/races.c $tests/check.c
if "$dir/races" > "$dir/log" 2>&1 || ! grep -q "WARNING: ThreadSanitizer: data race" "$dir/log"; then
    cat "$dir/log"
    echo "tsan: the race of races.c was not seen, so nothing is" >&2
    exit 1
fi
# Not those that fork once they have threads, end processes, or count what is allocated.
for program in endpoints messages packets scalars requests lending closes walks misuse; do
    echo "tsan $program"
    make_one $program $tests/$program.c $tests/check.c
    "$dir/$program" threads
done
make_one ends $tests/ends.c $tests/check.c
for how in atexit thread; do
    echo "tsan ends $how"
    "$dir/ends" $how
done
for program in ping-pong pipeline control-loop; do
    echo "tsan $program"
    make_one $program runtime/capi/examples/$program.c
    "$dir/$program" threads
done
