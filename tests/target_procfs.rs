//! What a target gets from a `/proc`: its own files and others', never those of the supervisor.

mod support;

use std::collections::BTreeSet;
use std::ffi::{CStr, CString};
use std::fs;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{symlink, FileExt};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use support::*;
use unotify::{Error, Notification, OpenHow, Status};

const AT_FDCWD: u64 = libc::AT_FDCWD as u64;

/// In the supervisor's memory, where a target that opens it finds it by its address. A forked target
/// has made its own something else.
static SECRET: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
const OURS: u64 = 0x5ec2_e75e_c2e7_5ec2;
const THEIRS: u64 = 1;

/// What is in the environment of the supervisor only.
const MARK: &str = "UNOTIFY_TEST_SECRET";

fn own_the_secret() {
    SECRET.store(OURS, std::sync::atomic::Ordering::Relaxed);
}

/// What the target does first of all.
fn disown_the_secret() {
    SECRET.store(THEIRS, std::sync::atomic::Ordering::Relaxed);
}

/// Whether a file is one of this process's, as far as its content can tell: its memory, or whatever
/// has its number in it.
fn is_ours(file: &OwnedFd) -> bool {
    let file = fs::File::from(file.try_clone().unwrap());
    let mut word = [0; 8];
    let at = std::ptr::from_ref(&SECRET) as u64;
    if file.read_at(&mut word, at).is_ok_and(|n| n == 8) && u64::from_ne_bytes(word) == OURS {
        return true;
    }
    let mut text = vec![0; 1 << 16];
    let len = file.read_at(&mut text, 0).unwrap_or(0);
    let text = String::from_utf8_lossy(&text[..len]);
    let own = std::process::id();
    text.contains(&format!("\nTgid:\t{own}\n"))
        || threads()
            .iter()
            .any(|thread| text.starts_with(&format!("{thread} (")))
        || (text.contains(MARK) && text.contains('='))
}

/// The supervisor's threads; there are some more than the test needs.
fn threads() -> Vec<i32> {
    let threads = fs::read_dir("/proc/self/task").unwrap();
    threads
        .map(|entry| {
            entry
                .unwrap()
                .file_name()
                .to_str()
                .unwrap()
                .parse()
                .unwrap()
        })
        .collect()
}

fn mount(source: &str, at: &str, kind: Option<&CStr>, flags: libc::c_ulong) -> bool {
    let source = CString::new(source).unwrap();
    let at = CString::new(at).unwrap();
    // SAFETY: all strings are NUL-terminated.
    unsafe {
        libc::mount(
            source.as_ptr(),
            at.as_ptr(),
            kind.map_or(std::ptr::null(), CStr::as_ptr),
            flags,
            std::ptr::null(),
        ) == 0
    }
}

/// Gives this process mounts of its own that it may change, in a new user namespace unless it is
/// root.
fn unshare_mounts(user: bool) -> bool {
    let flags = libc::CLONE_NEWNS | if user { libc::CLONE_NEWUSER } else { 0 };
    // SAFETY: integers only.
    let unshared = unsafe { libc::unshare(flags) } == 0;
    unshared && mount("none", "/", None, libc::MS_REC | libc::MS_PRIVATE)
}

/// Whether [`unshare_mounts`] is allowed: to this process, or to nobody in a user namespace.
fn may_mount(user: bool) -> bool {
    let mut may = Process::fork(|| {
        if user {
            become_dumpable_nobody();
        }
        i32::from(!unshare_mounts(user))
    });
    may.wait() == 0
}

/// A target that asks about each of the paths and descriptors it is told to ask about.
struct PathAsker {
    target: Asker,
    tell: std::os::unix::net::UnixStream,
}

impl PathAsker {
    /// `prepare`d, it asks about a path relative to a descriptor when told to.
    fn start(prepare: impl FnOnce()) -> Self {
        let (tell, mut hear) = std::os::unix::net::UnixStream::pair().unwrap();
        let ours = tell.as_raw_fd();
        let target = Asker::under(
            &notifying(&["getppid"]),
            || {},
            move || {
                // SAFETY: the child's copy, which nobody there uses.
                unsafe { libc::close(ours) };
                disown_the_secret();
                prepare();
                let mut message = [0; 4104];
                while hear.read_exact(&mut message).is_ok() {
                    let dirfd = i64::from_ne_bytes(message[..8].try_into().unwrap());
                    ask(message[8..].as_ptr() as u64, dirfd as u64, 0);
                }
                0
            },
        );
        PathAsker { target, tell }
    }

    fn ask(&mut self, dirfd: i32, path: &str) -> Notification {
        let mut message = [0; 4104];
        message[..8].copy_from_slice(&i64::from(dirfd).to_ne_bytes());
        message[8..8 + path.len()].copy_from_slice(path.as_bytes());
        self.tell.write_all(&message).unwrap();
        self.target.receive()
    }

    fn open(&mut self, dirfd: i32, path: &str, flags: i32) -> Result<OwnedFd, Error> {
        let mut n = self.ask(dirfd, path);
        let outcome = n.open(dirfd, n.request().args[0], OpenHow::new(flags));
        n.reply_value(0).unwrap();
        outcome
    }

    /// By every way there is: at once, by `O_PATH` and again, by the parent.
    fn every_way(&mut self, dirfd: i32, path: &str) -> Vec<OwnedFd> {
        let mut all = Vec::new();
        let mut n = self.ask(dirfd, path);
        let addr = n.request().args[0];
        for access in [libc::O_RDONLY, libc::O_RDWR] {
            all.extend(n.open(dirfd, addr, OpenHow::new(access)));
        }
        for flags in [0, libc::O_NOFOLLOW, libc::O_DIRECTORY] {
            if let Ok(found) = n.open(dirfd, addr, OpenHow::new(libc::O_PATH | flags)) {
                all.extend(n.reopen(found.as_fd(), libc::O_RDWR, 0));
                all.extend(n.reopen(found.as_fd(), libc::O_RDONLY, 0));
                all.push(found);
            }
        }
        if let Ok((parent, name)) = n.open_parent(dirfd, addr) {
            // SAFETY: NUL-terminated.
            let fd = unsafe {
                let flags = libc::O_RDWR | libc::O_CREAT | libc::O_EXCL;
                libc::openat(parent.as_raw_fd(), name.as_ptr(), flags, 0o600)
            };
            if fd >= 0 {
                all.push(own(fd));
            }
            all.push(parent);
        }
        n.reply_value(0).unwrap();
        all
    }

    fn content(&mut self, path: &str) -> Result<String, i32> {
        let file = self.open(libc::AT_FDCWD, path, libc::O_RDONLY);
        let mut text = Vec::new();
        fs::File::from(file.map_err(|e| e.errno())?)
            .read_to_end(&mut text)
            .unwrap();
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    fn end(self) {
        drop(self.tell);
        self.target.end();
    }
}

/// Whether what is open is the supervisor's, or has anything of it in it. (What is mounted in a
/// directory is not of that directory: whoever opens files in there has to mind that.)
fn yields_ours(opened: &OwnedFd) -> bool {
    // SAFETY: integers only, for which zero is a value.
    let mut how: libc::open_how = unsafe { std::mem::zeroed() };
    how.resolve = libc::RESOLVE_NO_XDEV;
    is_ours(opened)
        || [c"mem", c"status", c"environ", c"stat"].iter().any(|name| {
            // SAFETY: NUL-terminated, and as long as said.
            let fd = unsafe {
                libc::syscall(
                    libc::SYS_openat2,
                    opened.as_raw_fd(),
                    name.as_ptr(),
                    &raw const how,
                    size_of::<libc::open_how>(),
                )
            };
            fd >= 0 && is_ours(&own(fd as i32))
        })
}

/// Tries all the names that the supervisor's files have in and around a procfs that the target has
/// made whatever it likes of.
fn nothing_is_ours(mut target: PathAsker, folder: &str, relative: &[i32]) {
    let own = std::process::id();
    let mut directories = BTreeSet::new();
    for proc in [
        "/proc".to_owned(),
        format!("{folder}/proc"),
        format!("{folder}/rproc"),
    ] {
        directories.insert(format!("{proc}/{own}"));
        for thread in threads() {
            directories.insert(format!("{proc}/{thread}"));
            directories.insert(format!("{proc}/{own}/task/{thread}"));
            directories.insert(format!("{proc}/{thread}/task/{thread}"));
            directories.insert(format!("{proc}/{thread}/task/{own}"));
        }
        for link in ["cwd", "root"] {
            directories.insert(format!("{proc}/{own}/{link}/proc/{own}"));
            directories.insert(format!("{proc}/1/{link}/proc/{own}"));
        }
        directories.insert(format!("{proc}/1/../{own}"));
        directories.insert(format!("{proc}/self/../{own}/task/.."));
        directories.insert(format!("{proc}/self/task/../../{own}"));
    }
    for name in ["leader", "thread", "task", "link", "magic", "over"] {
        directories.insert(format!("{folder}/{name}"));
    }
    for thread in threads() {
        directories.insert(format!("{folder}/task/{thread}"));
    }
    let mut tried = 0;
    for directory in directories {
        for name in [
            "",
            "/.",
            "/..",
            "/mem",
            "/status",
            "/stat",
            "/environ",
            "/auxv",
            "/maps",
            "/fd",
            "/fd/0",
            "/fdinfo",
            "/fdinfo/0",
            "/exe",
            "/cwd",
            "/root",
            "/ns/mnt",
            "/map_files",
            "/net/..",
            "/net/dev",
            "/attr/current",
            "/task",
            "/oom_score_adj",
            "/uid_map",
        ] {
            let path = format!("{directory}{name}");
            for opened in target.every_way(libc::AT_FDCWD, &path) {
                // `..` may have led to where everything is.
                assert!(!is_ours(&opened), "{path}");
                assert!(
                    name == "/.." || name == "/net/.." || !yields_ours(&opened),
                    "{path}"
                );
            }
            tried += 1;
        }
        let maps = fs::read_dir("/proc/self/map_files").unwrap().flatten();
        for file in maps.take(3) {
            let path = format!(
                "{directory}/map_files/{}",
                file.file_name().to_str().unwrap()
            );
            assert_eq!(
                target
                    .every_way(libc::AT_FDCWD, &path)
                    .iter()
                    .filter(|f| is_ours(f))
                    .count(),
                0
            );
        }
    }
    for file in ["mem", "memlink", "statusfile", "environfile", "fdmem"] {
        let path = format!("{folder}/{file}");
        for opened in target.every_way(libc::AT_FDCWD, &path) {
            assert!(!is_ours(&opened), "{path}");
        }
        tried += 1;
    }
    for &fd in relative {
        for path in [
            "mem",
            "status",
            "environ",
            ".",
            "task",
            "fd/0",
            "../mem",
            "../status",
        ] {
            for opened in target.every_way(fd, path) {
                assert!(!yields_ours(&opened), "{path} of {fd}");
            }
            tried += 1;
        }
        // The descriptor itself, and what lies in there.
        let mut n = target.ask(fd, "x");
        if let Ok(had) = n.get_fd(fd) {
            for flags in [libc::O_RDWR, libc::O_RDONLY, libc::O_PATH] {
                if let Ok(opened) = n.reopen(had.as_fd(), flags, 0) {
                    assert!(!yields_ours(&opened), "descriptor {fd}");
                }
            }
        }
        n.reply_value(0).unwrap();
        for path in [
            format!("/proc/self/fd/{fd}"),
            format!("/proc/self/fd/{fd}/mem"),
            format!("/dev/fd/{fd}"),
        ] {
            for opened in target.every_way(libc::AT_FDCWD, &path) {
                assert!(!yields_ours(&opened), "{path}");
            }
        }
    }
    assert!(tried > 500, "{tried}");
    target.end();
}

/// Does with a procfs what somebody can do who wants the supervisor's files, below `folder`.
/// Descriptors of the supervisor's directories are left from 60 on.
fn construct(folder: &str, own: u32, threads: &[i32], mounts: bool) {
    let at = |name: &str| format!("{folder}/{name}");
    let other = threads.iter().find(|&&t| t as u32 != own).unwrap();
    for name in ["leader", "thread", "task", "proc", "rproc", "over", "tmp"] {
        let _ = fs::create_dir(at(name));
    }
    for name in ["mem", "statusfile", "environfile"] {
        fs::write(at(name), "").unwrap();
    }
    symlink(format!("/proc/{other}"), at("link")).unwrap();
    symlink(format!("/proc/{other}/mem"), at("memlink")).unwrap();
    symlink("/proc/self/fd/60", at("magic")).unwrap();
    symlink("/proc/self/fd/61/mem", at("fdmem")).unwrap();
    let keep = |path: String, flags: i32, number: i32| {
        let path = CString::new(path).unwrap();
        // SAFETY: NUL-terminated; integers.
        unsafe {
            let fd = libc::open(path.as_ptr(), flags);
            assert!(fd >= 0, "{path:?}");
            libc::dup2(fd, number);
            libc::close(fd);
        }
    };
    keep(format!("/proc/{own}"), libc::O_RDONLY, 60);
    keep(format!("/proc/{other}"), libc::O_PATH, 61);
    keep(format!("/proc/{own}/task"), libc::O_PATH, 62);
    keep(format!("/proc/{own}/mem"), libc::O_PATH, 63);
    keep(format!("/proc/{other}/status"), libc::O_PATH, 64);
    keep(format!("/proc/{other}/environ"), libc::O_PATH, 65);
    if !mounts {
        return;
    }
    let bind = |from: &str, to: &str| {
        assert!(
            mount(from, &at(to), None, libc::MS_BIND | libc::MS_REC),
            "{from} {}",
            std::io::Error::last_os_error()
        );
    };
    bind(&format!("/proc/{own}"), "leader");
    bind(&format!("/proc/{other}"), "thread");
    bind(&format!("/proc/{own}/task"), "task");
    bind(&format!("/proc/{other}/mem"), "mem");
    bind(&format!("/proc/{own}/status"), "statusfile");
    bind(&format!("/proc/{own}/environ"), "environfile");
    bind("/proc", "rproc");
    // Over a directory and a file of somebody else's, in the right place.
    bind(
        &format!("/proc/{own}"),
        &format!("rproc/{}/net", std::process::id()),
    );
    bind(
        &format!("/proc/{own}/mem"),
        &format!("rproc/{}/maps", std::process::id()),
    );
    symlink(format!("rproc/{}/net", std::process::id()), at("tmp/net")).unwrap();
    // Another instance, where the kernel lets it.
    let _ = mount("proc", &at("proc"), Some(c"proc"), 0);
    keep(at("leader"), libc::O_PATH, 66);
    keep(at("mem"), libc::O_PATH, 67);
    keep(
        format!("{}/{}/net", at("rproc"), std::process::id()),
        libc::O_PATH,
        68,
    );
    keep(
        format!("{}/{}/maps", at("rproc"), std::process::id()),
        libc::O_PATH,
        69,
    );
    // A mount that is nowhere.
    // SAFETY: NUL-terminated.
    unsafe {
        let path = CString::new(format!("/proc/{own}")).unwrap();
        let tree = libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, path.as_ptr(), 1);
        if tree >= 0 {
            libc::dup2(tree as i32, 70);
        }
        libc::fchdir(66);
    }
}

const KEPT: [i32; 12] = [libc::AT_FDCWD, 60, 61, 62, 63, 64, 65, 66, 67, 68, 69, 70];

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("unotify-procfs-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Folder(path.canonicalize().unwrap())
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// With some threads, and the secret in memory and in the environment.
fn as_a_supervisor(body: impl FnOnce()) {
    in_child(|| {
        own_the_secret();
        std::env::set_var(MARK, "1");
        // The targets' too: what is tried in it creates files.
        let folder = Folder::new("cwd");
        std::env::set_current_dir(&folder.0).unwrap();
        for _ in 0..2 {
            std::thread::spawn(|| std::thread::sleep(Duration::from_secs(600)));
        }
        body();
    });
}

#[test]
fn the_test_would_see_the_supervisors_files() {
    as_a_supervisor(|| {
        for name in ["mem", "status", "stat"] {
            for thread in threads() {
                let file = fs::File::open(format!("/proc/{thread}/{name}")).unwrap();
                assert!(is_ours(&file.into()), "{name}");
            }
        }
        assert!(!is_ours(&fs::File::open("/proc/1/status").unwrap().into()));
        assert!(yields_ours(&fs::File::open("/proc/self").unwrap().into()));
    });
}

#[test]
fn no_name_without_a_mount_yields_a_file_of_the_supervisors() {
    as_a_supervisor(|| {
        let folder = Folder::new("names");
        let (own, threads) = (std::process::id(), threads());
        let path = folder.path().to_owned();
        let target = PathAsker::start(|| construct(&path, own, &threads, false));
        nothing_is_ours(target, folder.path(), &KEPT[..7]);
    });
}

#[test]
fn no_mount_yields_a_file_of_the_supervisors() {
    as_a_supervisor(|| {
        if !may_mount(false) {
            return skip("takes the right to mount");
        }
        let folder = Folder::new("mounts");
        let (own, threads) = (std::process::id(), threads());
        let path = folder.path().to_owned();
        let target = PathAsker::start(|| {
            assert!(unshare_mounts(false));
            construct(&path, own, &threads, true);
        });
        nothing_is_ours(target, folder.path(), &KEPT);
    });
}

#[test]
fn no_mount_in_a_user_namespace_of_nobody_yields_a_file_of_a_root_supervisors() {
    as_a_supervisor(|| {
        if !is_root() {
            return skip("takes root, to have somebody else");
        }
        let folder = Folder::new("nobody");
        fs::set_permissions(
            &folder.0,
            std::os::unix::fs::PermissionsExt::from_mode(0o777),
        )
        .unwrap();
        let (own, threads) = (std::process::id(), threads());
        let path = folder.path().to_owned();
        if !may_mount(true) {
            return skip("nobody may make a user namespace here");
        }
        let target = PathAsker::start(|| {
            become_dumpable_nobody();
            assert!(unshare_mounts(true));
            construct(&path, own, &threads, true);
        });
        nothing_is_ours(target, folder.path(), &KEPT);
    });
}

#[test]
fn a_target_that_changes_the_root_to_the_supervisors_directory_gets_nothing() {
    as_a_supervisor(|| {
        if !is_root() {
            return skip("takes the right to change the root directory");
        }
        let own = std::process::id();
        for at in [format!("/proc/{own}"), format!("/proc/{own}/task")] {
            let mut target = PathAsker::start(|| {
                std::os::unix::fs::chroot(&at).unwrap();
                std::env::set_current_dir("/").unwrap();
            });
            for path in ["/mem", "/", "mem", "status", "..", "../status", "/fd"] {
                for opened in target.every_way(libc::AT_FDCWD, path) {
                    assert!(!yields_ours(&opened), "{path}");
                }
            }
            target.end();
        }
    });
}

/// For some seconds: one process of the target mounts and unmounts, another asks.
#[test]
fn no_race_of_mounts_yields_a_file_of_the_supervisors() {
    as_a_supervisor(|| {
        if !may_mount(false) {
            return skip("takes the right to mount");
        }
        let folder = Folder::new("race");
        let (own, threads) = (std::process::id(), threads());
        let other = *threads.iter().find(|&&t| t as u32 != own).unwrap();
        let path = folder.path().to_owned();
        let mut target = PathAsker::start(|| {
            assert!(unshare_mounts(false));
            let at = |name: &str| format!("{path}/{name}");
            fs::create_dir(at("dir")).unwrap();
            fs::write(at("file"), "").unwrap();
            fs::create_dir(at("swap")).unwrap();
            fs::create_dir(at("swap/a")).unwrap();
            symlink(format!("/proc/{other}"), at("swap/b")).unwrap();
            assert!(mount("/proc", &at("swap/a"), None, libc::MS_BIND));
            let me = std::process::id();
            std::mem::forget(Process::fork(move || loop {
                let dir = CString::new(format!("{path}/dir")).unwrap();
                let file = CString::new(format!("{path}/file")).unwrap();
                let victim = format!("{path}/swap/a/{me}/status");
                let over = CString::new(victim.clone()).unwrap();
                mount(
                    &format!("/proc/{other}"),
                    &format!("{path}/dir"),
                    None,
                    libc::MS_BIND,
                );
                mount(
                    &format!("/proc/{other}/mem"),
                    &format!("{path}/file"),
                    None,
                    libc::MS_BIND,
                );
                mount(
                    &format!("/proc/{other}/status"),
                    &victim,
                    None,
                    libc::MS_BIND,
                );
                // SAFETY: NUL-terminated.
                unsafe {
                    libc::umount2(dir.as_ptr(), libc::MNT_DETACH);
                    libc::umount2(file.as_ptr(), libc::MNT_DETACH);
                    libc::umount2(over.as_ptr(), libc::MNT_DETACH);
                }
                mount("/proc/1", &format!("{path}/dir"), None, libc::MS_BIND);
                // SAFETY: NUL-terminated.
                unsafe { libc::umount2(dir.as_ptr(), libc::MNT_DETACH) };
            }));
        });
        let me = target.target.process.pid;
        let begun = Instant::now();
        let mut opened_any = 0;
        while begun.elapsed() < briefly(Duration::from_secs(3)) {
            for path in [
                "dir/mem".to_owned(),
                "dir/status".into(),
                "dir".into(),
                "file".into(),
                format!("swap/a/{me}/status"),
                "swap/b/status".into(),
                "swap/a/self/status".into(),
            ] {
                let path = format!("{}/{path}", folder.path());
                for opened in target.every_way(libc::AT_FDCWD, &path) {
                    assert!(!yields_ours(&opened), "{path}");
                    opened_any += 1;
                }
            }
        }
        assert!(opened_any > 100);
        target.target.kill();
    });
}

/// What a child that shares memory does: it only makes system calls.
extern "C" fn tell_and_sleep(out: *mut libc::c_void) -> libc::c_int {
    // SAFETY: the number lives across the call that writes it, and the rest takes integers.
    unsafe {
        let own = libc::syscall(libc::SYS_getpid);
        libc::write(out as i32, (&raw const own).cast(), 8);
        libc::sleep(600); // not for ever, if nobody is left to end it
    }
    0
}

#[test]
fn a_child_that_still_has_the_supervisors_memory_counts_as_the_supervisor() {
    as_a_supervisor(|| {
        let (mut here, there) = std::os::unix::net::UnixStream::pair().unwrap();
        let out = there.as_raw_fd();
        // Waits for its child, which shares memory with it, as posix_spawn(3) does.
        std::thread::spawn(move || {
            let mut stack = [0u128; 1024];
            let top = stack.as_mut_ptr_range().end;
            let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
            // SAFETY: the child has a stack of its own, which outlives it, as this call returns when
            // the child has ended.
            unsafe { libc::clone(tell_and_sleep, top.cast(), flags, out as *mut libc::c_void) };
        });
        let mut number = [0; 8];
        here.read_exact(&mut number).unwrap();
        let child = i64::from_ne_bytes(number);
        let mut target = PathAsker::start(|| {});
        for name in ["mem", "status", ""] {
            let path = format!("/proc/{child}/{name}");
            let opened = target.open(libc::AT_FDCWD, &path, libc::O_RDONLY);
            assert_eq!(opened.unwrap_err().errno(), libc::ELOOP, "{path}");
        }
        target.end();
        // SAFETY: integers only.
        unsafe { libc::kill(child as i32, libc::SIGKILL) };
    });
}

#[test]
fn the_supervisors_own_proc_is_refused_and_everybody_elses_is_opened() {
    let other = Process::fork(|| {
        // SAFETY: sleeps until it is killed.
        unsafe { libc::pause() }
    });
    let mut target = PathAsker::start(|| {});
    let own = std::process::id();
    for path in [
        format!("/proc/{own}/status"),
        format!("/proc/{own}"),
        format!("/proc/{own}/environ"),
    ] {
        assert_eq!(target.content(&path), Err(libc::ELOOP), "{path}");
    }
    for path in [
        "/proc/version".to_owned(),
        "/proc/1/status".into(),
        "/proc/self/../version".into(),
        "/proc/sys/kernel/ostype".into(),
        format!("/proc/{}/status", other.pid),
        format!("/proc/{0}/task/{0}/stat", other.pid),
    ] {
        assert!(target.content(&path).is_ok(), "{path}");
    }
    target.end();
}

#[test]
fn self_is_the_target() {
    let folder = Folder::new("self");
    symlink("/proc/self", folder.0.join("own")).unwrap();
    let mut target = PathAsker::start(|| {
        std::env::set_current_dir(&folder.0).unwrap();
    });
    let tgid = format!("\nTgid:\t{}\n", target.target.process.pid);
    for path in [
        "/proc/self/status",
        "/proc/thread-self/status",
        "own/status",
        "./own/../self/status",
        "/proc/self/task/../status",
        "/proc//self/./status",
    ] {
        assert!(target.content(path).unwrap().contains(&tgid), "{path}");
    }
    assert!(target.content("/proc/mounts").is_ok());
    assert!(target.content("/proc/net/dev").is_ok());
    assert_eq!(target.content("/proc/self/nothing"), Err(libc::ENOENT));
    assert_eq!(target.content("/proc/self/exe"), Err(libc::ELOOP));
    assert_eq!(
        target.content("/proc/self/root/etc/passwd"),
        Err(libc::ELOOP)
    );
    let directory = target
        .open(
            libc::AT_FDCWD,
            "/proc/self",
            libc::O_RDONLY | libc::O_DIRECTORY,
        )
        .unwrap();
    assert!(!yields_ours(&directory));
    target.end();
}

#[test]
fn thread_self_is_the_thread() {
    let target = Asker::start(|| {
        std::thread::spawn(|| ask(c"/proc/thread-self/status".as_ptr() as u64, AT_FDCWD, 0) as i32)
            .join()
            .unwrap()
    });
    let mut n = target.receive();
    let (pid, addr) = (n.request().pid, n.request().args[0]);
    assert_ne!(pid, target.process.pid);
    let file = n.open(libc::AT_FDCWD, addr, OpenHow::new(0)).unwrap();
    let mut text = String::new();
    fs::File::from(file).read_to_string(&mut text).unwrap();
    assert!(text.contains(&format!("\nPid:\t{pid}\n")), "{text}");
    target.finish(n);
}

/// Its numbers there are others than the supervisor has for it.
#[test]
fn self_is_the_target_in_a_proc_of_its_own_pid_namespace() {
    if !may_mount(false) {
        return skip("takes the right to mount a /proc");
    }
    let target = Asker::start(|| {
        assert!(unshare_mounts(false));
        // SAFETY: integers only.
        assert_eq!(unsafe { libc::unshare(libc::CLONE_NEWPID) }, 0);
        Process::fork(|| {
            assert!(mount("proc", "/proc", Some(c"proc"), 0));
            for path in [
                c"/proc/self/status",
                c"/proc/thread-self/status",
                c"/dev/fd/0",
                c"/proc/mounts",
            ] {
                ask(path.as_ptr() as u64, AT_FDCWD, 0);
            }
            0
        })
        .wait()
    });
    for (path, line) in [
        ("self", Some("\nTgid:\t1\n")),
        ("thread-self", Some("\nPid:\t1\n")),
        ("fd", None),
        ("mounts", Some("proc")),
    ] {
        let mut n = target.receive();
        let addr = n.request().args[0];
        let file = n.open(libc::AT_FDCWD, addr, OpenHow::new(0)).unwrap();
        if let Some(line) = line {
            let mut text = String::new();
            fs::File::from(file).read_to_string(&mut text).unwrap();
            assert!(text.contains(line), "{path}: {text}");
        }
        n.reply_value(0).unwrap();
    }
    target.end();
}

#[test]
fn the_targets_descriptors_are_opened_by_their_links() {
    let (read, write) = pipe();
    let folder = Folder::new("fds");
    fs::write(folder.0.join("file"), "in the file").unwrap();
    // As containers do with logs.
    symlink("/dev/stderr", folder.0.join("log")).unwrap();
    symlink("/dev/fd/77", folder.0.join("77")).unwrap();
    let mut target = PathAsker::start(|| {
        let file = fs::File::open(folder.0.join("file")).unwrap();
        let directory = fs::File::open(&folder.0).unwrap();
        // SAFETY: integers only.
        unsafe {
            libc::dup2(file.as_raw_fd(), 77);
            libc::dup2(directory.as_raw_fd(), 78);
            libc::dup2(read.as_raw_fd(), 0);
            libc::dup2(write.as_raw_fd(), 1);
            libc::dup2(write.as_raw_fd(), 2);
        }
    });
    drop((read, write));
    for path in [
        "/dev/fd/77",
        "/proc/self/fd/77",
        "/proc/thread-self/fd/77",
        "/dev/fd/78/file",
        "/proc/self/fd/78/../../proc/self/fd/77",
        &format!("{}/77", folder.path()),
    ] {
        let path = path.replace("../..", "../../../../..");
        assert_eq!(
            target.content(&path).as_deref(),
            Ok("in the file"),
            "{path}"
        );
    }
    let log = format!("{}/log", folder.path());
    for path in ["/dev/stdout", "/dev/stderr", &log] {
        let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC;
        let mut out = fs::File::from(target.open(libc::AT_FDCWD, path, flags).unwrap());
        out.write_all(b"through").unwrap();
        let input = target
            .open(libc::AT_FDCWD, "/dev/stdin", libc::O_RDONLY)
            .unwrap();
        let mut text = [0; 7];
        fs::File::from(input).read_exact(&mut text).unwrap();
        assert_eq!(&text, b"through", "{path}");
    }
    let flags = |fd: &OwnedFd| {
        // SAFETY: integers only.
        unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) }
    };
    let input = target
        .open(libc::AT_FDCWD, "/dev/stdin", libc::O_RDONLY)
        .unwrap();
    assert_eq!(flags(&input) & libc::O_NONBLOCK, 0);
    let found = target
        .open(libc::AT_FDCWD, "/dev/stdin", libc::O_PATH)
        .unwrap();
    assert_ne!(flags(&found) & libc::O_PATH, 0);
    assert_eq!(target.content("/dev/fd/79"), Err(libc::ENOENT));
    let exclusive = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL;
    let error = target
        .open(libc::AT_FDCWD, "/dev/stderr", exclusive)
        .unwrap_err();
    assert_eq!(error.errno(), libc::EEXIST);
    let error = target
        .open(libc::AT_FDCWD, "/dev/fd/77", libc::O_NOFOLLOW)
        .unwrap_err();
    assert_eq!(error.errno(), libc::ELOOP);
    target.end();
}

#[test]
fn the_descriptors_of_a_thread_with_its_own_are_its_own() {
    let folder = Folder::new("threadfds");
    for name in ["leader", "thread"] {
        fs::write(folder.0.join(name), name).unwrap();
    }
    let at = folder.0.clone();
    let target = Asker::start(move || {
        let keep = |name: &str| {
            let file = fs::File::open(at.join(name)).unwrap();
            // SAFETY: integers only.
            unsafe { libc::dup2(file.as_raw_fd(), 77) };
        };
        keep("leader");
        std::thread::scope(|scope| {
            scope.spawn(|| {
                // SAFETY: integers only.
                assert_eq!(unsafe { libc::unshare(libc::CLONE_FILES) }, 0);
                keep("thread");
                ask(c"/proc/self/fd/77".as_ptr() as u64, AT_FDCWD, 0);
                ask(c"/proc/thread-self/fd/77".as_ptr() as u64, AT_FDCWD, 0);
            });
        });
        0
    });
    for expected in ["leader", "thread"] {
        let mut n = target.receive();
        let addr = n.request().args[0];
        let mut text = String::new();
        let file = n.open(libc::AT_FDCWD, addr, OpenHow::new(0)).unwrap();
        fs::File::from(file).read_to_string(&mut text).unwrap();
        assert_eq!(text, expected);
        n.reply_value(0).unwrap();
    }
    target.end();
}

/// A new pseudo-terminal: its master, and the path of the other end.
fn terminal() -> (OwnedFd, CString) {
    let mut name = [0; 64];
    // SAFETY: as much room as said.
    unsafe {
        let master = libc::posix_openpt(libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC);
        let master = own(master);
        assert_eq!(libc::grantpt(master.as_raw_fd()), 0);
        assert_eq!(libc::unlockpt(master.as_raw_fd()), 0);
        assert_eq!(
            libc::ptsname_r(master.as_raw_fd(), name.as_mut_ptr(), name.len()),
            0
        );
        (master, CStr::from_ptr(name.as_ptr()).to_owned())
    }
}

fn with_terminal(path: &CStr, at: Option<i32>) {
    // SAFETY: NUL-terminated; integers.
    unsafe {
        libc::signal(libc::SIGHUP, libc::SIG_IGN);
        assert!(libc::setsid() > 0);
        let terminal = libc::open(path.as_ptr(), libc::O_RDWR);
        assert!(terminal >= 0);
        assert_eq!(libc::ioctl(terminal, libc::TIOCSCTTY, 0), 0);
        if let Some(at) = at {
            libc::dup2(terminal, at);
        }
        libc::close(terminal);
    }
}

#[test]
fn dev_tty_is_the_targets_terminal() {
    in_child(|| {
        let (_ours, name) = terminal();
        let (master, path) = terminal();
        // The supervisor has one as well.
        with_terminal(&name, None);
        for at in [None, Some(1)] {
            let mut target = PathAsker::start(|| with_terminal(&path, at));
            let found = target
                .open(libc::AT_FDCWD, "/dev/tty", libc::O_PATH)
                .unwrap();
            let mut n = target.ask(libc::AT_FDCWD, "/dev/tty");
            let addr = n.request().args[0];
            let opened = n
                .open(libc::AT_FDCWD, addr, OpenHow::new(libc::O_RDWR))
                .unwrap();
            let again = n.reopen(found.as_fd(), libc::O_RDWR, 0).unwrap();
            n.reply_value(0).unwrap();
            for fd in [opened, again] {
                fs::File::from(fd).write_all(b"to the target").unwrap();
                let mut text = [0; 13];
                let mut master = fs::File::from(master.try_clone().unwrap());
                master.read_exact(&mut text).unwrap();
                assert_eq!(&text, b"to the target");
            }
            target.end();
        }
    });
}

#[test]
fn dev_tty_of_a_target_without_a_terminal_is_not_there() {
    in_child(|| {
        let (_master, name) = terminal();
        with_terminal(&name, Some(0));
        let mut target = PathAsker::start(|| {
            // SAFETY: takes nothing.
            assert!(unsafe { libc::setsid() } > 0);
        });
        let error = target
            .open(libc::AT_FDCWD, "/dev/tty", libc::O_RDWR)
            .unwrap_err();
        assert_eq!(error.errno(), libc::ENXIO);
        target.end();
    });
}

#[test]
fn what_was_opened_by_path_is_opened_for_good() {
    let folder = Folder::new("again");
    let path = |name: &str| folder.0.join(name).to_str().unwrap().to_owned();
    fs::write(path("file"), "some text").unwrap();
    symlink("file", path("link")).unwrap();
    let fifo = CString::new(path("fifo")).unwrap();
    // SAFETY: NUL-terminated.
    assert_eq!(unsafe { libc::mkfifo(fifo.as_ptr(), 0o600) }, 0);
    let mut target = PathAsker::start(|| {
        // SAFETY: integers only.
        unsafe { libc::umask(0o027) };
    });
    let flags = |fd: &OwnedFd| {
        // SAFETY: integers only.
        unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) }
    };
    let file = target
        .open(libc::AT_FDCWD, &path("file"), libc::O_PATH)
        .unwrap();
    let pipe = target
        .open(libc::AT_FDCWD, &path("fifo"), libc::O_PATH)
        .unwrap();
    let link = target
        .open(
            libc::AT_FDCWD,
            &path("link"),
            libc::O_PATH | libc::O_NOFOLLOW,
        )
        .unwrap();
    let dir = target
        .open(libc::AT_FDCWD, folder.path(), libc::O_PATH)
        .unwrap();
    // Its name does not matter any more.
    fs::rename(path("file"), path("moved")).unwrap();
    fs::write(path("file"), "the wrong one").unwrap();

    let mut n = target.ask(libc::AT_FDCWD, "x");
    let mut text = String::new();
    let opened = n
        .reopen(
            file.as_fd(),
            libc::O_RDWR | libc::O_CREAT | libc::O_EXCL | libc::O_APPEND,
            0,
        )
        .unwrap();
    assert_eq!(
        flags(&opened) & (libc::O_NONBLOCK | libc::O_APPEND | libc::O_ACCMODE),
        libc::O_APPEND | libc::O_RDWR
    );
    fs::File::from(opened).read_to_string(&mut text).unwrap();
    assert_eq!(text, "some text");
    let reader = n.reopen(pipe.as_fd(), libc::O_RDONLY, 0).unwrap();
    assert_eq!(flags(&reader) & libc::O_NONBLOCK, 0);
    let writer = n
        .reopen(pipe.as_fd(), libc::O_WRONLY | libc::O_NONBLOCK, 0)
        .unwrap();
    assert_ne!(flags(&writer) & libc::O_NONBLOCK, 0);
    drop(reader);
    let errno = |outcome: unotify::Result<OwnedFd>| outcome.unwrap_err().errno();
    assert_eq!(
        errno(n.reopen(pipe.as_fd(), libc::O_WRONLY, 0)),
        libc::ENXIO
    );
    assert_eq!(
        errno(n.reopen(link.as_fd(), libc::O_RDONLY, 0)),
        libc::ELOOP
    );
    assert_eq!(errno(n.reopen(dir.as_fd(), libc::O_RDWR, 0)), libc::EISDIR);
    n.reopen(dir.as_fd(), libc::O_RDONLY | libc::O_DIRECTORY, 0)
        .unwrap();
    if let Ok(unnamed) = n.reopen(dir.as_fd(), libc::O_TMPFILE | libc::O_RDWR, 0o666) {
        let mode = fs::File::from(unnamed).metadata().unwrap();
        assert_eq!(
            std::os::unix::fs::MetadataExt::mode(&mode) & 0o777 & 0o027,
            0
        );
    }
    n.reopen(file.as_fd(), libc::O_WRONLY | libc::O_TRUNC, 0)
        .unwrap();
    assert_eq!(fs::read(path("moved")).unwrap(), b"");
    n.reply_value(0).unwrap();
    assert_eq!(
        n.reopen(file.as_fd(), 0, 0).unwrap_err().status(),
        Status::Answered
    );
    target.end();
}
