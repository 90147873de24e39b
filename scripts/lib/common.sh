# shellcheck shell=bash
# What the scripts here have in common. Sourced from the root of the tree.

export LC_ALL=C.UTF-8
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target}"
export CARGO_TERM_COLOR="${CARGO_TERM_COLOR:-never}"

# A toolchain installed for the user alone is found as well.
if [ -d "${CARGO_HOME:-$HOME/.cargo}/bin" ]; then
    PATH="$PATH:${CARGO_HOME:-$HOME/.cargo}/bin"
fi

say() { printf '%s\n' "$*"; }

die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# The version of cargo this tree needs, and whether there is one.
rust_needed() { sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml; }

version_at_least() { # FOUND NEEDED
    [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]
}

have_rust() {
    have cargo && have rustc &&
        version_at_least "$(cargo --version | cut -d ' ' -f 2)" "$(rust_needed)"
}

# Builds the library and installs it: install_into PREFIX BUILD_DIR [MESON_OPTION…]
install_into() {
    local prefix=$1 build=$2
    shift 2
    meson setup "$build" --prefix "$prefix" --libdir lib -Dtests=false "$@"
    meson compile -C "$build"
    meson install -C "$build" --quiet
}

# Lets what follows find the library that was installed into a prefix.
use_prefix() {
    export PKG_CONFIG_PATH="$1/lib/pkgconfig"
    export LD_LIBRARY_PATH="$1/lib"
}
