//! Opening what lies in allowed directories, and nothing else.

mod support;

use std::ffi::CString;
use std::fs;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{symlink, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use support::*;
use unotify::{Error, Notification, OpenHow, Rights, Roots, Status};

/// A directory to be emptied with the test: `allowed/file`, `allowed/dir/`, `outside/secret`.
struct Tree(PathBuf);

impl Tree {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let top =
            std::env::temp_dir().join(format!("unotify-roots-{}-{number}", std::process::id()));
        fs::create_dir_all(top.join("allowed/dir")).unwrap();
        fs::create_dir_all(top.join("outside/dir")).unwrap();
        fs::write(top.join("allowed/file"), "fine").unwrap();
        fs::write(top.join("outside/secret"), "secret").unwrap();
        Tree(top.canonicalize().unwrap())
    }

    fn path(&self, below: &str) -> PathBuf {
        self.0.join(below)
    }

    fn name(&self, below: &str) -> String {
        self.path(below).to_str().unwrap().to_owned()
    }

    /// With these rights in `allowed`.
    fn roots(&self, rights: Rights) -> Roots {
        roots(&[(&self.path("allowed"), rights)])
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn roots(allowed: &[(&Path, Rights)]) -> Roots {
    let mut roots = Roots::new().unwrap();
    for (path, rights) in allowed {
        roots.add(path, *rights).unwrap();
    }
    roots
}

fn chdir(path: &Path) {
    std::env::set_current_dir(path).unwrap();
}

fn chroot(path: &Path) {
    std::os::unix::fs::chroot(path).unwrap();
}

fn c(path: &Path) -> CString {
    CString::new(path.to_str().unwrap()).unwrap()
}

/// `mount(2)`; a bind mount without a type.
fn mount(from: &Path, at: &Path, kind: Option<&std::ffi::CStr>) -> bool {
    let flags = if kind.is_some() { 0 } else { libc::MS_BIND };
    let kind = kind.map_or(std::ptr::null(), |kind| kind.as_ptr());
    let (from, at) = (c(from), c(at));
    // SAFETY: all strings are NUL-terminated.
    unsafe { libc::mount(from.as_ptr(), at.as_ptr(), kind, flags, std::ptr::null()) == 0 }
}

fn unmount(at: &Path) -> bool {
    let at = c(at);
    // SAFETY: NUL-terminated.
    unsafe { libc::umount2(at.as_ptr(), libc::MNT_DETACH) == 0 }
}

/// A mount namespace of this process's own, whose mounts nobody else sees.
fn unshare(flags: i32) -> bool {
    let none = std::ptr::null();
    // SAFETY: integers and strings only.
    unsafe {
        libc::unshare(flags | libc::CLONE_NEWNS) == 0
            && libc::mount(
                none,
                c"/".as_ptr(),
                none,
                libc::MS_REC | libc::MS_PRIVATE,
                none.cast(),
            ) == 0
    }
}

/// A target that asks about `path` relative to `dirfd`, once `prepare`d.
fn asking(path: &str, dirfd: i32, prepare: impl FnOnce()) -> (Asker, Notification) {
    let path = CString::new(path).unwrap();
    let target = Asker::start(move || {
        prepare();
        ask(path.as_ptr() as u64, dirfd as u64, 0) as i32
    });
    let notification = target.receive();
    (target, notification)
}

fn open(n: &mut Notification, roots: &Roots, how: OpenHow) -> Result<OwnedFd, Error> {
    let [path, dirfd, ..] = n.request().args;
    n.open_within(roots, dirfd as i32, path, how)
}

fn content(fd: OwnedFd) -> String {
    let mut text = String::new();
    fs::File::from(fd).read_to_string(&mut text).unwrap();
    text
}

/// What a target that is prepared so opens at `path`: its content, or the error number.
fn opens_after(roots: &Roots, path: &str, prepare: impl FnOnce()) -> Result<String, i32> {
    let (target, mut n) = asking(path, libc::AT_FDCWD, prepare);
    let opened = open(&mut n, roots, OpenHow::new(0)).map(content);
    target.finish(n);
    opened.map_err(|e| e.errno())
}

fn opens(roots: &Roots, path: &str) -> Result<String, i32> {
    opens_after(roots, path, || {})
}

/// Opens with these flags, and says whether that worked.
fn with(roots: &Roots, path: &str, flags: i32) -> Result<(), i32> {
    let (target, mut n) = asking(path, libc::AT_FDCWD, || {});
    let opened = open(&mut n, roots, OpenHow::new(flags).mode(0o600));
    target.finish(n);
    opened.map(drop).map_err(|e| e.errno())
}

#[test]
fn what_lies_in_an_allowed_directory_is_opened_and_nothing_else() {
    let tree = Tree::new();
    let roots = tree.roots(Rights::READ);
    assert_eq!(opens(&roots, &tree.name("allowed/file")).unwrap(), "fine");
    assert_eq!(
        opens(&roots, &tree.name("allowed/./dir/../file")).unwrap(),
        "fine"
    );
    for path in ["outside/secret", "allowed/../outside/secret", "outside", ""] {
        assert_eq!(opens(&roots, &tree.name(path)), Err(libc::EACCES), "{path}");
    }
    assert_eq!(opens(&roots, &tree.name("allowed/none")), Err(libc::ENOENT));
    assert_eq!(
        opens(&roots, &tree.name("allowed/file/x")),
        Err(libc::ENOTDIR)
    );
    assert_eq!(
        opens(&Roots::new().unwrap(), &tree.name("allowed/file")),
        Err(libc::EACCES)
    );
}

#[test]
fn the_directory_itself_is_in_it_and_one_of_a_longer_name_is_not() {
    let tree = Tree::new();
    fs::create_dir(tree.path("allowed-not")).unwrap();
    let roots = tree.roots(Rights::READ);
    let read = libc::O_RDONLY | libc::O_DIRECTORY;
    assert_eq!(with(&roots, &tree.name("allowed"), read), Ok(()));
    assert_eq!(with(&roots, &tree.name("allowed/"), read), Ok(()));
    assert_eq!(with(&roots, &tree.name("allowed/."), read), Ok(()));
    assert_eq!(
        with(&roots, &tree.name("allowed-not"), read),
        Err(libc::EACCES)
    );
}

#[test]
fn links_are_followed_and_their_end_is_decided_on() {
    let tree = Tree::new();
    let roots = tree.roots(Rights::READ);
    symlink("../allowed/file", tree.path("outside/in")).unwrap();
    symlink("../outside/secret", tree.path("allowed/out")).unwrap();
    symlink(tree.path("outside"), tree.path("allowed/away")).unwrap();
    symlink(tree.path("allowed/file"), tree.path("allowed/round")).unwrap();
    assert_eq!(opens(&roots, &tree.name("outside/in")).unwrap(), "fine");
    assert_eq!(opens(&roots, &tree.name("allowed/round")).unwrap(), "fine");
    assert_eq!(opens(&roots, &tree.name("allowed/out")), Err(libc::EACCES));
    assert_eq!(
        opens(&roots, &tree.name("allowed/away/secret")),
        Err(libc::EACCES)
    );
    let nofollow = libc::O_RDONLY | libc::O_NOFOLLOW;
    assert_eq!(
        with(&roots, &tree.name("allowed/out"), nofollow),
        Err(libc::ELOOP)
    );
}

#[test]
fn relative_paths_are_decided_on_by_where_they_lead() {
    let tree = Tree::new();
    let roots = tree.roots(Rights::READ);
    let inside = || chdir(&tree.path("allowed/dir"));
    let outside = || chdir(&tree.path("outside"));
    assert_eq!(opens_after(&roots, "../file", inside).unwrap(), "fine");
    assert_eq!(
        opens_after(&roots, "../../outside/secret", inside),
        Err(libc::EACCES)
    );
    assert_eq!(opens_after(&roots, "secret", outside), Err(libc::EACCES));
    assert_eq!(
        opens_after(&roots, "../allowed/file", outside).unwrap(),
        "fine"
    );
    let (target, mut n) = asking("secret", 50, || {
        let dir = fs::File::open(tree.path("outside")).unwrap();
        // SAFETY: integers only.
        assert_eq!(unsafe { libc::dup2(dir.as_raw_fd(), 50) }, 50);
    });
    let error = open(&mut n, &roots, OpenHow::new(0)).unwrap_err();
    assert_eq!(
        (error.status(), error.errno()),
        (Status::System, libc::EACCES)
    );
    target.finish(n);
}

#[test]
fn a_right_is_needed_for_reading_writing_and_creating() {
    let tree = Tree::new();
    let (there, new) = (tree.name("allowed/file"), tree.name("allowed/new"));
    let (create, exclusive) = (libc::O_CREAT, libc::O_CREAT | libc::O_EXCL);
    let denied = Err(libc::EACCES);

    let read = tree.roots(Rights::READ);
    assert_eq!(with(&read, &there, libc::O_RDONLY), Ok(()));
    assert_eq!(with(&read, &there, create), Ok(()));
    for flags in [libc::O_WRONLY, libc::O_RDWR, libc::O_TRUNC, libc::O_ACCMODE] {
        assert_eq!(with(&read, &there, flags), denied, "{flags:#x}");
    }
    assert_eq!(with(&read, &new, create), denied);
    assert_eq!(with(&read, &there, exclusive), Err(libc::EEXIST));
    assert_eq!(fs::read(&there).unwrap(), b"fine");

    let write = tree.roots(Rights::WRITE);
    assert_eq!(with(&write, &there, libc::O_WRONLY | create), Ok(()));
    assert_eq!(with(&write, &there, libc::O_RDONLY), denied);
    assert_eq!(with(&write, &there, libc::O_RDWR), denied);
    assert_eq!(with(&write, &new, libc::O_WRONLY | create), denied);

    let make = tree.roots(Rights::WRITE | Rights::CREATE);
    assert_eq!(with(&make, &new, libc::O_RDWR | create), denied);
    assert!(fs::metadata(&new).is_err());
    assert_eq!(with(&make, &new, libc::O_WRONLY | exclusive), Ok(()));
    assert_eq!(
        with(&make, &new, libc::O_WRONLY | exclusive),
        Err(libc::EEXIST)
    );
    assert_eq!(
        with(&make, &there, libc::O_WRONLY | libc::O_TRUNC | create),
        Ok(())
    );
    assert_eq!(fs::read(&there).unwrap(), b"");
    let unnamed = libc::O_TMPFILE | libc::O_WRONLY;
    assert_eq!(with(&make, &tree.name("allowed/dir"), unnamed), Ok(()));
    assert_eq!(with(&make, &tree.name("outside"), unnamed), denied);
    assert_eq!(with(&write, &tree.name("allowed/dir"), unnamed), denied);

    assert_eq!(with(&write, &there, libc::O_PATH), Ok(()));
    assert_eq!(with(&write, &tree.name("outside"), libc::O_PATH), denied);
}

#[test]
fn nothing_is_created_or_truncated_outside() {
    let tree = Tree::new();
    let all = tree.roots(Rights::all());
    symlink("../outside", tree.path("allowed/away")).unwrap();
    symlink("../outside/new", tree.path("allowed/nowhere")).unwrap();
    symlink("../outside/secret", tree.path("allowed/out")).unwrap();
    let create = libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC;
    for path in [
        "outside/new",
        "allowed/away/new",
        "allowed/../new",
        "allowed/out",
    ] {
        assert_eq!(
            with(&all, &tree.name(path), create),
            Err(libc::EACCES),
            "{path}"
        );
    }
    assert_eq!(
        with(&all, &tree.name("allowed/nowhere"), create),
        Err(libc::EEXIST)
    );
    assert_eq!(
        with(&all, &tree.name("allowed/dir/new/"), create),
        Err(libc::EISDIR)
    );
    assert_eq!(fs::read(tree.path("outside/secret")).unwrap(), b"secret");
    assert!(fs::metadata(tree.path("outside/new")).is_err());
}

#[test]
fn rights_of_directories_within_each_other_add_up() {
    let tree = Tree::new();
    fs::write(tree.path("allowed/dir/file"), "deep").unwrap();
    let both = roots(&[
        (&tree.path("allowed"), Rights::READ),
        (&tree.path("allowed/dir"), Rights::WRITE),
    ]);
    let deep = tree.name("allowed/dir/file");
    assert_eq!(with(&both, &deep, libc::O_RDWR), Ok(()));
    assert_eq!(with(&both, &deep, libc::O_RDONLY), Ok(()));
    let there = tree.name("allowed/file");
    assert_eq!(with(&both, &there, libc::O_RDWR), Err(libc::EACCES));
    // One that has left is not within any more.
    fs::rename(tree.path("allowed/dir"), tree.path("outside/left")).unwrap();
    let left = tree.name("outside/left/file");
    assert_eq!(with(&both, &left, libc::O_WRONLY), Ok(()));
    assert_eq!(with(&both, &left, libc::O_RDONLY), Err(libc::EACCES));
}

#[test]
fn a_single_file_is_allowed_as_it_is() {
    let tree = Tree::new();
    let one = roots(&[(&tree.path("outside/secret"), Rights::READ)]);
    let (path, other) = (tree.name("outside/secret"), tree.path("outside/other"));
    assert_eq!(opens(&one, &path).unwrap(), "secret");
    fs::rename(&path, &other).unwrap();
    fs::write(&path, "another").unwrap();
    assert_eq!(opens(&one, &path), Err(libc::EACCES));
    assert_eq!(opens(&one, other.to_str().unwrap()).unwrap(), "secret");
}

#[test]
fn a_hard_link_is_decided_on_by_the_directory_it_lies_in() {
    let tree = Tree::new();
    let roots = tree.roots(Rights::READ);
    fs::hard_link(tree.path("outside/secret"), tree.path("allowed/linked")).unwrap();
    fs::hard_link(tree.path("allowed/file"), tree.path("outside/alias")).unwrap();
    assert_eq!(
        opens(&roots, &tree.name("allowed/linked")).unwrap(),
        "secret"
    );
    assert_eq!(
        opens(&roots, &tree.name("outside/secret")),
        Err(libc::EACCES)
    );
    assert_eq!(
        opens(&roots, &tree.name("outside/alias")),
        Err(libc::EACCES)
    );
}

#[test]
fn the_root_directory_is_everything() {
    let tree = Tree::new();
    let read = roots(&[(Path::new("/"), Rights::READ)]);
    assert_eq!(
        opens(&read, &tree.name("outside/secret")).unwrap(),
        "secret"
    );
    let dir = tree.path("outside/dir");
    assert_eq!(
        opens_after(&read, "../secret", || chdir(&dir)).unwrap(),
        "secret"
    );
    let path = tree.name("outside/secret");
    assert_eq!(with(&read, &path, libc::O_WRONLY), Err(libc::EACCES));
    let both = roots(&[
        (Path::new("/"), Rights::READ),
        (&tree.path("allowed"), Rights::all()),
    ]);
    assert_eq!(with(&both, &path, libc::O_RDWR), Err(libc::EACCES));
    let path = tree.name("allowed/file");
    assert_eq!(with(&both, &path, libc::O_RDWR), Ok(()));
}

/// What a target of [`reply_within`] came to: how much it read, or the error number made negative.
fn reply_within(roots: &Roots, path: &str, flags: i32, prepare: impl FnOnce()) -> i32 {
    let path = CString::new(path).unwrap();
    let target = Asker::start(move || {
        prepare();
        let fd = ask(path.as_ptr() as u64, libc::AT_FDCWD as u64, flags as u64) as i32;
        if fd < 0 {
            return -fd;
        }
        let mut text = [0u8; 64];
        // SAFETY: as much as there is room for.
        let count = unsafe { libc::read(fd, text.as_mut_ptr().cast(), text.len()) };
        100 + count.max(0) as i32
    });
    let mut n = target.receive();
    let [path, dirfd, flags, ..] = n.request().args;
    let how = OpenHow::new(flags as i32).mode(0o600);
    if let Err(error) = n.reply_open_within(roots, dirfd as i32, path, how) {
        n.reply_error(error.errno()).unwrap();
    }
    let Asker { mut process, .. } = target;
    process.wait()
}

#[test]
fn what_is_allowed_is_answered_with() {
    let tree = Tree::new();
    let all = tree.roots(Rights::all());
    let file = tree.name("allowed/file");
    assert_eq!(reply_within(&all, &file, libc::O_RDONLY, || {}), 104);
    let dir = tree.path("allowed/dir");
    assert_eq!(reply_within(&all, "../file", 0, || chdir(&dir)), 104);
    let secret = tree.name("outside/secret");
    assert_eq!(reply_within(&all, &secret, 0, || {}), libc::EACCES);
    let create = libc::O_CREAT | libc::O_WRONLY;
    let new = tree.name("allowed/new");
    assert_eq!(reply_within(&all, &new, create, || {}), 100);
    assert!(fs::metadata(&new).is_ok());
    let directory = libc::O_DIRECTORY;
    let inside = || chdir(&tree.path("allowed"));
    assert_eq!(reply_within(&all, "dir", directory, inside), 100);
    assert_eq!(reply_within(&all, "file", directory, inside), libc::ENOTDIR);
    let outside = || chdir(&tree.path("outside"));
    assert_eq!(reply_within(&all, "dir", directory, outside), libc::EACCES);
}

#[test]
fn a_fifo_is_waited_for_without_the_caller() {
    let tree = Tree::new();
    let all = tree.roots(Rights::all());
    let (path, name) = (tree.path("allowed/fifo"), tree.name("allowed/fifo"));
    // SAFETY: NUL-terminated.
    assert_eq!(unsafe { libc::mkfifo(c(&path).as_ptr(), 0o600) }, 0);
    let writer = std::thread::spawn(move || {
        std::thread::sleep(MOMENT);
        fs::write(path, "hello").unwrap();
    });
    assert_eq!(reply_within(&all, &name, libc::O_RDONLY, || {}), 105);
    writer.join().unwrap();
}

#[test]
fn self_is_the_target_and_what_it_has_open_is_decided_on() {
    let tree = Tree::new();
    let proc = roots(&[
        (Path::new("/proc"), Rights::READ),
        (&tree.path("allowed"), Rights::READ),
    ]);
    let open_at = |fd: i32, path: PathBuf| {
        move || {
            let file = fs::File::open(&path).unwrap();
            // SAFETY: integers only.
            assert_eq!(unsafe { libc::dup2(file.as_raw_fd(), fd) }, fd);
        }
    };
    let status = opens(&proc, "/proc/self/status").unwrap();
    let own = format!("\nPid:\t{}\n", std::process::id());
    assert!(status.contains("\nPid:\t") && !status.contains(&own));
    let inside = open_at(51, tree.path("allowed/file"));
    assert_eq!(
        opens_after(&proc, "/proc/self/fd/51", inside).unwrap(),
        "fine"
    );
    let outside = open_at(51, tree.path("outside/secret"));
    assert_eq!(opens_after(&proc, "/dev/fd/51", outside), Err(libc::EACCES));
    let directory = open_at(51, tree.path("outside"));
    assert_eq!(
        opens_after(&proc, "/proc/self/fd/51/secret", directory),
        Err(libc::EACCES)
    );
    let magic = format!("/proc/self/root{}", tree.name("allowed/file"));
    assert_eq!(opens(&proc, &magic), Err(libc::ELOOP));
    let own = format!("/proc/{}/status", std::process::id());
    assert_eq!(opens(&proc, &own), Err(libc::ELOOP));
}

#[test]
fn a_target_with_another_root_gets_what_its_own_paths_lead_to() {
    let tree = Tree::new();
    if !can("the right to change the root directory", || {
        chroot(&tree.path("outside"));
        true
    }) {
        return;
    }
    let roots = tree.roots(Rights::READ);
    let path = tree.name("allowed/file");
    // In there the same path leads to another file.
    let fake = tree.path("outside");
    let copy = fake.join(path.trim_start_matches('/'));
    fs::create_dir_all(copy.parent().unwrap()).unwrap();
    fs::write(&copy, "secret").unwrap();
    assert_eq!(
        opens_after(&roots, &path, || chroot(&fake)),
        Err(libc::EACCES)
    );
    let inside = || chroot(&tree.path("allowed"));
    assert_eq!(opens_after(&roots, "/file", inside).unwrap(), "fine");
    assert_eq!(opens_after(&roots, &path, inside), Err(libc::ENOENT));
}

#[test]
fn a_directory_outside_the_targets_root_is_followed_as_far_as_the_path_stays_below() {
    let tree = Tree::new();
    if !can("the right to change the root directory", || {
        chroot(&tree.path("outside"));
        true
    }) {
        return;
    }
    let roots = tree.roots(Rights::all());
    let leak = |from: &'static str| {
        let (tree, from) = (&tree, from);
        move || {
            chdir(&tree.path(from));
            chroot(&tree.path("outside/dir"));
        }
    };
    assert_eq!(
        opens_after(&roots, "file", leak("allowed")).unwrap(),
        "fine"
    );
    assert_eq!(
        opens_after(&roots, "dir/../file", leak("allowed")).unwrap(),
        "fine"
    );
    assert_eq!(
        opens_after(&roots, "secret", leak("outside")),
        Err(libc::EACCES)
    );
    assert_eq!(
        opens_after(&roots, "../file", leak("allowed/dir")),
        Err(libc::EXDEV)
    );
    let proc = self::roots(&[(Path::new("/proc"), Rights::READ)]);
    let (target, mut n) = asking("self/status", libc::AT_FDCWD, || {
        chdir(Path::new("/proc"));
        chroot(&tree.path("outside/dir"));
    });
    let status = content(open(&mut n, &proc, OpenHow::new(0)).unwrap());
    assert!(status.contains(&format!("\nPid:\t{}\n", n.request().pid)));
    target.finish(n);
    let own: &'static str = Box::leak(format!("{}/status", std::process::id()).into_boxed_str());
    let into_proc = || {
        chdir(Path::new("/proc"));
        chroot(&tree.path("outside/dir"));
    };
    assert!(opens_after(&proc, own, into_proc).is_err());
}

#[test]
fn a_target_that_is_taken_to_see_the_same_paths_gets_nothing_else_that_is_not_allowed() {
    let tree = Tree::new();
    if !can("the right to change the root directory", || {
        chroot(&tree.path("outside"));
        true
    }) {
        return;
    }
    let roots = tree.roots(Rights::READ).same_paths();
    assert_eq!(opens(&roots, &tree.name("allowed/file")).unwrap(), "fine");
    let elsewhere = || chroot(&tree.path("outside"));
    assert_eq!(
        opens_after(&roots, &tree.name("allowed/file"), elsewhere).unwrap(),
        "fine"
    );
    assert_eq!(opens_after(&roots, "/secret", elsewhere), Err(libc::EACCES));
}

#[test]
fn a_mount_belongs_to_a_directory_if_it_was_there_when_the_directory_was_added() {
    if !can("the right to mount", || unshare(0)) {
        return;
    }
    if kernel_before(6, 8) {
        return skip("before Linux 6.8 nothing that is mounted below a directory is in it");
    }
    in_child(|| {
        assert!(unshare(0));
        let tree = Tree::new();
        let (early, late) = (tree.path("allowed/early one"), tree.path("allowed/late"));
        for at in [&early, &late] {
            fs::create_dir(at).unwrap();
        }
        assert!(mount(&tree.path("outside"), &early, None));
        let roots = tree.roots(Rights::all());
        assert!(mount(&tree.path("outside"), &late, None));
        let open = |name: &str| opens(&roots, &tree.name(name));
        assert_eq!(open("allowed/early one/secret").unwrap(), "secret");
        assert_eq!(open("allowed/late/secret"), Err(libc::EACCES));
        let inside = || chdir(&late);
        assert_eq!(opens_after(&roots, "secret", inside), Err(libc::EACCES));
        let create = libc::O_CREAT | libc::O_WRONLY;
        let new = tree.name("allowed/late/new");
        assert_eq!(with(&roots, &new, create), Err(libc::EACCES));
        assert!(fs::metadata(tree.path("outside/new")).is_err());
        let truncate = libc::O_TRUNC | libc::O_WRONLY;
        let secret = tree.name("allowed/late/secret");
        assert_eq!(with(&roots, &secret, truncate), Err(libc::EACCES));
        assert_eq!(fs::read(tree.path("outside/secret")).unwrap(), b"secret");
        assert!(unmount(&early));
        assert!(mount(&tree.path("outside"), &early, None));
        assert_eq!(open("allowed/early one/secret"), Err(libc::EACCES));
    });
}

#[test]
fn a_target_in_another_mount_namespace_gets_what_is_allowed_and_as_it_is_mounted_there() {
    let tree = Tree::new();
    let (allowed, outside) = (tree.path("allowed"), tree.path("outside"));
    if !can("the right to mount", || unshare(0)) {
        return;
    }
    let roots = tree.roots(Rights::all());
    let over = || {
        assert!(unshare(0));
        assert!(mount(&outside, &allowed, None));
    };
    assert_eq!(
        opens_after(&roots, &tree.name("allowed/secret"), over),
        Err(libc::EACCES)
    );
    let read_only = || {
        assert!(unshare(0));
        assert!(mount(&allowed, &allowed, None));
        let (at, none) = (c(&allowed), std::ptr::null());
        let flags = libc::MS_REMOUNT | libc::MS_BIND | libc::MS_RDONLY;
        // SAFETY: NUL-terminated.
        let done = unsafe { libc::mount(none, at.as_ptr(), none, flags, none.cast()) };
        assert_eq!(done, 0);
    };
    let path = tree.name("allowed/file");
    assert_eq!(opens_after(&roots, &path, read_only).unwrap(), "fine");
    let (target, mut n) = asking(&path, libc::AT_FDCWD, read_only);
    let writing = open(&mut n, &roots, OpenHow::new(libc::O_WRONLY));
    assert_eq!(writing.unwrap_err().errno(), libc::EROFS);
    target.finish(n);
}

#[test]
fn a_bad_path_and_a_dead_target_are_told_apart() {
    let roots = Roots::new().unwrap();
    let (target, mut n) = asking("x", libc::AT_FDCWD, || {});
    let error = n.open_within(&roots, libc::AT_FDCWD, 8, OpenHow::new(0));
    assert_eq!(error.unwrap_err().status(), Status::Fault);
    target.kill();
    let error = open(&mut n, &roots, OpenHow::new(0)).unwrap_err();
    assert_eq!(error.status(), Status::Gone);
}

#[test]
fn what_cannot_be_added_says_why() {
    let mut roots = Roots::new().unwrap();
    let error = roots.add("/does/not/exist", Rights::READ).unwrap_err();
    assert_eq!(
        (error.status(), error.errno()),
        (Status::System, libc::ENOENT)
    );
    assert!(error.to_string().contains("/does/not/exist"), "{error}");
}

// --- Hostile targets -----------------------------------------------------------------------------

/// How a hostile target tries.
type Attack = fn(&Ground);

/// What hostile targets work on.
struct Ground {
    top: PathBuf,
    kind: usize,
    parent: u32,
}

impl Ground {
    fn path(&self, below: &str) -> PathBuf {
        self.top.join(below)
    }

    fn name(&self, below: &str) -> CString {
        c(&self.path(below))
    }

    /// Asks for a path again and again with what follows from each `round`.
    fn try_for_ever(&self, tries: &[(CString, i32)]) -> ! {
        loop {
            for flags in [
                libc::O_RDONLY,
                libc::O_PATH,
                libc::O_WRONLY | libc::O_TRUNC,
                libc::O_RDONLY | libc::O_CREAT,
                libc::O_RDWR,
                libc::O_DIRECTORY,
            ] {
                for (path, dirfd) in tries {
                    let what = ((self.kind as u64) << 32) | flags as u64;
                    ask(path.as_ptr() as u64, *dirfd as u64, what);
                }
            }
        }
    }

    fn try_paths(&self, paths: &[&str]) -> ! {
        let tries = paths.iter().map(|path| (self.name(path), libc::AT_FDCWD));
        self.try_for_ever(&tries.collect::<Vec<_>>())
    }

    fn try_texts(&self, texts: &[&str]) -> ! {
        let texts = texts
            .iter()
            .map(|text| (CString::new(*text).unwrap(), libc::AT_FDCWD));
        self.try_for_ever(&texts.collect::<Vec<_>>())
    }
}

/// Leaves the processor to who asks and answers, when they have something to do.
fn stand_back() {
    // SAFETY: integers only.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 15) };
}

/// Does something over and over in a process of its own.
fn meanwhile(mut what: impl FnMut()) {
    std::mem::forget(Process::fork(move || {
        stand_back();
        loop {
            what();
        }
    }));
}

/// The same in a thread, which shares directories, descriptors and memory.
fn in_a_thread(mut what: impl FnMut() + Send + 'static) {
    std::thread::spawn(move || {
        stand_back();
        loop {
            what();
        }
    });
}

fn exchange(a: &CString, b: &CString) {
    // SAFETY: both are NUL-terminated.
    unsafe {
        libc::syscall(
            libc::SYS_renameat2,
            libc::AT_FDCWD,
            a.as_ptr(),
            libc::AT_FDCWD,
            b.as_ptr(),
            libc::RENAME_EXCHANGE,
        )
    };
}

fn rename(a: &CString, b: &CString) {
    // SAFETY: both are NUL-terminated.
    unsafe { libc::rename(a.as_ptr(), b.as_ptr()) };
}

/// In user and mount namespaces of its own.
fn unshare_with_user() {
    assert!(unshare(libc::CLONE_NEWUSER));
}

/// A link and what it leads to take turns under one name.
fn swap_links(ground: &Ground) {
    let (a, b) = (
        ground.name("allowed/swap/name"),
        ground.name("allowed/swap/link"),
    );
    let (d, e) = (
        ground.name("allowed/swap/dir"),
        ground.name("allowed/swap/away"),
    );
    meanwhile(move || {
        exchange(&a, &b);
        exchange(&d, &e);
    });
    ground.try_paths(&[
        "allowed/swap/name",
        "allowed/swap/dir/file",
        "allowed/swap/dir/secret",
    ])
}

/// A directory is moved out and in while paths lead up from it.
fn move_directories(ground: &Ground) {
    let (inside, outside) = (ground.name("allowed/move/deep/b"), ground.name("outside/b"));
    meanwhile(move || {
        rename(&inside, &outside);
        rename(&outside, &inside);
    });
    ground.try_paths(&[
        "allowed/move/deep/b/../secret",
        "allowed/move/deep/b/../file",
        "allowed/move/deep/b/file",
        "allowed/move/deep/b/../../../outside/secret",
    ])
}

/// The working directory is moved out and in.
fn move_the_working_directory(ground: &Ground) {
    let (inside, outside) = (ground.name("allowed/cwd/deep/d"), ground.name("outside/d"));
    chdir(&ground.path("allowed/cwd/deep/d"));
    meanwhile(move || {
        rename(&inside, &outside);
        rename(&outside, &inside);
    });
    ground.try_texts(&["../secret", "../file", "file", "../../../outside/secret"])
}

/// What is not allowed is mounted where it is, here.
fn mount_here(ground: &Ground) {
    let (from, at) = (ground.path("outside"), ground.path("allowed/mnt"));
    let (file, over) = (
        ground.path("outside/secret"),
        ground.path("allowed/mounted"),
    );
    meanwhile(move || {
        mount(&from, &at, None);
        mount(&file, &over, None);
        unmount(&over);
        unmount(&at);
    });
    ground.try_paths(&[
        "allowed/mnt/secret",
        "allowed/mnt/file",
        "allowed/mounted",
        "allowed/mnt/../mnt/secret",
    ])
}

/// The same in a namespace of the target's own.
fn mount_there(ground: &Ground) {
    unshare_with_user();
    let (from, at) = (ground.path("outside"), ground.path("allowed"));
    let (file, over) = (ground.path("outside/secret"), ground.path("allowed/file"));
    meanwhile(move || {
        mount(&file, &over, None);
        unmount(&over);
        mount(&from, &at, None);
        mount(Path::new("none"), &at, Some(c"tmpfs"));
        let _ = fs::write(at.join("secret"), "mine");
        unmount(&at);
        unmount(&at);
    });
    ground.try_paths(&["allowed/secret", "allowed/file", "allowed/dir/file"])
}

/// Another root directory, in which the paths lead elsewhere; changed back and forth by a thread.
fn change_the_root(ground: &Ground) {
    let (fake, real) = (ground.path("fake"), fs::File::open("/").unwrap());
    in_a_thread(move || {
        let _ = std::os::unix::fs::chroot(&fake);
        // SAFETY: an open descriptor.
        unsafe { libc::fchdir(real.as_raw_fd()) };
        let _ = std::os::unix::fs::chroot(".");
    });
    ground.try_paths(&["allowed/file", "allowed/secret", "allowed/dir/file"])
}

/// Another root directory in namespaces of its own.
fn pivot(ground: &Ground) {
    let names =
        ["allowed/file", "allowed/secret", "allowed/dir/file"].map(|name| ground.name(name));
    unshare_with_user();
    let fake = ground.path("fake");
    assert!(mount(&fake, &fake, None));
    chdir(&fake);
    // SAFETY: NUL-terminated.
    let pivoted = unsafe { libc::syscall(libc::SYS_pivot_root, c".".as_ptr(), c".".as_ptr()) };
    assert_eq!(pivoted, 0);
    assert!(unmount(Path::new(".")));
    ground.try_for_ever(&names.map(|name| (name, libc::AT_FDCWD)))
}

/// The working directory changes meanwhile.
fn change_the_working_directory(ground: &Ground) {
    let (inside, outside) = (ground.path("allowed/dir"), ground.path("outside"));
    let (inside, outside) = (
        fs::File::open(inside).unwrap(),
        fs::File::open(outside).unwrap(),
    );
    in_a_thread(move || {
        // SAFETY: open descriptors.
        unsafe {
            libc::fchdir(inside.as_raw_fd());
            libc::fchdir(outside.as_raw_fd());
        }
    });
    ground.try_texts(&[
        "file",
        "secret",
        ".",
        "dir",
        "./secret",
        "../outside/secret",
        "../allowed/file",
    ])
}

/// Which directory a descriptor stands for changes meanwhile.
fn change_descriptors(ground: &Ground) {
    let inside = fs::File::open(ground.path("allowed/dir")).unwrap();
    let outside = fs::File::open(ground.path("outside")).unwrap();
    let secret = fs::File::open(ground.path("outside/secret")).unwrap();
    let fine = fs::File::open(ground.path("allowed/file")).unwrap();
    in_a_thread(move || {
        // SAFETY: open descriptors.
        unsafe {
            libc::dup2(inside.as_raw_fd(), 70);
            libc::dup2(fine.as_raw_fd(), 71);
            libc::dup2(outside.as_raw_fd(), 70);
            libc::dup2(secret.as_raw_fd(), 71);
        }
    });
    let text = |text: &str| CString::new(text).unwrap();
    ground.try_for_ever(&[
        (text("file"), 70),
        (text("secret"), 70),
        (text("."), 70),
        (text("dir"), 70),
        (text("/proc/self/fd/71"), libc::AT_FDCWD),
        (text("/dev/fd/71"), libc::AT_FDCWD),
        (text("/proc/self/fd/70/secret"), libc::AT_FDCWD),
        (text("/proc/thread-self/fd/70/file"), libc::AT_FDCWD),
    ])
}

/// Ways through `/proc`.
fn through_proc(ground: &Ground) {
    chdir(&ground.path("outside"));
    let (me, parent) = (std::process::id(), ground.parent);
    let secret = ground.path("outside/secret");
    let secret = secret.to_str().unwrap();
    let fine = ground.path("allowed/file");
    let texts = [
        format!("/proc/self/root{secret}"),
        "/proc/self/cwd/secret".into(),
        format!("/proc/{me}/cwd/secret"),
        format!("/proc/{parent}/root{secret}"),
        format!("/proc/{me}/task/{me}/cwd/secret"),
        format!("/proc/self/../..{secret}"),
        format!("/proc/{me}/../..{}", fine.to_str().unwrap()),
    ];
    let texts: Vec<_> = texts.iter().map(String::as_str).collect();
    ground.try_texts(&texts)
}

/// The path itself changes meanwhile.
fn change_the_path(ground: &Ground) {
    let (a, b) = (ground.name("allowed/file"), ground.name("outside/secret"));
    let longest = a.as_bytes_with_nul().len().max(b.as_bytes_with_nul().len());
    let room: &'static mut [u8] = Box::leak(vec![0; longest].into_boxed_slice());
    let at = room.as_ptr() as usize;
    in_a_thread(move || {
        for text in [&a, &b] {
            for (i, byte) in text.as_bytes_with_nul().iter().enumerate() {
                // SAFETY: within the leaked room; whoever reads it is another process.
                unsafe { ((at + i) as *mut u8).write_volatile(*byte) };
            }
        }
    });
    loop {
        for flags in [libc::O_RDONLY, libc::O_PATH, libc::O_WRONLY | libc::O_TRUNC] {
            ask(
                at as u64,
                libc::AT_FDCWD as u64,
                ((ground.kind as u64) << 32) | flags as u64,
            );
        }
    }
}

/// Hard links come and go: of what is allowed to where it is not, and back.
fn link_hard(ground: &Ground) {
    let (inside, outside) = (
        ground.path("allowed/dir/file"),
        ground.path("outside/alias"),
    );
    let (link, other) = (ground.path("allowed/hard"), ground.path("allowed/file"));
    let away = ground.name("outside/hard");
    let name = c(&link);
    meanwhile(move || {
        let _ = fs::hard_link(&inside, &outside);
        let _ = fs::hard_link(&other, &link);
        rename(&name, &away);
        let _ = fs::remove_file(&outside);
        rename(&away, &name);
        let _ = fs::remove_file(&link);
    });
    ground.try_paths(&[
        "allowed/hard",
        "outside/alias",
        "allowed/hard/../../outside/secret",
    ])
}

const ATTACKS: [(&str, Attack); 12] = [
    ("links that are swapped", swap_links),
    ("directories that are moved", move_directories),
    (
        "a working directory that is moved",
        move_the_working_directory,
    ),
    ("mounts here", mount_here),
    ("mounts in a namespace of its own", mount_there),
    ("chroot", change_the_root),
    ("pivot_root", pivot),
    ("fchdir", change_the_working_directory),
    ("descriptors that are exchanged", change_descriptors),
    ("/proc", through_proc),
    ("a path that is changed", change_the_path),
    ("hard links", link_hard),
];

/// All files below, links not followed. A directory may be moved away by then: those who attack go on for
/// a moment after the target's end.
fn files(top: &Path, found: &mut Vec<PathBuf>) {
    let entries = match fs::read_dir(top) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return,
        entries => entries.unwrap(),
    };
    for entry in entries {
        let entry = entry.unwrap();
        found.push(entry.path());
        if entry.file_type().unwrap().is_dir() {
            files(&entry.path(), found);
        }
    }
}

fn number(file: &fs::Metadata) -> (u64, u64) {
    (file.dev(), file.ino())
}

/// `UNOTIFY_TEST_HOSTILE` is how many attempts it takes, for a longer look than usual, which takes
/// `UNOTIFY_TEST_SLOWNESS` too.
#[test]
fn no_attempt_of_hostile_targets_passes() {
    let usual = fewer(24_000);
    let attempts = std::env::var("UNOTIFY_TEST_HOSTILE").map_or(usual, |n| n.parse().unwrap());
    if !can("the right to mount, and user namespaces", || {
        unshare(0) && unshare(libc::CLONE_NEWUSER)
    }) {
        return;
    }
    in_child(move || {
        assert!(unshare(0));
        let tree = Tree::new();
        for dir in ["move/deep/b", "cwd/deep/d", "mnt", "swap/dir"] {
            fs::create_dir_all(tree.path("allowed").join(dir)).unwrap();
        }
        let fake = tree
            .path("fake")
            .join(tree.path("allowed").strip_prefix("/").unwrap());
        fs::create_dir_all(fake.join("dir")).unwrap();
        for file in [
            "mounted",
            "dir/file",
            "mnt/file",
            "swap/name",
            "swap/dir/file",
        ] {
            fs::write(tree.path("allowed").join(file), "fine").unwrap();
        }
        for dir in ["move/deep", "move/deep/b", "cwd/deep", "cwd/deep/d"] {
            fs::write(tree.path("allowed").join(dir).join("file"), "fine").unwrap();
        }
        for file in ["file", "dir/file", "dir/secret"] {
            fs::write(tree.path("outside").join(file), "secret").unwrap();
        }
        for file in ["file", "secret", "dir/file"] {
            fs::write(fake.join(file), "secret").unwrap();
        }
        symlink(tree.path("outside/secret"), tree.path("allowed/swap/link")).unwrap();
        symlink("../../outside", tree.path("allowed/swap/away")).unwrap();

        let mut secrets = Vec::new();
        files(&tree.path("outside"), &mut secrets);
        files(&tree.path("fake"), &mut secrets);
        let known: Vec<_> = secrets
            .iter()
            .map(|path| number(&fs::metadata(path).unwrap()))
            .collect();
        let mut allowed = vec![tree.path("allowed")];
        files(&tree.path("allowed"), &mut allowed);
        let fine: Vec<_> = allowed
            .iter()
            .map(|path| number(&fs::symlink_metadata(path).unwrap()))
            .collect();

        let roots = tree.roots(Rights::all());
        let top = tree.0.clone();
        let target = Asker::start(|| {
            for (kind, (_, attack)) in ATTACKS.iter().enumerate() {
                let ground = Ground {
                    top: top.clone(),
                    kind,
                    parent: std::process::id(),
                };
                std::mem::forget(Process::fork(|| {
                    attack(&ground);
                    0
                }));
            }
            loop {
                // SAFETY: sleeps until it is killed.
                unsafe { libc::pause() };
            }
        });
        let mut outcomes = [[0u32; 2]; ATTACKS.len()];
        let mut n = target.receive();
        for attempt in 0..attempts {
            let [path, dirfd, what, ..] = n.request().args;
            let (kind, flags) = ((what >> 32) as usize, what as i32);
            let how = OpenHow::new(flags).mode(0o600);
            let opened = n.open_within(&roots, dirfd as i32, path, how);
            let attack = ATTACKS[kind].0;
            if let Ok(fd) = &opened {
                let at = format!("/proc/self/fd/{}", fd.as_raw_fd());
                let found = fs::metadata(&at).unwrap();
                let name = fs::read_link(&at).unwrap();
                let file = number(&found);
                assert!(!known.contains(&file), "{attack}: {attempt}: {name:?}");
                // What an attempt has made; everything else has something in it.
                let new = found.is_file() && found.len() == 0;
                assert!(fine.contains(&file) || new, "{attack}: {attempt}: {name:?}");
            }
            outcomes[kind][usize::from(opened.is_ok())] += 1;
            drop(opened);
            let _ = n.reply_value(0);
            target
                .listener
                .receive_into(&mut n, Some(slowed(LIMIT)))
                .unwrap();
        }
        target.kill();
        let _ = writeln!(std::io::stderr(), "{attempts} attempts: {outcomes:?}");
        let moved = [tree.path("outside/b"), tree.path("outside/d")];
        let links = [tree.path("outside/alias"), tree.path("outside/hard")];
        let mut now = Vec::new();
        files(&tree.path("outside"), &mut now);
        files(&tree.path("fake"), &mut now);
        for path in &now {
            let came = moved.iter().any(|dir| path.starts_with(dir)) || links.contains(path);
            assert!(came || secrets.contains(path), "{path:?} was created");
        }
        for path in secrets.iter().filter(|path| path.is_file()) {
            assert_eq!(fs::read(path).unwrap(), b"secret", "{path:?}");
        }
    });
}
