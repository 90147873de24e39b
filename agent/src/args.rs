//! What the program is told on its command line: few words, so they are read by hand.

use std::ffi::OsString;
use std::path::PathBuf;

pub(crate) const USAGE: &str = "\
usage: unotify-agent [--socket PATH] --policy FILE [--log FILE] [--control PATH] [--upgrade]
       unotify-agent --check [--socket PATH] [--policy FILE]
       unotify-agent --help | --version

Answers the notified system calls of containers whose seccomp profile names PATH as its
listenerPath, by the policy. See unotify-agent(8).
";

#[derive(Debug, Default, PartialEq)]
pub(crate) struct Args {
    pub(crate) socket: Option<PathBuf>,
    pub(crate) policy: Option<PathBuf>,
    pub(crate) log: Option<PathBuf>,
    pub(crate) control: Option<PathBuf>,
    pub(crate) upgrade: bool,
    pub(crate) check: bool,
    pub(crate) help: bool,
    pub(crate) version: bool,
}

impl Args {
    pub(crate) fn parse(words: impl Iterator<Item = OsString>) -> Result<Self, String> {
        let mut args = Args::default();
        let mut words = words.peekable();
        while let Some(word) = words.next() {
            let name = word.to_string_lossy().into_owned();
            let value = match &*name {
                "--socket" => &mut args.socket,
                "--policy" => &mut args.policy,
                "--log" => &mut args.log,
                "--control" => &mut args.control,
                "--upgrade" => {
                    args.upgrade = true;
                    continue;
                }
                "--check" => {
                    args.check = true;
                    continue;
                }
                "--help" => {
                    args.help = true;
                    continue;
                }
                "--version" => {
                    args.version = true;
                    continue;
                }
                _ => return Err(format!("what is `{name}`?")),
            };
            let given = words.next().ok_or(format!("{name} needs a value"))?;
            *value = Some(given.into());
        }
        Ok(args)
    }

    /// Where a new agent finds this one: beside the socket unless said otherwise.
    pub(crate) fn control(&self) -> Option<PathBuf> {
        self.control.clone().or_else(|| {
            let mut path = self.socket.clone()?.into_os_string();
            path.push(".control");
            Some(path.into())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Args, String> {
        Args::parse(words.iter().map(OsString::from))
    }

    #[test]
    fn the_control_socket_is_beside_the_socket() {
        let args = parse(&["--socket", "/run/a", "--policy", "p"]).unwrap();
        assert_eq!(args.control(), Some("/run/a.control".into()));
        let args = parse(&["--control", "/run/b"]).unwrap();
        assert_eq!(args.control(), Some("/run/b".into()));
        assert_eq!(parse(&[]).unwrap().control(), None);
    }

    #[test]
    fn what_is_not_known_or_has_no_value_is_refused() {
        assert!(parse(&["--sock", "x"]).unwrap_err().contains("--sock"));
        assert!(parse(&["--socket"]).unwrap_err().contains("value"));
    }
}
