# shellcheck shell=bash
# Packages of any Debian, by apt with folders of its own: the machine's are left alone. Sourced
# after common.sh.

# shellcheck disable=SC2034 # for those who source this
cache=${XDG_CACHE_HOME:-$HOME/.cache}/unotify-kernels
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# The mirror that this machine's apt takes Debian's main from.
debian_mirror() {
    if [ -n "${UNOTIFY_DEBIAN_MIRROR:-}" ]; then
        echo "$UNOTIFY_DEBIAN_MIRROR"
        return
    fi
    # shellcheck disable=SC2016 # apt's own variables
    apt-get indextargets --format '$(REPO_URI) $(CREATED_BY) $(COMPONENT)' |
        sed -nE 's,^([^ ]*/debian/?) Packages main$,\1,p' | head -n 1
}

# Runs one of apt's programs for a suite and an architecture.
debian_apt() { # SUITE ARCH PROGRAM [ARGUMENT…]
    local folder=$cache/apt/$1-$2 arch=$2 program=$3
    shift 3
    "$program" -o Dir::State="$folder/state" -o Dir::State::status=/dev/null \
        -o Dir::Cache="$folder/cache" -o Dir::Etc::sourcelist="$folder/sources.list" \
        -o Dir::Etc::sourceparts=/dev/null -o Dir::Etc::preferences=/dev/null \
        -o Dir::Etc::preferencesparts=/dev/null -o APT::Architecture="$arch" \
        -o APT::Architectures="$arch" -o Acquire::Languages=none \
        -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false \
        -o Acquire::Check-Valid-Until=false -o APT::Sandbox::User= -o Debug::NoLocking=true "$@"
}

# Reads a suite's package lists, once a day.
debian_update() { # SUITE ARCH
    local folder=$cache/apt/$1-$2 mirror
    [ -z "$(find "$folder/read" -mtime -1 2>/dev/null)" ] || return 0
    [ -e "$keyring" ] || die "there is no $keyring: is this Debian?"
    mirror=$(debian_mirror)
    [ -n "$mirror" ] || die "apt names no mirror of Debian: set UNOTIFY_DEBIAN_MIRROR"
    mkdir -p "$folder/state/lists/partial" "$folder/cache/archives/partial"
    echo "deb [signed-by=$keyring] $mirror $1 main" >"$folder/sources.list"
    debian_apt "$1" "$2" apt-get update --quiet=2 --error-on=any >"$folder/log" 2>&1 || {
        cat "$folder/log" >&2
        return 1
    }
    touch "$folder/read"
}

# Unpacks a package into a folder.
unpack_debian() { # SUITE ARCH PACKAGE FOLDER
    local download
    download=$(mktemp -d)
    (cd "$download" && debian_apt "$1" "$2" apt-get download --quiet=2 "$3") ||
        die "$3 of $1 cannot be downloaded"
    mkdir -p "$4"
    dpkg-deb --extract "$download"/*.deb "$4"
    rm -r "$download"
}
