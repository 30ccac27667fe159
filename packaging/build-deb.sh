#!/usr/bin/env bash
# Builds the Debian package. Prints its path; packaging/README.md says what it needs.
#
#   packaging/build-deb.sh             builds both programs, and packs them
#   packaging/build-deb.sh --no-build  packs what is in target/release
#
# More arguments are handed to cargo-deb.
set -euo pipefail
cd "$(dirname "$0")/.."

VERSION=3.6.3

command -v cargo >/dev/null || { echo "packaging/build-deb.sh: cargo is missing; install Rust 1.95 or newer" >&2; exit 1; }
command -v dpkg-shlibdeps >/dev/null || { echo "packaging/build-deb.sh: apt install dpkg-dev" >&2; exit 1; }
if [ "$(cargo deb --version 2>/dev/null)" != "cargo-deb $VERSION" ]; then
    cargo install --locked "cargo-deb@$VERSION" >&2
fi

umask 022
cargo deb --locked "$@"
