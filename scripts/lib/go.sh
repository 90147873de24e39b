# shellcheck shell=bash
# The installed library for Go. Sourced from the root of the tree, after common.sh.

export GOFLAGS=-mod=readonly GOTOOLCHAIN=local
# With the race detector a program sleeps for a second before it exits, and targets are such programs.
export GORACE=atexit_sleep_ms=10

# Debian 12's Go takes no directory with a space in its name from pkg-config: a link has none.
use_linked() { # DIRECTORY PREFIX
    local link=$1
    mkdir "$link"
    ln -s "$2/include" "$2/lib" "$link"
    sed "s|^prefix=.*|prefix=$link|" "$2/lib/pkgconfig/unotify.pc" >"$link/unotify.pc"
    export PKG_CONFIG_PATH=$link LD_LIBRARY_PATH=$link/lib
    # What pkg-config says is no part of Go's cache's keys, but this is.
    export CGO_LDFLAGS="-g -O2 -L$link/lib"
}

# Runs a command beside others, of tests that mostly wait. All of them are waited for, and have to succeed.
BESIDE=()
beside() { # COMMAND [ARGUMENT…]
    "$@" &
    BESIDE+=($!)
}
all_done() {
    local one failed=0
    for one in "${BESIDE[@]}"; do wait "$one" || failed=1; done
    BESIDE=()
    return "$failed"
}
