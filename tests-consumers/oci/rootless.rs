//! Containers of a user who has no rights, and an agent of the same user's.

use crate::bundle::Place;
use crate::containers::{bind, while_served};
use crate::runtimes::*;
use crate::support::*;
use serde_json::{json, Value};
use unotify::*;

with_each_runtime!(a_user_without_rights_serves_containers_of_its_own);

fn a_user_without_rights_serves_containers_of_its_own(runtime: Runtime) {
    let place = Place::new();
    let mut user = Process::fork(|| {
        become_dumpable_nobody();
        let supervisor = engine();
        let agent = bind(&place);
        let on_container = |container: Container| {
            assert_eq!(container.id(), "box");
            Some(0)
        };
        let script = "mkdir /tmp/yes && test -d /tmp/yes && echo made
            mknod /tmp/null c 1 3
            mkdir /tmp/no
            echo end";
        let said = while_served(&agent, &supervisor, on_container, || {
            runtime.start_rootless(&place, "box", script, own_namespace(runtime))
        });
        for part in [
            "made\n",
            "mknod: /tmp/null: Operation not permitted\n",
            "mkdir: can't create directory '/tmp/no': Operation not permitted\n",
        ] {
            assert!(said.contains(part), "{said}");
        }
        0
    });
    assert_eq!(user.wait(), 0);
}

/// The container's user namespace, which runc makes by itself and crun is started in.
fn own_namespace(runtime: Runtime) -> impl FnOnce(&mut Value) {
    move |config| {
        let linux = &mut config["linux"];
        linux.as_object_mut().unwrap().remove("cgroupsPath");
        if runtime == Runtime::Runc {
            let namespaces = linux["namespaces"].as_array_mut().unwrap();
            namespaces.push(json!({ "type": "user" }));
            // SAFETY: no arguments.
            let (user, group) = unsafe { (libc::geteuid(), libc::getegid()) };
            linux["uidMappings"] = json!([{ "containerID": 0, "hostID": user, "size": 1 }]);
            linux["gidMappings"] = json!([{ "containerID": 0, "hostID": group, "size": 1 }]);
        }
    }
}
