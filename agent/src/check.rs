//! `--check`: what would not work here, and why.

use crate::args::Args;
use crate::policy::Policy;
use std::time::Duration;
use unotify::ProbeOutcome;

/// What Linux calls the first pid namespace of a machine (`PROC_PID_INIT_INO`).
const FIRST_PID_NAMESPACE: &str = "pid:[4026531836]";

/// Capabilities that the agent needs, with what for.
const CAPABILITIES: [(u32, &str, &str); 7] = [
    (
        1,
        "CAP_DAC_OVERRIDE",
        "other users' containers cannot be entered",
    ),
    (
        6,
        "CAP_SETGID",
        "nothing can be made as a container's group",
    ),
    (7, "CAP_SETUID", "nothing can be made as a container's user"),
    (18, "CAP_SYS_CHROOT", "mount namespaces cannot be joined"),
    (
        19,
        "CAP_SYS_PTRACE",
        "no container's memory and files can be looked at",
    ),
    (21, "CAP_SYS_ADMIN", "nothing can be mounted in containers"),
    (27, "CAP_MKNOD", "no devices can be made"),
];

/// So many descriptors are enough for some hundred containers.
const DESCRIPTORS: u64 = 1024;

/// Says of each thing whether it is right. Gives whether all are.
pub(crate) fn check(args: &Args) -> bool {
    let mut all = true;
    let mut say = |what: &str, found: Result<String, String>| match found {
        Ok(text) => println!("ok    {what}: {text}"),
        Err(text) => {
            all = false;
            println!("wrong {what}: {text}");
        }
    };
    if let Some(path) = &args.policy {
        say(
            "policy",
            Policy::load(path).map(|_| path.display().to_string()),
        );
    }
    if let Some(path) = &args.socket {
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(std::path::Path::new("."));
        say("socket", writable(folder));
    }
    say("pid namespace", pid_namespace());
    for (number, name, without) in CAPABILITIES {
        let has = capabilities() & (1 << number) != 0;
        say(name, has.then(|| "there".into()).ok_or(without.into()));
    }
    say("ptrace_scope", ptrace_scope());
    say("RLIMIT_NOFILE", descriptors());
    let probe = unotify::probe(Duration::from_secs(10));
    for part in probe.parts() {
        let name = format!("kernel, {}", part.name());
        match part.outcome {
            ProbeOutcome::Works => say(&name, Ok("works".into())),
            _ if part.is_basic => say(&name, Err(part.detail.clone())),
            _ => println!("note  {name}: {}", part.detail),
        }
    }
    all
}

fn writable(folder: &std::path::Path) -> Result<String, String> {
    use std::os::unix::ffi::OsStrExt;
    let text = std::ffi::CString::new(folder.as_os_str().as_bytes()).map_err(|e| e.to_string())?;
    // SAFETY: the text ends with NUL and lives.
    match unsafe { libc::access(text.as_ptr(), libc::W_OK | libc::X_OK) } {
        0 => Ok(format!("{} can be written to", folder.display())),
        _ => Err(format!(
            "{}: {}",
            folder.display(),
            std::io::Error::last_os_error()
        )),
    }
}

fn pid_namespace() -> Result<String, String> {
    let own =
        std::fs::read_link("/proc/self/ns/pid").map_err(|error| format!("no /proc: {error}"))?;
    let seen = std::fs::read_link("/proc/self").map_err(|error| format!("no /proc: {error}"))?;
    if seen.as_os_str() != &*std::process::id().to_string() {
        return Err("/proc is another pid namespace's: nothing can be known of who calls".into());
    }
    if own.as_os_str() != FIRST_PID_NAMESPACE {
        return Err(
            "not the machine's first (hostPID): containers started outside of it are not seen"
                .into(),
        );
    }
    Ok("the machine's first".into())
}

fn capabilities() -> u64 {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let number = line.and_then(|text| u64::from_str_radix(text.trim(), 16).ok());
    number.unwrap_or(0)
}

fn ptrace_scope() -> Result<String, String> {
    match std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope") {
        Err(_) => Ok("no Yama".into()),
        Ok(text) if text.trim() == "3" => {
            Err("3: nobody may attach, which some kernels take for looking too".into())
        }
        Ok(text) => Ok(text.trim().into()),
    }
}

fn descriptors() -> Result<String, String> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the place lives.
    unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) };
    match limit.rlim_cur {
        few if few < DESCRIPTORS => Err(format!("{few}: a container takes two, so raise it")),
        enough => Ok(format!("{enough}, a container takes two")),
    }
}
