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

# Has cargo compile tests as the check and scripts/kernels want them, which share what is built: optimised
# a little, as emulated machines take half the time so, and without what only a debugger reads.
tests_profile() {
    export CARGO_INCREMENTAL=0 CARGO_PROFILE_DEV_DEBUG=line-tables-only \
        CARGO_PROFILE_DEV_OPT_LEVEL=1 CARGO_PROFILE_DEV_LTO=off
}

# Runs a command with what it says in a file. On a terminal the file's last line is shown as long as
# the command runs, behind what this says it is.
logged() { # LOG WHAT COMMAND [ARGUMENT…]
    local log=$1 what=$2 status=0 show='' start=$SECONDS
    shift 2
    if [ -t 1 ]; then
        while sleep 0.5; do
            printf '\r\033[K%s' "$(printf '%s %4d s  %s' "$what" $((SECONDS - start)) \
                "$(tail -n 1 "$log" | tr -d '\r\033')" | cut -c "1-$(($(tput cols 2>/dev/null || echo 80) - 1))")"
        done &
        show=$!
    fi
    "$@" >"$log" 2>&1 </dev/null || status=$?
    if [ -n "$show" ]; then
        kill "$show"
        wait "$show" 2>/dev/null || true
        printf '\r\033[K'
    fi
    return "$status"
}

# The compiler's options for a program that uses the library, in the array FLAGS: directories may
# have spaces in their names.
# shellcheck disable=SC2034 # for those who source this
FLAGS=()
unotify_flags() { # [OPTION…]
    local flags
    flags=$(pkg-config "$@" --cflags --libs unotify) || die "pkg-config does not find unotify"
    eval "FLAGS=($flags)"
}

# Builds the library and installs it: install_into PREFIX BUILD_DIR [MESON_OPTION…]
# Each line ends at the first failure, also where a caller looks at the status.
install_into() {
    local prefix=$1 build=$2
    shift 2
    meson setup "$build" --prefix "$prefix" --libdir lib -Dtests=false "$@" &&
        meson compile -C "$build" &&
        meson install -C "$build" --no-rebuild --quiet
}

# Lets what follows find the library that was installed into a prefix.
use_prefix() {
    export PKG_CONFIG_PATH="$1/lib/pkgconfig"
    export LD_LIBRARY_PATH="$1/lib"
}
