//! Opening what a target names.

mod support;

use std::ffi::CString;
use std::fs;
use std::io::Read;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{symlink, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use support::*;
use unotify::{Error, Notification, OpenHow, Status};

/// A directory to be emptied with the test. `outside/secret`, and in `root`: `etc/name`, `dir/sub/`.
struct Tree(PathBuf);

impl Tree {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let top =
            std::env::temp_dir().join(format!("unotify-open-{}-{number}", std::process::id()));
        fs::create_dir_all(top.join("root/etc")).unwrap();
        fs::create_dir_all(top.join("root/dir/sub")).unwrap();
        fs::create_dir_all(top.join("outside/dir")).unwrap();
        fs::write(top.join("root/etc/name"), "inside").unwrap();
        fs::write(top.join("root/dir/file"), "in dir").unwrap();
        fs::write(top.join("outside/secret"), "secret").unwrap();
        Tree(top.canonicalize().unwrap())
    }

    fn path(&self, below: &str) -> PathBuf {
        self.0.join(below)
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn chdir(path: &Path) {
    std::env::set_current_dir(path).unwrap();
}

fn chroot(path: &Path) {
    std::os::unix::fs::chroot(path).unwrap();
    chdir(Path::new("/"));
}

/// A target that asks about `path` relative to `dirfd`, once `prepare`d.
fn asking(path: &str, dirfd: i32, prepare: impl FnOnce()) -> (Asker, Notification) {
    let path = CString::new(path).unwrap();
    let target = Asker::under(
        &notifying(&["getppid"]),
        || {},
        move || {
            prepare();
            ask(path.as_ptr() as u64, dirfd as u64, 0) as i32
        },
    );
    let notification = target.receive();
    (target, notification)
}

fn open(n: &mut Notification, how: OpenHow) -> Result<OwnedFd, Error> {
    let [path, dirfd, ..] = n.request().args;
    n.open(dirfd as i32, path, how)
}

fn content(fd: OwnedFd) -> String {
    let mut text = String::new();
    fs::File::from(fd).read_to_string(&mut text).unwrap();
    text
}

/// What a target that is prepared so opens at `path`: its content, or the error number.
fn opens(path: &str, prepare: impl FnOnce()) -> Result<String, i32> {
    opens_with(path, OpenHow::new(libc::O_RDONLY), prepare)
}

fn opens_with(path: &str, how: OpenHow, prepare: impl FnOnce()) -> Result<String, i32> {
    let (target, mut n) = asking(path, libc::AT_FDCWD, prepare);
    let opened = open(&mut n, how).map(content).map_err(|e| e.errno());
    target.finish(n);
    opened
}

#[test]
fn an_absolute_path_is_opened() {
    let tree = Tree::new();
    let path = tree.path("root/etc/name");
    assert_eq!(opens(path.to_str().unwrap(), || {}).unwrap(), "inside");
}

#[test]
fn a_relative_path_starts_from_the_working_directory() {
    let tree = Tree::new();
    let dir = tree.path("root/dir/sub");
    assert_eq!(opens("../file", || chdir(&dir)).unwrap(), "in dir");
    assert_eq!(
        opens("./../../etc/../dir/file", || chdir(&dir)).unwrap(),
        "in dir"
    );
    assert_eq!(opens("file", || chdir(&dir)), Err(libc::ENOENT));
}

#[test]
fn a_relative_path_starts_from_the_targets_descriptor() {
    let tree = Tree::new();
    let dir = tree.path("root/dir/sub");
    let (target, mut n) = asking("../file", 50, || {
        let dir = fs::File::open(&dir).unwrap();
        // SAFETY: integers only.
        assert_eq!(unsafe { libc::dup2(dir.as_raw_fd(), 50) }, 50);
    });
    assert_eq!(content(open(&mut n, OpenHow::new(0)).unwrap()), "in dir");
    target.finish(n);
}

#[test]
fn a_thread_with_its_own_directory_and_descriptors_starts_from_those() {
    let tree = Tree::new();
    let dir = tree.path("root/dir");
    let target = Asker::start(|| {
        std::thread::spawn(move || {
            // SAFETY: integers only.
            let unshared = unsafe { libc::unshare(libc::CLONE_FS | libc::CLONE_FILES) };
            assert_eq!(unshared, 0);
            let sub = fs::File::open(dir.join("sub")).unwrap();
            chdir(&dir);
            ask(c"file".as_ptr() as u64, libc::AT_FDCWD as u64, 0);
            ask(c"../file".as_ptr() as u64, sub.as_raw_fd() as u64, 0) as i32
        })
        .join()
        .unwrap()
    });
    let mut n = target.receive();
    assert_eq!(content(open(&mut n, OpenHow::new(0)).unwrap()), "in dir");
    n.reply_value(0).unwrap();
    let mut n = target.receive();
    assert_eq!(content(open(&mut n, OpenHow::new(0)).unwrap()), "in dir");
    target.finish(n);
}

#[test]
fn a_descriptor_that_is_closed_or_no_directory_gives_the_error_of_openat() {
    let (target, mut n) = asking("name", 99, || {});
    let error = open(&mut n, OpenHow::new(0)).unwrap_err();
    assert_eq!(
        (error.status(), error.errno()),
        (Status::InvalidArgument, libc::EBADF)
    );
    target.finish(n);
    let (target, mut n) = asking("name", 50, || {
        let file = fs::File::open("/dev/null").unwrap();
        // SAFETY: integers only.
        unsafe { libc::dup2(file.as_raw_fd(), 50) };
    });
    assert_eq!(
        open(&mut n, OpenHow::new(0)).unwrap_err().errno(),
        libc::ENOTDIR
    );
    target.finish(n);
}

#[test]
fn nothing_leads_out_of_the_targets_root() {
    if !is_root() {
        return skip("takes the right to change the root directory");
    }
    let tree = Tree::new();
    let root = tree.path("root");
    let outside = tree.path("outside");
    symlink(&outside, root.join("absolute")).unwrap();
    symlink("../../../../outside", root.join("relative")).unwrap();
    symlink("/etc/name", root.join("dir/to-name")).unwrap();
    let inside = || {
        chroot(&root);
        chdir(Path::new("/dir/sub"));
    };
    assert_eq!(opens("/etc/name", inside).unwrap(), "inside");
    assert_eq!(opens("../../etc/name", inside).unwrap(), "inside");
    assert_eq!(opens("../to-name", inside).unwrap(), "inside");
    // Climbing stops at the root.
    assert_eq!(
        opens("../../../../../../etc/name", inside).unwrap(),
        "inside"
    );
    assert_eq!(opens("/../../etc/name", inside).unwrap(), "inside");
    let secret = outside.join("secret");
    for path in [
        secret.to_str().unwrap(),
        "../../../outside/secret",
        "/../outside/secret",
        "/absolute/secret",
        "../../relative/secret",
    ] {
        assert_eq!(opens(path, inside), Err(libc::ENOENT), "{path}");
    }
}

#[test]
fn a_start_outside_the_root_is_refused() {
    if !is_root() {
        return skip("takes the right to change the root directory");
    }
    let tree = Tree::new();
    let (root, outside) = (tree.path("root"), tree.path("outside"));
    // The working directory stays where it was.
    let leak = || {
        chdir(&outside);
        std::os::unix::fs::chroot(&root).unwrap();
    };
    assert_eq!(opens("secret", leak), Err(libc::EXDEV));
    assert_eq!(opens("dir/../secret", leak), Err(libc::EXDEV));
    assert_eq!(opens("/etc/name", leak).unwrap(), "inside");
}

/// A part of a file system that is mounted once more, in this mount namespace.
struct Bound(CString);

impl Bound {
    fn mount(from: &Path, at: &Path) -> Option<Bound> {
        let c = |path: &Path| CString::new(path.to_str().unwrap()).unwrap();
        let (from, at, none) = (c(from), c(at), std::ptr::null());
        // SAFETY: all strings are NUL-terminated.
        let done =
            unsafe { libc::mount(from.as_ptr(), at.as_ptr(), none, libc::MS_BIND, none.cast()) };
        (done == 0).then_some(Bound(at))
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        // SAFETY: NUL-terminated.
        unsafe { libc::umount2(self.0.as_ptr(), libc::MNT_DETACH) };
    }
}

#[test]
fn a_start_that_was_renamed_out_of_a_root_that_is_a_bind_mount_is_refused() {
    let tree = Tree::new();
    let (dir, root) = (tree.path("root/dir"), tree.path("outside/dir"));
    if !can("the right to mount", || Bound::mount(&dir, &root).is_some()) {
        return;
    }
    let _bound = Bound::mount(&dir, &root).unwrap();
    let prepare = || {
        chdir(&root.join("sub"));
        std::os::unix::fs::chroot(&root).unwrap();
    };
    fs::write(dir.join("sub/file"), "inside").unwrap();
    assert_eq!(opens("file", prepare).unwrap(), "inside");
    let (target, mut n) = asking("file", libc::AT_FDCWD, prepare);
    // It is on the same mount still.
    fs::rename(dir.join("sub"), tree.path("outside/sub")).unwrap();
    let opened = open(&mut n, OpenHow::new(0)).map(content);
    assert_eq!(opened.map_err(|e| e.errno()), Err(libc::EXDEV));
    target.finish(n);
}

#[test]
fn a_removed_start_is_refused() {
    let tree = Tree::new();
    let dir = tree.path("root/dir/sub");
    let removed = || {
        chdir(&dir);
        fs::remove_dir(&dir).unwrap();
    };
    assert_eq!(opens("../file", removed), Err(libc::ENOENT));
}

#[test]
fn a_start_whose_name_leads_elsewhere_is_refused() {
    let tree = Tree::new();
    let (dir, gone) = (tree.path("root/dir"), tree.path("root/dir (deleted)"));
    fs::create_dir(&gone).unwrap();
    fs::write(gone.join("file"), "the wrong one").unwrap();
    let removed = || {
        chdir(&dir.join("sub"));
        fs::remove_dir_all(&dir).unwrap();
        fs::rename(&gone, dir.with_file_name("dir")).unwrap();
        fs::create_dir(dir.join("sub (deleted)")).unwrap();
        fs::write(dir.join("sub (deleted)/file"), "the wrong one").unwrap();
    };
    assert_eq!(opens("file", removed), Err(libc::EXDEV));
}

#[test]
fn magic_links_are_not_followed() {
    let other = Process::fork(|| {
        // SAFETY: sleeps until it is killed.
        unsafe { libc::pause() }
    });
    for link in ["root/etc/passwd", "cwd/Cargo.toml", "exe", "ns/mnt", "fd/2"] {
        let path = format!("/proc/{}/{link}", other.pid);
        assert_eq!(opens(&path, || {}), Err(libc::ELOOP), "{path}");
    }
}

#[test]
fn the_supervisors_terminal_is_not_opened() {
    if fs::metadata("/dev/tty").is_err() {
        return skip("there is no /dev/tty");
    }
    assert_eq!(opens("/dev/tty", || {}), Err(libc::ENXIO));
}

#[test]
fn a_fifo_does_not_block_the_supervisor_and_blocks_its_reader() {
    let tree = Tree::new();
    let make = |name: &str| {
        let fifo = tree.path(name);
        let name = CString::new(fifo.to_str().unwrap()).unwrap();
        // SAFETY: NUL-terminated.
        assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
        fifo
    };
    let fifo = make("root/fifo");
    for (asked, kept) in [(0, 0), (libc::O_NONBLOCK, libc::O_NONBLOCK)] {
        let (target, mut n) = asking(fifo.to_str().unwrap(), libc::AT_FDCWD, || {});
        let opened = open(&mut n, OpenHow::new(asked)).unwrap();
        // SAFETY: integers only.
        let flags = unsafe { libc::fcntl(opened.as_raw_fd(), libc::F_GETFL) };
        assert_eq!(flags & libc::O_NONBLOCK, kept);
        target.finish(n);
    }
    // One that nobody has opened: other tests' targets may hold copies of what was opened here.
    let fifo = make("root/never-read");
    let writing = opens_with(fifo.to_str().unwrap(), OpenHow::new(libc::O_WRONLY), || {});
    assert_eq!(writing, Err(libc::ENXIO));
}

#[test]
fn a_created_file_honours_the_targets_umask() {
    let tree = Tree::new();
    let how = OpenHow::new(libc::O_CREAT | libc::O_RDWR | libc::O_EXCL).mode(0o666);
    let outcome = opens_with("new", how, || {
        chdir(&tree.path("root/dir"));
        // SAFETY: integers only.
        unsafe { libc::umask(0o077) };
    });
    assert_eq!(outcome.unwrap(), "");
    let mode = fs::metadata(tree.path("root/dir/new")).unwrap().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn flags_are_taken_as_open_takes_them() {
    let tree = Tree::new();
    let path = tree.path("root/link");
    symlink("etc/name", &path).unwrap();
    let path = path.to_str().unwrap();
    assert_eq!(
        opens_with(path, OpenHow::new(libc::O_NOFOLLOW), || {}),
        Err(libc::ELOOP)
    );
    assert_eq!(
        opens_with(path, OpenHow::new(libc::O_DIRECTORY), || {}),
        Err(libc::ENOTDIR)
    );
    // Unknown to the kernel, and ignored by open(2).
    assert_eq!(
        opens_with(path, OpenHow::new(1 << 30), || {}).unwrap(),
        "inside"
    );
    let (target, mut n) = asking(path, libc::AT_FDCWD, || {});
    let flags = libc::O_PATH | libc::O_NOFOLLOW | libc::O_RDWR | libc::O_APPEND;
    let link = open(&mut n, OpenHow::new(flags)).unwrap();
    assert!(fs::File::from(link).metadata().unwrap().is_symlink());
    target.finish(n);
}

#[test]
fn resolve_flags_are_those_of_openat2() {
    let tree = Tree::new();
    symlink("/file", tree.path("root/dir/to-file")).unwrap();
    let dir = || chdir(&tree.path("root/dir"));
    let how = |resolve| OpenHow::new(0).resolve(resolve);
    assert_eq!(
        opens_with("../etc/name", how(libc::RESOLVE_BENEATH), dir),
        Err(libc::EXDEV)
    );
    assert_eq!(
        opens_with("/etc/name", how(libc::RESOLVE_BENEATH), dir),
        Err(libc::EXDEV)
    );
    assert_eq!(
        opens_with("sub/../file", how(libc::RESOLVE_BENEATH), dir).unwrap(),
        "in dir"
    );
    assert_eq!(
        opens_with("to-file", how(libc::RESOLVE_IN_ROOT), dir).unwrap(),
        "in dir"
    );
    assert_eq!(
        opens_with("to-file", how(libc::RESOLVE_NO_SYMLINKS), dir),
        Err(libc::ELOOP)
    );
    assert_eq!(
        opens_with("file", how(libc::RESOLVE_NO_XDEV), dir).unwrap(),
        "in dir"
    );
}

#[test]
fn an_empty_path_is_the_descriptor_itself_if_so_asked() {
    let tree = Tree::new();
    assert_eq!(opens("", || {}), Err(libc::ENOENT));
    let file = tree.path("root/etc/name");
    let (target, mut n) = asking("", 50, || {
        let file = fs::File::open(&file).unwrap();
        // SAFETY: integers only.
        unsafe { libc::dup2(file.as_raw_fd(), 50) };
    });
    let how = OpenHow::new(0).empty_path(true);
    assert_eq!(content(open(&mut n, how).unwrap()), "inside");
    target.finish(n);
    let (target, mut n) = asking("", libc::AT_FDCWD, || chdir(&tree.path("root/etc")));
    let cwd = fs::File::from(open(&mut n, how).unwrap())
        .metadata()
        .unwrap();
    assert_eq!(
        cwd.ino(),
        fs::metadata(tree.path("root/etc")).unwrap().ino()
    );
    target.finish(n);
}

#[test]
fn the_path_is_the_targets_own() {
    let tree = Tree::new();
    let root = tree.path("root");
    let path = |path: &str, prepare: &dyn Fn()| {
        let (target, mut n) = asking(path, libc::AT_FDCWD, prepare);
        let [addr, dirfd, ..] = n.request().args;
        let path = n.read_path(dirfd as i32, addr).unwrap();
        target.finish(n);
        path.to_str().unwrap().to_owned()
    };
    let dir = root.join("dir");
    assert_eq!(path("/a/../b", &|| {}), "/a/../b");
    assert_eq!(
        path("./file", &|| chdir(&dir)),
        dir.join("file").to_str().unwrap()
    );
    assert_eq!(path(".", &|| chdir(&dir)), dir.to_str().unwrap());
    if is_root() {
        assert_eq!(
            path("file", &|| {
                chroot(&root);
                chdir(Path::new("/dir"))
            }),
            "/dir/file"
        );
        assert_eq!(path("file", &|| chroot(&root)), "/file");
    }
}

#[test]
fn a_target_in_another_mount_namespace_opens_what_is_mounted_there() {
    let tree = Tree::new();
    let dir = tree.path("root/dir");
    let mount = || {
        let dir = CString::new(dir.to_str().unwrap()).unwrap();
        let (none, private) = (std::ptr::null(), libc::MS_REC | libc::MS_PRIVATE);
        // SAFETY: all strings are NUL-terminated.
        unsafe {
            libc::unshare(libc::CLONE_NEWNS) == 0
                && libc::mount(none, c"/".as_ptr(), none, private, none.cast()) == 0
                && libc::mount(none, dir.as_ptr(), c"tmpfs".as_ptr(), 0, none.cast()) == 0
        }
    };
    let what = "the right to mount, and a root directory that is a mount point";
    if !can(what, mount) {
        return;
    }
    let prepare = || {
        assert!(mount());
        fs::write(dir.join("mounted"), "only here").unwrap();
        fs::create_dir(dir.join("below")).unwrap();
        chdir(&dir.join("below"));
    };
    assert_eq!(
        opens(dir.join("mounted").to_str().unwrap(), prepare).unwrap(),
        "only here"
    );
    assert_eq!(opens("../mounted", prepare).unwrap(), "only here");
    assert_eq!(opens("../../etc/name", prepare).unwrap(), "inside");
    assert!(!dir.join("mounted").exists());
}

#[test]
fn a_target_in_a_user_and_pid_namespace_is_served() {
    let tree = Tree::new();
    let dir = tree.path("root/dir");
    // SAFETY: integers only.
    let unshare = || unsafe { libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWPID) } == 0;
    if !can("the right to make namespaces", unshare) {
        return;
    }
    let target = Asker::start(|| {
        assert!(unshare());
        chdir(&dir);
        Process::fork(|| ask(c"file".as_ptr() as u64, libc::AT_FDCWD as u64, 0) as i32).wait()
    });
    let mut n = target.receive();
    assert_ne!(n.request().pid, target.process.pid);
    assert_eq!(content(open(&mut n, OpenHow::new(0)).unwrap()), "in dir");
    assert!(n.identity().unwrap().tgid > 1);
    let addr = n.request().args[0];
    assert_eq!(n.read_string(addr, &mut [0; 16]).unwrap(), c"file");
    n.get_fd(2).unwrap();
    n.open_pidfd().unwrap();
    target.finish(n);
}

#[test]
fn a_copy_of_the_supervisor_opens_as_well_but_for_targets_that_have_no_number_there() {
    let tree = Tree::new();
    let file = tree.path("root/etc/name");
    let name = CString::new(file.to_str().unwrap()).unwrap();
    let twice = || {
        let target = Asker::start(|| {
            let address = name.as_ptr() as u64;
            ask(address, libc::AT_FDCWD as u64, 0);
            ask(address, libc::AT_FDCWD as u64, 0) as i32
        });
        let mut n = target.receive();
        assert_eq!(content(open(&mut n, OpenHow::new(0)).unwrap()), "inside");
        n.reply_value(0).unwrap();
        target
    };
    let target = twice();
    in_child(|| {
        let mut n = target.receive();
        assert_eq!(content(open(&mut n, OpenHow::new(0)).unwrap()), "inside");
        n.reply_value(0).unwrap();
    });
    target.end();
    // SAFETY: integers only.
    let unshare = || unsafe { libc::unshare(libc::CLONE_NEWPID) } == 0;
    if !can("the right to make namespaces", unshare) {
        return;
    }
    // There the target has no number at all, and its number here may be another's.
    let target = twice();
    in_child(|| {
        assert!(unshare());
        let mut copy = Process::fork(|| {
            let mut n = target.receive();
            let refused = open(&mut n, OpenHow::new(0)).unwrap_err();
            n.reply_value(0).unwrap();
            i32::from(refused.status() != Status::NotVisible)
        });
        assert_eq!(copy.wait(), 0);
    });
    target.end();
}

#[test]
fn opening_takes_a_kernel_with_openat2() {
    in_child(|| {
        let (target, mut n) = asking("/dev/null", libc::AT_FDCWD, || {});
        refuse("openat2", libc::ENOSYS, &[]);
        let error = open(&mut n, OpenHow::new(0)).unwrap_err();
        assert_eq!(
            (error.status(), error.errno()),
            (Status::Unsupported, libc::ENOSYS)
        );
        // This kernel has it.
        assert!(
            error.to_string().contains("a filter on this supervisor"),
            "{error}"
        );
        target.finish(n);
    });
}

#[test]
fn a_filter_that_forbids_openat2_is_told_from_a_file_that_may_not_be_opened() {
    in_child(|| {
        let (target, mut n) = asking("/dev/null", libc::AT_FDCWD, || {});
        refuse("openat2", libc::EPERM, &[]);
        let error = open(&mut n, OpenHow::new(0)).unwrap_err();
        assert_eq!(
            (error.status(), error.errno()),
            (Status::Permission, libc::EPERM)
        );
        assert!(error.to_string().contains("openat2"), "{error}");
        target.finish(n);
    });
}

#[test]
fn a_bad_path_address_and_a_dead_target_are_told_apart() {
    let target = Asker::start(|| ask(8, libc::AT_FDCWD as u64, 0) as i32);
    let mut n = target.receive();
    assert_eq!(
        open(&mut n, OpenHow::new(0)).unwrap_err().status(),
        Status::Fault
    );
    target.kill();
    assert_eq!(
        open(&mut n, OpenHow::new(0)).unwrap_err().status(),
        Status::Gone
    );
}

#[test]
fn the_identity_is_the_targets() {
    if !is_root() {
        return skip("takes root, to be somebody else");
    }
    let target = Asker::start(|| {
        std::thread::spawn(|| {
            // SAFETY: integers only; the bare calls change this thread alone.
            unsafe {
                libc::syscall(libc::SYS_setresgid, 11, 12, 13);
                libc::syscall(libc::SYS_setresuid, 1, 2, 3);
            }
            ask(0, 0, 0) as i32
        })
        .join()
        .unwrap()
    });
    let mut n = target.receive();
    let identity = n.identity().unwrap();
    assert_eq!(identity.tgid, target.process.pid);
    assert_eq!((identity.uid, identity.euid, identity.fsuid), (1, 2, 2));
    assert_eq!((identity.gid, identity.egid, identity.fsgid), (11, 12, 12));
    target.finish(n);
}

#[test]
fn the_executable_is_the_targets() {
    let (target, mut n) = asking("", libc::AT_FDCWD, || {});
    assert_eq!(n.executable().unwrap(), std::env::current_exe().unwrap());
    target.finish(n);
}

/// What a target that is prepared so has as the parent of `path`: its inode and the last
/// component, or the error number.
fn parent(path: &str, prepare: impl FnOnce()) -> Result<(u64, CString), i32> {
    let (target, mut n) = asking(path, libc::AT_FDCWD, prepare);
    let addr = n.request().args[0];
    let found = n.open_parent(libc::AT_FDCWD, addr);
    target.finish(n);
    let (directory, name) = found.map_err(|e| e.errno())?;
    Ok((fs::File::from(directory).metadata().unwrap().ino(), name))
}

#[test]
fn the_parent_of_a_path_is_found_in_the_targets_root() {
    if !is_root() {
        return skip("takes the right to change the root directory");
    }
    let tree = Tree::new();
    let root = tree.path("root");
    let inode = |below: &str| fs::metadata(tree.path(below)).unwrap().ino();
    symlink("/dir", root.join("etc/to-dir")).unwrap();
    let inside = || {
        chroot(&root);
        chdir(Path::new("/dir/sub"));
    };
    for (path, directory, name) in [
        ("new", "root/dir/sub", c"new"),
        ("./new//", "root/dir/sub", c"new"),
        ("/new", "root", c"new"),
        ("/../../new", "root", c"new"),
        ("../../../../etc/new", "root/etc", c"new"),
        ("/etc/to-dir/new", "root/dir", c"new"),
        // The last component is not looked at, let alone followed.
        ("/etc/to-dir", "root/etc", c"to-dir"),
        ("/etc/to-dir/", "root/etc", c"to-dir"),
    ] {
        let expected = (inode(directory), name.to_owned());
        assert_eq!(parent(path, inside), Ok(expected), "{path}");
    }
}

#[test]
fn a_path_without_a_last_component_has_no_parent() {
    for (path, errno) in [
        ("", libc::ENOENT),
        ("/", libc::EEXIST),
        (".", libc::EEXIST),
        ("/tmp/..", libc::EEXIST),
        ("/no/such/directory", libc::ENOENT),
        ("/dev/null/name", libc::ENOTDIR),
    ] {
        assert_eq!(parent(path, || {}), Err(errno), "{path}");
    }
}

#[test]
fn an_unprivileged_supervisor_does_everything_to_a_target_of_its_own_user() {
    if !is_root() {
        return skip("takes root, to give it up");
    }
    in_child(|| {
        become_dumpable_nobody();
        let target = Asker::start(|| {
            let path = *b"/dev/null\0";
            ask(path.as_ptr() as u64, libc::AT_FDCWD as u64, 0) as i32
        });
        let mut n = target.receive();
        let addr = n.request().args[0];
        let file = open(&mut n, OpenHow::new(libc::O_RDWR)).unwrap();
        n.open_parent(libc::AT_FDCWD, addr).unwrap();
        n.read_path(libc::AT_FDCWD, addr).unwrap();
        n.get_fd(2).unwrap();
        n.open_pidfd().unwrap();
        n.executable().unwrap();
        assert_eq!(n.identity().unwrap().euid, 65534);
        n.write(addr, b"/dev/zero").unwrap();
        assert_eq!(n.read_string(addr, &mut [0; 16]).unwrap(), c"/dev/zero");
        n.add_fd(std::os::fd::AsFd::as_fd(&file), None, true)
            .unwrap();
        target.finish(n);
    });
}
