#!/bin/sh
# Installs what the testbed needs and this machine lacks. Nothing to do: says nothing.
set -eu

packages=
need() { command -v "$1" >/dev/null 2>&1 || packages="$packages $2"; }
need qemu-system-x86_64 qemu-system-x86
need setpriv util-linux
need cc gcc
need c++ g++
need pkg-config pkgconf
need dpkg dpkg
# Opens reports in tests.
need chromium chromium

# The guests' kernel is fetched, not installed, but apt must know of it.
lists=
if [ -z "${KERNEL:-}" ] && ! apt-cache show linux-image-cloud-amd64 >/dev/null 2>&1; then
    lists=missing
fi

[ -n "$packages$lists" ] || exit 0

as_root=
if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null 2>&1 || {
        echo "setup: run this as root, or install sudo; needed:${packages:- package lists}" >&2
        exit 1
    }
    as_root=sudo
fi
command -v apt-get >/dev/null 2>&1 || {
    echo "setup: no apt-get here: install by hand:$packages, and give KERNEL=… for the guests" >&2
    exit 1
}
echo "setup: package lists"
$as_root apt-get update -qq
[ -n "$packages" ] || exit 0
echo "setup: installing$packages"
# shellcheck disable=SC2086 -- a list of words
DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq --no-install-recommends $packages
