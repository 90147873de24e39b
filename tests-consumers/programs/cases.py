"""The programs that are run, what each needs, and where one is known to behave otherwise."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Difference:
    """What a program does under a supervisor, where that is not what it does alone."""

    why: str
    status: int
    says: str
    """A regular expression that is found in what it says."""


@dataclass(frozen=True)
class Case:
    """A shell script, run in a directory of its own, alone and supervised.

    It finds in its environment: INPUTS (the directory of that name here), PYTHON, CC's options of the
    check's directories, PORT and SOCKET (a web server on IPv4, IPv6 and a Unix socket) and OTHER_PORT (to
    which `connect-guard` lets nobody connect), OUTSIDE (a name that `open-broker` with directories does not
    allow). It may make a socket `socket` in its directory and connect to it.
    """

    name: str
    script: str
    needs: tuple[str, ...] = ()
    """Programs without which it is skipped."""
    prepare: str = ":"
    """Run once, alone: makes what each run starts with. Where it fails the case is skipped."""
    as_root: bool = False
    limit_s: int = 30
    """For each run."""
    hidden: tuple[tuple[str, str], ...] = ()
    """What is replaced in its output, as it is another each time."""
    volatile: tuple[str, ...] = ()
    """Patterns of files whose contents are others each time."""
    runs_supervisor: bool = False
    """It runs the supervisor itself, whose command line it gets as JSON in UNDER."""
    under: Mapping[str, Difference] = field(default_factory=dict)


OWN_MOUNTS = Difference(
    "a file system that it has mounted itself lies in no directory",
    1,
    "create file /dev/null: Permission denied",
)

CASES = (
    Case(
        name="apt",
        needs=("apt-get", "dpkg-scanpackages"),
        as_root=True,
        prepare="""
            umask 022
            mkdir -p package/DEBIAN package/usr/share/hello repository root/var/lib/dpkg/info \
                root/var/lib/dpkg/updates state/lists/partial cache/archives/partial
            touch root/var/lib/dpkg/status
            printf '%s\n' 'Package: hello-from-here' 'Version: 1.0' 'Architecture: all' \
                'Maintainer: nobody <nobody@example.org>' 'Description: nothing' >package/DEBIAN/control
            echo hello >package/usr/share/hello/hello
            echo "deb [trusted=yes] copy:$PWD/repository ./" >sources.list
            chmod -R a+rX . && chmod 777 . repository
            dpkg-deb --root-owner-group --build package repository/hello.deb
            (cd repository && dpkg-scanpackages . >Packages)
            """,
        script="""
            umask 022
            set -e
            dpkg-deb --root-owner-group --build package built.deb
            dpkg-deb --contents built.deb | awk '{ print $1, $2, $6 }'
            dpkg --root=root --log=log --force-script-chrootless --install built.deb
            dpkg-query --admindir=root/var/lib/dpkg --list hello-from-here
            get() {
                "$@" -q -o Dir::State="$PWD/state" -o Dir::State::status="$PWD/root/var/lib/dpkg/status" \
                    -o Dir::Cache="$PWD/cache" -o Dir::Etc::SourceList="$PWD/sources.list" \
                    -o Dir::Etc::SourceParts=/dev/null
            }
            get apt-get update
            get apt-cache policy hello-from-here
            get apt-get --simulate --reinstall install hello-from-here
            get apt-get --yes --reinstall --download-only install hello-from-here
            """,
        hidden=((r" in \d+s", ""), (r"[\d.]+ [kM]?B/s", ""), (r"\b(Get|Ign|Hit):\d+", r"\1")),
        volatile=("*/log", "log", "cache/*.bin", "*.deb"),
        under={
            "pretend-root": Difference(
                "apt sees that it is still root as another user", 100, "Could not switch group"
            ),
        },
    ),
    Case(
        name="pip",
        script="""
            set -e
            "$VENV_PYTHON" -m pip install --no-index --no-cache-dir --target site greeting-1.0-py3-none-any.whl
            "$VENV_PYTHON" -m pip list --path site
            PYTHONPATH=site "$VENV_PYTHON" site/bin/greet
            """,
        prepare="""
            "$VENV_PYTHON" -m pip --version
            "$VENV_PYTHON" "$INPUTS/make_wheel.py" greeting-1.0-py3-none-any.whl
            """,
        volatile=("*.pyc",),
    ),
    Case(
        name="cargo",
        needs=("cargo",),
        prepare="""
            cargo new --quiet --vcs none --name tiny tiny
            cargo new --quiet --vcs none --lib --name part tiny/part
            echo 'part = { path = "part" }' >>tiny/Cargo.toml
            echo 'fn main() { println!("{}", part::add(1, 2)); }' >tiny/src/main.rs
            """,
        script="cd tiny && cargo build --offline && cargo run --quiet --offline && cargo build --offline",
        hidden=((r"in [\d.]+s", ""),),
        # Times are written into these.
        volatile=(
            "*/.rustc_info.json",
            "*/.fingerprint/*",
            "*.d",
            "*.bin",
            "*.o",
            "*.rlib",
            "*.rmeta",
            "*/.cargo-lock",
            "*.timestamp",
        ),
    ),
    Case(
        name="node",
        needs=("node",),
        script='node "$INPUTS/files.js" "$PORT" "$PWD/socket"',
    ),
    Case(
        name="java",
        needs=("java", "javac"),
        prepare='javac -d . "$INPUTS/Files.java"',
        script='java -XX:TieredStopAtLevel=1 -cp . Files "$PORT"',
    ),
    Case(
        name="go",
        needs=("go",),
        prepare="""
            export GOCACHE="$SHARED/go-cache"
            printf '%s\n' 'package main' '' 'func main() { println("built") }' >main.go
            printf '%s\n' 'module tiny' 'go 1.19' >go.mod
            go build -o tiny
            rm tiny
            """,
        # Not the same source twice: it would be in the cache.
        script="""
            set -e
            export GOCACHE="$SHARED/go-cache" GOMAXPROCS=4
            echo "// $$" >>main.go
            go vet .
            go build -o tiny
            ./tiny
            """,
        volatile=("tiny", "main.go"),
        limit_s=60,
    ),
    Case(
        name="make",
        needs=("make", "cc"),
        prepare="""
            for i in 1 2 3 4 5 6 7 8; do echo "int f$i(void) { return $i; }" >f$i.c; done
            echo 'int f8(void); int main(void) { return f8(); }' >main.c
            {
                echo 'all: program parts'
                echo 'program: main.o f1.o f2.o f3.o f4.o f5.o f6.o f7.o f8.o'
                printf '\t@cc -o $@ $^\n'
                echo '%.o: %.c'
                printf '\t@cc -c -o $@ $<\n'
                echo 'parts:'
                printf '\t@+$(MAKE) --silent -f Sub.mk\n'
            } >Makefile
            {
                echo 'all: $(addprefix p, 1 2 3 4 5 6 7 8 9)'
                echo 'p%:'
                printf '\t@sleep 0.0$* && echo $@ >$@\n'
            } >Sub.mk
            """,
        script="make -j4; ./program; echo $?; make -j4; rm f1.o; make -j4 f1.o f9.o",
    ),
    Case(
        name="git",
        needs=("git",),
        script="""
            set -e
            export GIT_AUTHOR_DATE=@1700000000 GIT_COMMITTER_DATE=@1700000000
            git -c init.defaultBranch=main init one
            cd one
            git config pack.threads 2
            for i in 1 2 3 4 5 6 7 8; do echo "$i" >"file-$i"; git add .; git commit -m "Commit $i"; done
            git checkout -b other HEAD~3
            git rebase main
            git clone . ../two
            git clone "file://$PWD" ../three
            git -C ../two gc --quiet
            git -C ../two fsck
            git -C ../three log --oneline --stat
            ln -s file-1 link && git add link && git stash && git stash pop
            git status --short
            git diff HEAD
            """,
        volatile=("*/.git/index",),
    ),
    Case(
        name="curl",
        needs=("curl",),
        volatile=("meter",),
        script="""
            curl() { command curl --silent --show-error --max-time 10 "$@"; echo "exit status $?"; }
            curl "http://127.0.0.1:$PORT/four" "http://127.0.0.1:$PORT/again"
            curl "http://[::1]:$PORT/six"
            curl "http://localhost:$PORT/name"
            curl --unix-socket "$SOCKET" http://anything/unix
            curl --unix-socket "$PWD/no-socket" http://anything/unix
            curl --output file --data-binary @"$INPUTS/calls.c" "http://127.0.0.1:$PORT/post"
            curl --parallel "http://127.0.0.1:$PORT/[1-20]" --output 'part-#1' 2>meter
            """,
    ),
    Case(
        name="curl where it may not",
        needs=("curl",),
        script='curl --silent --show-error --max-time 10 "http://127.0.0.1:$OTHER_PORT/"',
        under={
            "connect-guard": Difference(
                "it is not on its list", 7, "(Failed|[Cc]ould not|Couldn't).* connect"
            ),
        },
    ),
    Case(
        name="a file that it may not open",
        prepare='echo secret >"$OUTSIDE"',
        script="""
            cat "$OUTSIDE"
            ln -s "$OUTSIDE" link && cat link
            mkdir in && cd in && cat ../link
            echo new >"$OUTSIDE-new"
            """,
        under={
            "open-broker within": Difference(
                "it lies in none of the directories",
                2,
                "(?s)(cat: .*Permission denied.*){3}cannot create .*-new: Permission denied",
            ),
        },
    ),
    Case(name="multiprocessing", script='"$PYTHON" "$INPUTS/processes.py" "$PWD/socket"'),
    Case(
        name="multiprocessing with a fork server",
        script='"$PYTHON" "$INPUTS/forkserver.py"',
        under={
            "connect-guard": Difference("no list can have the server's name", 1, "PermissionError"),
        },
    ),
    Case(name="asyncio", script='"$PYTHON" "$INPUTS/loop.py" "$PORT" "$PWD/socket"'),
    Case(name="200 threads", script='"$PYTHON" "$INPUTS/threads.py" "$PORT"'),
    Case(
        name="dynamic",
        needs=("cc",),
        prepare='cc -w -o ../dynamic-calls "$INPUTS/calls.c"',
        script='../dynamic-calls "$PORT" "$SOCKET"',
    ),
    Case(
        name="static",
        needs=("cc",),
        prepare='cc -static -w -o ../static-calls "$INPUTS/calls.c"',
        script='../static-calls "$PORT" "$SOCKET"',
    ),
    Case(
        name="32 bits",
        needs=("cc",),
        prepare='cc -m32 -w -o ../narrow-calls "$INPUTS/calls.c" && ../narrow-calls || [ $? = 2 ]',
        script='../narrow-calls "$PORT" "$SOCKET"',
    ),
    Case(
        name="musl",
        needs=("musl-gcc",),
        prepare='musl-gcc -w -o ../musl-calls "$INPUTS/calls.c"',
        script='../musl-calls "$PORT" "$SOCKET"',
    ),
    Case(
        name="static musl",
        needs=("musl-gcc",),
        prepare='musl-gcc -static -w -o ../static-musl-calls "$INPUTS/calls.c"',
        script='../static-musl-calls "$PORT" "$SOCKET"',
    ),
    Case(
        name="a daemon",
        needs=("start-stop-daemon",),
        script="""
            set -e
            daemon='trap "echo stopped >>said; exit" TERM; echo begun >said; while :; do sleep 0.05; done'
            control() { start-stop-daemon --pidfile "$PWD/pid" "$@"; }
            control --start --background --make-pidfile --exec /bin/sh -- -c "cd '$PWD' && $daemon"
            until [ -s said ]; do sleep 0.02; done
            control --status
            control --stop
            until grep -q stopped said; do sleep 0.02; done
            control --start --background --make-pidfile --exec /bin/sh -- -c "cd '$PWD' && sleep 0.1; echo end >end"
            """,
        volatile=("pid",),
    ),
    Case(
        name="bwrap",
        needs=("bwrap",),
        prepare="bwrap --ro-bind / / --unshare-all true",
        script="""
            bwrap --unshare-pid --unshare-ipc --ro-bind / / --proc /proc --dev /dev --tmpfs /tmp --bind "$PWD" /tmp \
                --chdir /tmp sh -c 'echo $$; echo inside >file; mkfifo fifo; echo x >/etc/x; ls /dev; exit 4'
            echo "exit status $?"
            bwrap --unshare-user --ro-bind / / --dev /dev --bind "$PWD" "$PWD" sh -c 'echo user >by-user; cat file'
            """,
        under={"open-broker within": OWN_MOUNTS},
    ),
    Case(
        name="bwrap as somebody else",
        needs=("bwrap",),
        prepare="bwrap --ro-bind / / --unshare-all --uid 1234 true",
        script="bwrap --unshare-user --uid 1234 --ro-bind / / --dev /dev --bind . /tmp sh -c 'id -u; echo user >/tmp/by-user'",
        under={
            "pretend-root": Difference("it answers who a program is", 0, "^0$"),
            "open-broker": Difference(
                "two user namespaces below, /proc/PID/uid_map is written by who opened it there",
                1,
                "setting up uid map: Operation not permitted",
            ),
            "open-broker within": OWN_MOUNTS,
        },
    ),
    Case(
        name="systemd-nspawn",
        needs=("systemd-nspawn", "cc"),
        as_root=True,
        prepare="""
            mkdir -p tree/usr/bin tree/etc tree/tmp
            ln -s usr/bin tree/bin
            echo ID=tiny >tree/etc/os-release
            echo 'root:x:0:0:root:/:/bin/none' >tree/etc/passwd
            cc -static -w -o tree/usr/bin/calls "$INPUTS/calls.c"
            cp -a tree probe
            systemd-nspawn --quiet --directory probe --register=no --keep-unit --console=pipe /bin/calls || [ $? = 2 ]
            rm -r probe
            """,
        script="""
            systemd-nspawn --quiet --directory tree --register=no --keep-unit --console=pipe --as-pid2 \
                --bind "$SOCKET:/tmp/socket" --chdir /tmp /bin/calls "$PORT" /tmp/socket
            """,
        under={
            "open-broker within": Difference(
                "its locks are in /run", 1, "Failed to lock .*: Permission denied"
            ),
        },
        limit_s=60,
    ),
    Case(
        name="chroot",
        needs=("chroot", "cc"),
        as_root=True,
        prepare="""
            mkdir -p tree/bin tree/etc tree/tmp
            chmod 1777 tree/tmp
            echo 'root:x:0:0:root:/:/bin/none' >tree/etc/passwd
            cc -static -w -o tree/bin/calls "$INPUTS/calls.c"
            cp tree/bin/calls tree/tmp
            """,
        script="""
            chroot tree /bin/calls "$PORT" /socket
            echo "exit status $?"
            rm -rf tree/made* tree/fifo tree/regular tree/appended
            chmod 777 tree
            chmod -R a+rX tree
            chroot --userspec 1000:1000 tree /bin/calls "$PORT" /socket
            """,
        under={
            "pretend-root": Difference(
                "it answers who a program is", 3, "user 0 0, group 0 0\n(.*\n)+.*user 0 0, group 0 0"
            ),
        },
    ),
    Case(
        name="strace",
        needs=("strace",),
        prepare="strace -o /dev/null true",
        script="""
            strace -f -o log -e trace=openat,mkdir,mknodat,connect,getuid,execve sh -c \
                'cat /etc/passwd >copy; mkfifo fifo; (id -u); exit 3'
            echo "exit status $?"
            sed -E 's/^[0-9]+ +//; s/0x[0-9a-f]+/ADDRESS/g; s/=[0-9]+, si_uid/=PID, si_uid/; s/si_[us]time=[0-9]+/si_time/g' log
            """,
        hidden=((r"CHLD.*", ""),),
        volatile=("log",),
    ),
    Case(
        name="gdb",
        needs=("gdb", "cc"),
        prepare='cc -g -O0 -o debugged "$INPUTS/debugged.c" && gdb --nx --batch --ex run ./debugged | grep "as "',
        script="""
            gdb --nx --batch --ex 'break deep if n == 0' --ex run --ex backtrace --ex 'catch syscall getuid' \
                --ex continue --ex continue --ex continue ./debugged
            """,
        hidden=((r"0x[0-9a-f]+", "ADDRESS"), (r"\(process \d+\)|process \d+", "PROCESS")),
        limit_s=60,
    ),
    Case(
        name="job control in a shell",
        needs=("bash", "setsid"),
        script='"$PYTHON" "$INPUTS/terminal.py" inside',
        runs_supervisor=True,
    ),
    Case(
        name="job control of jobs",
        needs=("bash", "setsid"),
        script='"$PYTHON" "$INPUTS/terminal.py" outside',
        runs_supervisor=True,
        volatile=("run",),
    ),
    Case(
        name="many files",
        needs=("tar", "find", "sort"),
        script="""
            set -e
            tar --create --file=archive --sort=name --mtime=@0 --owner=0 --group=0 -C /usr/include/linux/netfilter .
            mkdir out
            tar --extract --file=archive --directory=out
            find out -type f -print0 | sort -z | xargs -0 cksum | cksum
            cp -a out again
            diff -r out again
            find again -name 'xt_*' -delete
            find again | wc -l
            umask 077
            cat <<END >here
from here
END
            mktemp -d made.XXXXXX | sed 's/[.].*//'
            rm -rf made.*
            """,
        prepare="test -d /usr/include/linux/netfilter",
        volatile=("archive",),
    ),
)
