//! Bundles: what a runtime makes a container of.

use serde_json::{json, Value};
use std::fs;
use std::os::unix::fs::{symlink, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// A place for an agent's socket, bundles and the runtime's notes. It is gone with this.
#[derive(Debug)]
pub(crate) struct Place(PathBuf);

impl Place {
    /// With a root file system of busybox's.
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let (process, number) = (std::process::id(), NUMBER.fetch_add(1, Relaxed));
        let path = std::env::temp_dir().join(format!("unotify-oci-{process}-{number}"));
        fs::create_dir(&path).unwrap();
        // Any user's runtime is to get there.
        fs::set_permissions(&path, PermissionsExt::from_mode(0o777)).unwrap();
        let place = Place(path);
        let root = place.root();
        for folder in ["bin", "proc", "dev", "tmp"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        fs::copy("/bin/busybox", root.join("bin/busybox")).unwrap();
        for name in [
            "sh", "mkdir", "mknod", "mount", "sleep", "echo", "test", "cat",
        ] {
            symlink("busybox", root.join("bin").join(name)).unwrap();
        }
        place
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.0.join("agent.sock")
    }

    /// Where a runtime keeps its notes.
    pub(crate) fn notes(&self) -> PathBuf {
        self.0.join("notes")
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn root(&self) -> PathBuf {
        self.0.join("root")
    }

    /// A bundle whose container runs this script.
    pub(crate) fn bundle(
        &self,
        id: &str,
        script: &str,
        change: impl FnOnce(&mut Value),
    ) -> PathBuf {
        let bundle = self.0.join(id);
        fs::create_dir(&bundle).unwrap();
        let mut config = config(&self.root(), &self.socket(), script);
        // No other's, as containers here have all the same names.
        let place = self.0.file_name().unwrap().to_str().unwrap();
        config["linux"]["cgroupsPath"] = json!(format!("/{place}-{id}"));
        change(&mut config);
        fs::write(bundle.join("config.json"), config.to_string()).unwrap();
        bundle
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn config(root: &Path, socket: &Path, script: &str) -> Value {
    let few = json!(["CAP_KILL"]);
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "user": { "uid": 0, "gid": 0 },
            "args": ["sh", "-c", script],
            "env": ["PATH=/bin"],
            "cwd": "/",
            "capabilities": { "bounding": few, "effective": few, "permitted": few },
            "noNewPrivileges": true,
        },
        "root": { "path": root, "readonly": true },
        "hostname": "box",
        "annotations": { "one": "1" },
        "mounts": [
            { "destination": "/proc", "type": "proc", "source": "proc" },
            { "destination": "/dev", "type": "tmpfs", "source": "tmpfs",
              "options": ["nosuid", "mode=755", "size=1m"] },
            { "destination": "/tmp", "type": "tmpfs", "source": "tmpfs",
              "options": ["nosuid", "mode=1777", "size=1m"] },
        ],
        "linux": {
            "namespaces": [
                { "type": "pid" }, { "type": "ipc" }, { "type": "uts" }, { "type": "mount" },
            ],
            "seccomp": {
                "defaultAction": "SCMP_ACT_ALLOW",
                "listenerPath": socket,
                "listenerMetadata": "what the profile says",
                "syscalls": [{
                    "names": ["mkdir", "mkdirat", "mknod", "mknodat", "mount"],
                    "action": "SCMP_ACT_NOTIFY",
                }],
            },
        },
    })
}
