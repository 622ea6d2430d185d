#!/bin/sh
# Builds the node program of aarch64 guests, and fetches their kernel. Rust comes from Debian's security archive, for it has
# a standard library for both processors: packages are unpacked below the cache and not installed. Where something of
# all this cannot be had, a line says so, and topologies with `arch: aarch64` are skipped by `understudy test`.
set -eu

cache=target/understudy/cache/aarch64
program=target/node-aarch64/aarch64-unknown-linux-gnu/node/guest-linux
mirror=${DEBIAN_MIRROR:-http://deb.debian.org}

skip() {
    # One of an earlier build would be of other sources.
    rm -f "$program"
    echo "aarch64: skipped: $1; \`arch: aarch64\` is refused on QEMU until \`make node-aarch64\` has what it needs"
    exit 0
}

install_missing() {
    packages=
    command -v qemu-system-aarch64 >/dev/null 2>&1 || packages="$packages qemu-system-arm"
    command -v aarch64-linux-gnu-gcc >/dev/null 2>&1 || packages="$packages gcc-aarch64-linux-gnu"
    [ -e /usr/aarch64-linux-gnu/lib/libc.a ] || packages="$packages libc6-dev-arm64-cross"
    # What Debian's rustc needs of the system.
    for library in libedit2 libffi8 libxml2 libz3-4 libzstd1; do
        dpkg -s "$library" >/dev/null 2>&1 || packages="$packages $library"
    done
    [ -n "$packages" ] || return 0
    as_root=
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null 2>&1 || skip "neither root nor sudo to install$packages"
        as_root=sudo
    fi
    echo "aarch64: installing$packages"
    # shellcheck disable=SC2086 -- a list of words
    DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq --no-install-recommends $packages >/dev/null ||
        skip "apt-get could not install$packages"
}

# apt with its lists for arm64 in a folder of its own: the machine itself stays one of amd64 packages.
arm64() {
    tool=$1
    shift
    "$tool" -qq -o Dir="$work/apt" -o Dir::State::status="$work/apt/status" \
        -o APT::Architecture=arm64 -o APT::Architectures=arm64 "$@"
}

# The first package that one depends on whose name begins so.
needs() { "$1" apt-cache depends "$2" 2>/dev/null | sed -n "s/^ *Depends: \($3[^ ]*\)\$/\1/p" | head -n 1; }
here() { "$@"; }

download() { (cd "$work/debs" && "$1" apt-get download "$2" >/dev/null 2>&1) || skip "cannot download Debian's package $2"; }

fetch() {
    [ -x /usr/bin/apt-get ] || skip "no apt-get here"
    . /etc/os-release
    codename=${VERSION_CODENAME:-bookworm}
    mkdir -p "$cache"
    work=$(mktemp -d "$PWD/$cache/new.XXXXXX")
    trap 'rm -rf "$work"' EXIT INT TERM
    mkdir -p "$work/debs" "$work/root" "$work/apt/etc/apt/sources.list.d" "$work/apt/etc/apt/preferences.d" \
        "$work/apt/var/lib/apt/lists/partial" "$work/apt/var/cache/apt/archives/partial"
    : >"$work/apt/status"
    key=/usr/share/keyrings/debian-archive-keyring.gpg
    {
        echo "deb [signed-by=$key] $mirror/debian $codename main"
        echo "deb [signed-by=$key] $mirror/debian $codename-updates main"
        echo "deb [signed-by=$key] $mirror/debian-security $codename-security main"
    } >"$work/apt/etc/apt/sources.list"
    echo "aarch64: fetching a compiler and a kernel"
    arm64 apt-get update >/dev/null 2>&1 || skip "no package lists for arm64 from $mirror"

    kernel=$(needs arm64 linux-image-cloud-arm64 linux-image-)
    library=$(needs here rustc-web libstd-rust-web-dev)
    runtime=$(needs here libstd-rust-web-dev libstd-rust-web-)
    [ -n "$kernel" ] || skip "no package linux-image-cloud-arm64 at $mirror, or no network"
    [ -n "$library" ] && [ -n "$runtime" ] || skip "apt knows no package rustc-web: run \`apt-get update\` as root"
    llvm=$(needs here "$runtime" libllvm)
    for package in rustc-web "$library" "$runtime" ${llvm:+"$llvm"}; do download here "$package"; done
    download arm64 "$library"
    download arm64 "$kernel"
    for archive in "$work"/debs/*.deb; do
        dpkg -x "$archive" "$work/root" || skip "cannot unpack $archive"
    done
    # So called, it finds its own libraries and nobody else does.
    cat >"$work/root/rustc" <<'RUSTC'
#!/bin/sh
root=${0%/*}
LD_LIBRARY_PATH=$root/usr/lib/x86_64-linux-gnu exec "$root/usr/bin/rustc" "$@"
RUSTC
    chmod +x "$work/root/rustc"
    "$work/root/rustc" -vV >/dev/null 2>&1 || skip "Debian's rustc does not run here"
    [ -d "$work/root/usr/lib/rustlib/aarch64-unknown-linux-gnu/lib" ] ||
        skip "Debian's standard library for arm64 is not that of its rustc"
    rm -rf "$cache/root"
    mv "$work/root" "$cache/root"
    rm -rf "$work"
}

[ "$(uname -m)" = x86_64 ] || skip "it is built on x86_64 only"
install_missing
[ -x "$cache/root/rustc" ] || fetch
RUSTC=$PWD/$cache/root/rustc "${CARGO:-cargo}" build --config runtime/linux/node-aarch64.toml --profile node -p guest-linux
