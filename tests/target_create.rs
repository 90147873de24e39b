//! Making files, directories and nodes on a target's behalf. What is made is compared with what the
//! target makes by itself, beside it.

mod support;

use std::ffi::{CStr, CString};
use std::fs::{self, File, Metadata, Permissions};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use support::*;
use unotify::{Error, Notification, OpenHow, Status};

/// A directory to be emptied with the test, in which everybody may make what he likes.
struct Dir(PathBuf);

impl Dir {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("unotify-create-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        let dir = Dir(path);
        dir.permit(0o777);
        dir
    }

    fn permit(&self, mode: u32) {
        fs::set_permissions(&self.0, Permissions::from_mode(mode)).unwrap();
    }

    fn metadata(&self, name: &CStr) -> Metadata {
        let name = Path::new(std::ffi::OsStr::from_bytes(name.to_bytes()));
        fs::symlink_metadata(self.0.join(name)).unwrap()
    }

    fn exists(&self, name: &str) -> bool {
        self.0.join(name).symlink_metadata().is_ok()
    }

    /// Gives it a default access control list: owner rwx, the user 77 rwx, group r-x, mask rwx,
    /// others none. `false` where the file system has none.
    fn set_default_acl(&self) -> bool {
        let mut list = 2u32.to_le_bytes().to_vec();
        for (tag, permissions, id) in [
            (0x01u16, 7u16, u32::MAX),
            (0x02, 7, 77),
            (0x04, 5, u32::MAX),
            (0x10, 7, u32::MAX),
            (0x20, 0, u32::MAX),
        ] {
            list.extend(tag.to_le_bytes());
            list.extend(permissions.to_le_bytes());
            list.extend(id.to_le_bytes());
        }
        let path = CString::new(self.0.as_os_str().as_bytes()).unwrap();
        let name = c"system.posix_acl_default";
        // SAFETY: strings, and as many bytes as said.
        unsafe {
            libc::setxattr(
                path.as_ptr(),
                name.as_ptr(),
                list.as_ptr().cast(),
                list.len(),
                0,
            ) == 0
        }
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What there is to make, and how.
#[derive(Debug, Clone, Copy)]
enum What {
    File(u32),
    Directory(u32),
    Fifo(u32),
    /// By [`Notification::open`] with `O_CREAT`.
    Opened(u32),
    /// By [`Notification::open`] with `O_TMPFILE`, linked by the test.
    Unnamed(u32),
}

impl What {
    /// As the calling thread itself makes it in its working directory.
    fn make_alone(self, name: &CStr) {
        // SAFETY: a string and integers.
        let made = unsafe {
            match self {
                What::File(mode) | What::Opened(mode) => libc::open(
                    name.as_ptr(),
                    libc::O_CREAT | libc::O_EXCL | libc::O_WRONLY,
                    mode,
                ),
                What::Directory(mode) => libc::mkdir(name.as_ptr(), mode),
                What::Fifo(mode) => libc::mknod(name.as_ptr(), libc::S_IFIFO | mode, 0),
                What::Unnamed(mode) => {
                    let fd = libc::open(c".".as_ptr(), libc::O_TMPFILE | libc::O_RDWR, mode);
                    link(fd, name)
                }
            }
        };
        assert!(made >= 0, "{self:?}: {}", std::io::Error::last_os_error());
    }

    /// For a target that waits, whose second argument is the address of the name.
    fn make_for(self, n: &mut Notification) -> Result<(), Error> {
        let [_, path, _, ..] = n.request().args;
        let at = libc::AT_FDCWD;
        let flags = libc::O_CREAT | libc::O_EXCL | libc::O_WRONLY;
        match self {
            What::Opened(mode) => {
                return n.open(at, path, OpenHow::new(flags).mode(mode)).map(drop)
            }
            What::Unnamed(_) => unreachable!("made by `unnamed`"),
            _ => {}
        }
        let (directory, name) = n.open_parent(at, path)?;
        let directory = directory.as_fd();
        match self {
            What::File(mode) => n.create(directory, &name, flags, mode).map(drop),
            What::Directory(mode) => n.mkdir(directory, &name, mode),
            What::Fifo(mode) => n.mknod(directory, &name, libc::S_IFIFO | mode, 0),
            What::Opened(_) | What::Unnamed(_) => unreachable!(),
        }
    }
}

fn link(fd: i32, name: &CStr) -> i32 {
    let from = CString::new(format!("/proc/self/fd/{fd}")).unwrap();
    let (at, follow) = (libc::AT_FDCWD, libc::AT_SYMLINK_FOLLOW);
    // SAFETY: strings and integers.
    unsafe { libc::linkat(at, from.as_ptr(), at, name.as_ptr(), follow) }
}

fn umask(umask: u32) {
    // SAFETY: integers only.
    unsafe { libc::umask(umask) };
}

/// Becomes somebody without rights, in these groups.
fn become_user(uid: u32, gid: u32, groups: &[u32]) {
    // SAFETY: as many numbers as said; otherwise integers.
    unsafe {
        assert_eq!(libc::setgroups(groups.len(), groups.as_ptr()), 0);
        assert_eq!(libc::setgid(gid), 0);
        assert_eq!(libc::setuid(uid), 0);
        libc::prctl(libc::PR_SET_DUMPABLE, 1);
    }
}

/// Has a target make each of these by itself, under its number, and the supervisor the same for it,
/// under its number and a dash. They must be alike; gives what they are.
fn alike(dir: &Dir, prepare: impl FnOnce(), whats: &[What]) -> Vec<Metadata> {
    let names: Vec<_> = (0..whats.len())
        .map(|i| CString::new(i.to_string()).unwrap())
        .collect();
    let asked: Vec<_> = (0..whats.len())
        .map(|i| CString::new(format!("{i}-")).unwrap())
        .collect();
    let target = Asker::under(
        &notifying(&["getppid"]),
        || {},
        || {
            std::env::set_current_dir(&dir.0).unwrap();
            prepare();
            for (i, what) in whats.iter().enumerate() {
                what.make_alone(&names[i]);
                assert_eq!(
                    ask(i as u64, asked[i].as_ptr() as u64, c".".as_ptr() as u64),
                    0
                );
            }
            0
        },
    );
    for what in whats {
        let mut n = target.receive();
        if let What::Unnamed(mode) = what {
            unnamed(dir, &mut n, *mode);
        } else {
            what.make_for(&mut n).unwrap();
        }
        n.reply_value(0).unwrap();
    }
    target.end();
    let made = asked.iter().map(|name| dir.metadata(name));
    let alone = names.iter().map(|name| dir.metadata(name));
    for ((made, alone), what) in made.zip(alone).zip(whats) {
        let facts = |m: &Metadata| (format!("{:o}", m.mode()), m.uid(), m.gid());
        assert_eq!(facts(&made), facts(&alone), "{what:?}");
    }
    asked.iter().map(|name| dir.metadata(name)).collect()
}

/// Makes a file without a name, and gives it one.
fn unnamed(dir: &Dir, n: &mut Notification, mode: u32) {
    use std::os::fd::AsRawFd;
    let [number, _, here, ..] = n.request().args;
    let how = OpenHow::new(libc::O_TMPFILE | libc::O_RDWR).mode(mode);
    let file = n.open(libc::AT_FDCWD, here, how).unwrap();
    let name = dir.0.join(format!("{number}-"));
    let name = CString::new(name.as_os_str().as_bytes()).unwrap();
    assert_eq!(link(file.as_raw_fd(), &name), 0);
}

fn permissions(made: &[Metadata]) -> Vec<u32> {
    made.iter().map(|m| m.mode() & 0o7777).collect()
}

const ALL_KINDS: [What; 5] = [
    What::File(0o666),
    What::Directory(0o777),
    What::Fifo(0o666),
    What::Opened(0o666),
    What::Unnamed(0o666),
];

#[test]
fn the_targets_umask_takes_away_from_permissions() {
    let made = alike(&Dir::new(), || umask(0o077), &ALL_KINDS);
    assert_eq!(permissions(&made), [0o600, 0o700, 0o600, 0o600, 0o600]);
}

#[test]
fn the_supervisors_umask_does_not() {
    in_child(|| {
        umask(0o027);
        let made = alike(&Dir::new(), || umask(0), &ALL_KINDS);
        assert_eq!(permissions(&made), [0o666, 0o777, 0o666, 0o666, 0o666]);
        umask(0o022);
        let made = alike(&Dir::new(), || umask(0o002), &ALL_KINDS);
        assert_eq!(permissions(&made), [0o664, 0o775, 0o664, 0o664, 0o664]);
    });
}

#[test]
fn a_supervisor_that_changes_its_umask_changes_nothing() {
    in_child(|| {
        for own in [0o022, 0o077, 0o022, 0, 0o022, 0o022] {
            umask(own);
            let made = alike(&Dir::new(), || umask(0o022), &ALL_KINDS);
            assert_eq!(permissions(&made), [0o644, 0o755, 0o644, 0o644, 0o644]);
        }
    });
}

#[test]
fn the_supervisors_umask_and_identity_are_as_before() {
    in_child(|| {
        umask(0o027);
        // Another test's thread may have been about to create something when this process was copied.
        // SAFETY: integers only.
        assert_eq!(unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 1) }, 0);
        // SAFETY: integers only.
        let dumpable = || unsafe { libc::prctl(libc::PR_GET_DUMPABLE) };
        let before = fs::read_to_string("/proc/thread-self/status").unwrap();
        let prepare = || {
            umask(0o002);
            if is_root() {
                become_user(1234, 1235, &[]);
            }
        };
        alike(&Dir::new(), prepare, &ALL_KINDS);
        assert_eq!(dumpable(), 1);
        let after = || fs::read_to_string("/proc/thread-self/status").unwrap();
        let line = |text: &str, field| {
            let line = text.lines().find(|line| line.starts_with(field));
            line.map(str::to_owned)
        };
        for field in ["Umask:", "Uid:", "Gid:", "Groups:", "CapEff:", "SigBlk:"] {
            assert_eq!(line(&before, field), line(&after(), field));
        }
        // A thread that has done its work may still be listed for a moment.
        soon(|| line(&before, "Threads:") == line(&after(), "Threads:"));
    });
}

#[test]
fn a_thread_with_a_umask_of_its_own_has_that() {
    let dir = Dir::new();
    let target = Asker::start(|| {
        std::env::set_current_dir(&dir.0).unwrap();
        umask(0o022);
        std::thread::spawn(|| {
            // SAFETY: integers only.
            assert_eq!(unsafe { libc::unshare(libc::CLONE_FS) }, 0);
            umask(0o070);
            ask(0, c"made".as_ptr() as u64, 0) as i32
        })
        .join()
        .unwrap()
    });
    let mut n = target.receive();
    What::File(0o666).make_for(&mut n).unwrap();
    assert_eq!(n.identity().unwrap().umask, 0o070);
    target.finish(n);
    assert_eq!(dir.metadata(c"made").mode() & 0o7777, 0o606);
}

#[test]
fn the_owner_is_the_targets_user_and_group() {
    if !is_root() {
        return skip("takes root, to be somebody else");
    }
    let made = alike(&Dir::new(), || become_user(1234, 1235, &[]), &ALL_KINDS);
    for made in made {
        assert_eq!((made.uid(), made.gid()), (1234, 1235));
    }
}

#[test]
fn the_owner_is_the_user_for_files_not_the_effective_one() {
    if !is_root() {
        return skip("takes root, to be somebody else");
    }
    let prepare = || {
        // SAFETY: integers only.
        unsafe {
            libc::setfsgid(1235);
            libc::setfsuid(1234);
        }
    };
    // The descriptors of `/proc/self/fd` are the effective user's.
    let made = alike(&Dir::new(), prepare, &ALL_KINDS[..4]);
    for made in made {
        assert_eq!((made.uid(), made.gid()), (1234, 1235));
    }
}

#[test]
fn a_supervisor_with_rights_makes_where_the_target_may_not() {
    if !is_root() {
        return skip("takes root, to be somebody else");
    }
    let dir = Dir::new();
    dir.permit(0o755);
    let target = Asker::start(|| {
        std::env::set_current_dir(&dir.0).unwrap();
        become_user(1234, 1235, &[]);
        ask(0, c"made".as_ptr() as u64, 0) as i32
    });
    let mut n = target.receive();
    What::File(0o644).make_for(&mut n).unwrap();
    target.finish(n);
    let made = dir.metadata(c"made");
    assert_eq!((made.uid(), made.gid()), (1234, 1235));
}

#[test]
fn a_set_group_id_directory_hands_its_group_on() {
    if !is_root() {
        return skip("takes root, to be somebody else");
    }
    let dir = Dir::new();
    std::os::unix::fs::chown(&dir.0, None, Some(4321)).unwrap();
    dir.permit(0o2777);
    let made = alike(&dir, || become_user(1234, 1235, &[]), &ALL_KINDS);
    for made in &made {
        assert_eq!((made.uid(), made.gid()), (1234, 4321));
    }
    assert_eq!(permissions(&made)[1], 0o2755);
}

#[test]
fn a_set_group_id_bit_stays_for_members_of_the_group_only() {
    if !is_root() {
        return skip("takes root, to be somebody else");
    }
    let dir = Dir::new();
    std::os::unix::fs::chown(&dir.0, None, Some(4321)).unwrap();
    dir.permit(0o2777);
    let kinds = [What::File(0o2755), What::Opened(0o2755)];
    let made = alike(&dir, || become_user(1234, 1235, &[]), &kinds);
    assert_eq!(permissions(&made), [0o755, 0o755]);

    let dir = Dir::new();
    std::os::unix::fs::chown(&dir.0, None, Some(4321)).unwrap();
    dir.permit(0o2777);
    let made = alike(&dir, || become_user(1234, 1235, &[4321]), &kinds);
    assert_eq!(permissions(&made), [0o2755, 0o2755]);
}

#[test]
fn a_default_access_control_list_takes_the_umasks_place() {
    let dir = Dir::new();
    if !dir.set_default_acl() {
        return skip("takes a file system with access control lists");
    }
    let made = alike(&dir, || umask(0o077), &ALL_KINDS);
    // The bits of the group are the list's mask.
    assert_eq!(permissions(&made), [0o660, 0o770, 0o660, 0o660, 0o660]);
}

#[test]
fn sticky_and_set_user_id_bits_come_out_as_the_targets_do() {
    let kinds = [
        What::File(0o7777),
        What::Directory(0o7777),
        What::Fifo(0o7777),
        What::Opened(0o7777),
    ];
    alike(&Dir::new(), || umask(0o027), &kinds);
}

/// A target in this directory that asks once about this name.
fn asking(dir: &Dir, name: &'static CStr) -> (Asker, Notification) {
    let target = Asker::start(|| {
        std::env::set_current_dir(&dir.0).unwrap();
        umask(0o077);
        ask(0, name.as_ptr() as u64, 0) as i32
    });
    let n = target.receive();
    (target, n)
}

#[test]
fn what_is_there_already_is_not_made_again_nor_followed() {
    let dir = Dir::new();
    fs::write(dir.0.join("there"), "as it was").unwrap();
    std::os::unix::fs::symlink("nowhere", dir.0.join("link")).unwrap();
    let (target, mut n) = asking(&dir, c"there");
    let directory = File::open(&dir.0).unwrap();
    let directory = directory.as_fd();
    for name in [c"there", c"link"] {
        let flags = libc::O_WRONLY | libc::O_TRUNC;
        let errors = [
            n.create(directory, name, flags, 0o666).unwrap_err(),
            n.mkdir(directory, name, 0o777).unwrap_err(),
            n.mknod(directory, name, libc::S_IFIFO | 0o666, 0)
                .unwrap_err(),
        ];
        for error in errors {
            assert_eq!(
                (error.status(), error.errno()),
                (Status::System, libc::EEXIST)
            );
        }
    }
    target.finish(n);
    assert!(!dir.exists("nowhere"));
    assert_eq!(
        fs::read_to_string(dir.0.join("there")).unwrap(),
        "as it was"
    );
}

#[test]
fn only_a_name_in_the_directory_itself_is_made() {
    let dir = Dir::new();
    fs::create_dir(dir.0.join("sub")).unwrap();
    let (target, mut n) = asking(&dir, c"x");
    let directory = File::open(dir.0.join("sub")).unwrap();
    for name in [c"", c".", c"..", c"../out", c"a/b", c"/tmp/x"] {
        let error = n.create(directory.as_fd(), name, 0, 0o666).unwrap_err();
        assert_eq!(error.status(), Status::InvalidArgument);
    }
    target.finish(n);
    assert!(!dir.exists("out"));
}

#[test]
fn what_is_created_is_opened_as_asked() {
    use std::io::{Read, Seek, Write};
    let dir = Dir::new();
    let (target, mut n) = asking(&dir, c"x");
    let directory = File::open(&dir.0).unwrap();
    let made = n.create(
        directory.as_fd(),
        c"made",
        libc::O_RDWR | libc::O_APPEND,
        0o400,
    );
    let mut made = File::from(made.unwrap());
    made.write_all(b"one").unwrap();
    made.rewind().unwrap();
    made.write_all(b"two").unwrap();
    made.rewind().unwrap();
    let mut text = String::new();
    made.read_to_string(&mut text).unwrap();
    assert_eq!(text, "onetwo");
    target.finish(n);
}

#[test]
fn nothing_is_made_for_a_target_that_is_gone() {
    let dir = Dir::new();
    let (target, mut n) = asking(&dir, c"x");
    let directory = File::open(&dir.0).unwrap();
    target.kill();
    let error = n.create(directory.as_fd(), c"made", 0, 0o666).unwrap_err();
    assert_eq!(error.status(), Status::Gone);
    assert!(!dir.exists("made"));
}

#[test]
fn where_unshare_is_refused_permissions_are_narrower_never_wider() {
    in_child(|| {
        umask(0o022);
        let dir = Dir::new();
        let target = Asker::start(|| {
            std::env::set_current_dir(&dir.0).unwrap();
            umask(0o007);
            ask(0, c"x".as_ptr() as u64, 0) as i32
        });
        let mut n = target.receive();
        let directory = File::open(&dir.0).unwrap();
        refuse("unshare", libc::EPERM, &[]);
        n.create(directory.as_fd(), c"made", 0, 0o666).unwrap();
        target.finish(n);
        assert_eq!(dir.metadata(c"made").mode() & 0o7777, 0o640);
    });
}

#[test]
fn the_identity_has_umask_and_capabilities() {
    if !is_root() {
        return skip("takes root, to be somebody else");
    }
    let target = Asker::start(|| {
        umask(0o123);
        assert_eq!(ask(0, 0, 0), 0);
        become_user(1234, 1235, &[]);
        ask(0, 0, 0) as i32
    });
    let mut n = target.receive();
    let identity = n.identity().unwrap();
    assert_eq!(identity.umask, 0o123);
    // CAP_CHOWN
    assert_ne!(identity.capabilities & 1, 0);
    assert!(identity.same_user_namespace);
    n.reply_value(0).unwrap();
    let mut n = target.receive();
    assert_eq!(n.identity().unwrap().capabilities, 0);
    target.finish(n);
}

#[test]
fn the_groups_are_the_targets() {
    if !is_root() {
        return skip("takes root, to be somebody else");
    }
    let target = Asker::start(|| {
        become_user(1234, 1235, &[20, 7, 4_000_000_000]);
        assert_eq!(ask(0, 0, 0), 0);
        ask(0, 0, 0) as i32
    });
    let mut n = target.receive();
    assert_eq!(n.groups().unwrap(), [7, 20, 4_000_000_000]);
    n.reply_value(0).unwrap();
    let mut n = target.receive();
    target.kill();
    assert_eq!(n.groups().unwrap_err().status(), Status::Gone);
}

#[test]
fn a_target_without_groups_has_none() {
    if !is_root() {
        return skip("takes root, to be somebody else");
    }
    let target = Asker::start(|| {
        become_user(1234, 1235, &[]);
        ask(0, 0, 0) as i32
    });
    let mut n = target.receive();
    assert!(n.groups().unwrap().is_empty());
    target.finish(n);
}

#[test]
fn capabilities_in_a_user_namespace_of_its_own_are_told() {
    // SAFETY: integers only.
    let unshare = || unsafe { libc::unshare(libc::CLONE_NEWUSER) } == 0;
    if !can("the right to make a user namespace", unshare) {
        return;
    }
    let target = Asker::start(|| {
        assert!(unshare());
        ask(0, 0, 0) as i32
    });
    let mut n = target.receive();
    let identity = n.identity().unwrap();
    assert_ne!(identity.capabilities & 1, 0);
    assert!(!identity.same_user_namespace);
    target.finish(n);
}
