//! `include/unotify.h` is what cbindgen makes of `src/capi` today.

use std::path::{Path, PathBuf};
use unotify::Status;

/// The core's types that C sees.
const CORE: [&str; 2] = ["src/error.rs", "src/kernel/seccomp.rs"];

/// The header's chapters in the order a reader wants them. Others follow by name.
const CHAPTERS: [&str; 11] = [
    "status",
    "arch",
    "filter",
    "listener",
    "notification",
    "target_memory",
    "target_descriptors",
    "target_open",
    "target_identity",
    "spawn",
    "supervisor",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn chapters() -> Vec<PathBuf> {
    let folder = std::fs::read_dir(root().join("src/capi")).expect("src/capi");
    let mut files: Vec<_> = folder.map(|e| e.expect("an entry").path()).collect();
    // One only names the others, and cbindgen would follow it to all of them a second time; what the
    // other declares is its own.
    files.retain(|path| !path.ends_with("mod.rs") && !path.ends_with("throw.rs"));
    files.sort_by_key(|path| {
        let name = path.file_stem().unwrap_or_default().to_os_string();
        let place = CHAPTERS.iter().position(|c| name == *c);
        (place.unwrap_or(CHAPTERS.len()), name)
    });
    files
}

fn generate() -> String {
    let config = cbindgen::Config::from_file(root().join("cbindgen.toml")).expect("cbindgen.toml");
    let sources = CORE.iter().map(|file| root().join(file)).chain(chapters());
    let builder = sources.fold(
        cbindgen::Builder::new().with_config(config),
        cbindgen::Builder::with_src,
    );
    let mut header = Vec::new();
    builder
        .generate()
        .expect("src/capi is readable to cbindgen")
        .write(&mut header);
    for_c(&String::from_utf8(header).expect("a header in UTF-8"))
}

/// Says in C's words what cbindgen can only take over from Rust.
fn for_c(header: &str) -> String {
    let paragraphs: Vec<_> = header
        .split("\n\n")
        // An associated constant of a Rust type; C's constants begin with UNOTIFY_.
        .filter(|paragraph| !paragraph.contains("#define unotify_"))
        .collect();
    let header = paragraphs
        .join("\n\n")
        .replace("* # Safety\n", "* Requires:\n")
        // Transparent over a type of the core, which is none of C's business.
        .replace(
            "typedef Notification unotify_notification;",
            "typedef struct unotify_notification unotify_notification;",
        )
        + "\n";
    Status::ALL.into_iter().fold(header, |header, status| {
        let value = status as i32;
        header.replace(
            &format!("    {status:?} = {value},"),
            &format!("    {} = {value},", status.name()),
        )
    })
}

#[test]
fn the_committed_header_is_current() {
    let path = root().join("include/unotify.h");
    let header = generate();
    if std::env::var_os("UNOTIFY_BLESS").is_some() {
        std::fs::write(&path, &header).expect("write include/unotify.h");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        header == committed,
        "include/unotify.h is not what src/capi says: run UNOTIFY_BLESS=1 cargo test --test header",
    );
}
