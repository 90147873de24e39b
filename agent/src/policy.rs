//! What the agent does for which container: a file in TOML. docs/unotify-agent.md describes it.

use crate::errno::Errno;
use serde::{de::Error, Deserialize, Deserializer};
use std::path::Path;
use unotify::scmp::ScmpSyscall;

/// The rules, of which the first that fits a container counts.
#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Policy {
    #[serde(default, rename = "rule")]
    rules: Vec<Rule>,
}

/// What containers get that this fits.
#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    metadata: Option<Pattern>,
    id: Option<Pattern>,
    /// The answer to what nothing else here decides.
    #[serde(default = "refused")]
    pub(crate) default: Errno,
    /// Calls that the kernel makes.
    #[serde(default, rename = "continue")]
    pub(crate) harmless: Vec<Harmless>,
    #[serde(default)]
    pub(crate) nodes: Vec<Node>,
    #[serde(default, rename = "mount")]
    mounts: Vec<Mount>,
}

/// A kind of mount, and what is done about it.
#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mount {
    /// The type of the file system; or "bind", "move", "remount", "propagation".
    #[serde(rename = "type")]
    kind: String,
    pub(crate) action: Action,
    #[serde(default)]
    pub(crate) flags: Vec<Flag>,
    #[serde(default)]
    pub(crate) max_size: Option<Size>,
    #[serde(default)]
    pub(crate) max_inodes: Option<u64>,
    #[serde(default)]
    pub(crate) options: Vec<Choice>,
}

/// What is done about a mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Mount,
    Refuse(Errno),
}

/// Flags that a mount always gets.
#[derive(Debug, Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Flag {
    Nosuid,
    Nodev,
    Noexec,
}

/// What a program may choose of a file system in memory.
#[derive(Debug, Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Choice {
    Size,
    NrInodes,
    Mode,
    Uid,
    Gid,
}

/// Bytes, with the suffixes that tmpfs knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) u64);

/// A device, as "c 1:3".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Node {
    /// `S_IFCHR` or `S_IFBLK`.
    pub(crate) kind: u32,
    pub(crate) major: u32,
    pub(crate) minor: u32,
}

/// A call that the kernel may be told to make.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Harmless(pub(crate) String);

/// A text; with a "*" at its end, the beginning of one.
#[derive(Debug, Deserialize, PartialEq, Eq)]
struct Pattern(String);

fn refused() -> Errno {
    Errno(libc::EPERM)
}

impl Policy {
    /// Reads a file, or says where it is wrong.
    pub(crate) fn load(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path);
        let text = text.map_err(|error| format!("{}: {error}", path.display()))?;
        Policy::parse(&text).map_err(|error| format!("{}: {error}", path.display()))
    }

    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let policy: Policy = toml::from_str(text).map_err(|error| error.to_string())?;
        for mount in policy.rules.iter().flat_map(|rule| &rule.mounts) {
            mount.check()?;
        }
        Ok(policy)
    }

    /// What counts for a container.
    pub(crate) fn rule(&self, metadata: &str, id: &str) -> Option<&Rule> {
        self.rules.iter().find(|rule| {
            let fits = |pattern: &Option<Pattern>, text| {
                pattern.as_ref().is_none_or(|pattern| pattern.fits(text))
            };
            fits(&rule.metadata, metadata) && fits(&rule.id, id)
        })
    }
}

impl Rule {
    pub(crate) fn mount(&self, kind: &str) -> Option<&Mount> {
        self.mounts.iter().find(|mount| mount.kind == kind)
    }

    pub(crate) fn continues(&self, call: &str) -> bool {
        self.harmless.iter().any(|Harmless(name)| name == call)
    }
}

impl Mount {
    fn check(&self) -> Result<(), String> {
        let kind = &self.kind;
        match self.action {
            Action::Mount if kind != "tmpfs" => Err(format!(
                "rule.mount of type `{kind}`: only tmpfs can be mounted, as others take what the agent cannot vouch for"
            )),
            Action::Mount if self.max_size.is_none() => Err(format!(
                "rule.mount of type `{kind}`: `max_size` is missing, and without it the machine's memory is its limit"
            )),
            _ => Ok(()),
        }
    }
}

impl Pattern {
    fn fits(&self, text: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some(beginning) => text.starts_with(beginning),
            None => text == self.0,
        }
    }
}

impl Size {
    /// As tmpfs reads it, but for percentages.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (digits, shift) = match text.as_bytes().last()? {
            b'k' | b'K' => (&text[..text.len() - 1], 10),
            b'm' | b'M' => (&text[..text.len() - 1], 20),
            b'g' | b'G' => (&text[..text.len() - 1], 30),
            _ => (text, 0),
        };
        if !digits.bytes().all(|digit| digit.is_ascii_digit()) {
            return None;
        }
        let number: u64 = digits.parse().ok()?;
        number.checked_mul(1 << shift).map(Size)
    }
}

impl Node {
    fn parse(text: &str) -> Option<Self> {
        let (kind, numbers) = text.split_once(' ')?;
        let (major, minor) = numbers.split_once(':')?;
        Some(Node {
            kind: match kind {
                "c" => libc::S_IFCHR,
                "b" => libc::S_IFBLK,
                _ => return None,
            },
            major: major.parse().ok()?,
            minor: minor.parse().ok()?,
        })
    }
}

/// Has something read from a text.
macro_rules! from_text {
    ($type:ty, $parse:expr) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                let parse: fn(&str) -> Result<Self, String> = $parse;
                parse(&text).map_err(D::Error::custom)
            }
        }
    };
}

from_text!(Size, |text| Size::parse(text)
    .filter(|size| size.0 > 0)
    .ok_or_else(|| format!("`{text}` is no size: such as \"64m\"")));
from_text!(Node, |text| Node::parse(text)
    .ok_or_else(|| format!("`{text}` is no device: such as \"c 1:3\"")));
from_text!(Action, |text| match text {
    "mount" => Ok(Action::Mount),
    name => Errno::of_name(name).map(Action::Refuse),
});
from_text!(Harmless, |name| match name {
    "mknod" | "mknodat" | "mount" => Err(format!("`{name}` is never continued")),
    _ if ScmpSyscall::from_name(name).is_err() => Err(format!("`{name}` is no system call")),
    _ => Ok(Harmless(name.to_owned())),
});

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../../contrib/unotify-agent.toml");

    #[test]
    fn the_example_is_right() {
        let policy = Policy::parse(EXAMPLE).unwrap();
        let builder = policy.rule("builder", "x").unwrap();
        let tmpfs = builder.mount("tmpfs").unwrap();
        assert_eq!(tmpfs.action, Action::Mount);
        assert_eq!(tmpfs.max_size, Some(Size(64 << 20)));
        assert_eq!(
            builder.mount("proc").unwrap().action,
            Action::Refuse(Errno(libc::EBUSY))
        );
        assert!(builder.continues("getppid"));
        let others = policy.rule("", "x").unwrap();
        assert_eq!(others.nodes.len(), 6);
        assert!(others.mount("tmpfs").is_none());
        assert_eq!(others.default, Errno(libc::EPERM));
    }

    #[test]
    fn the_first_rule_that_fits_counts() {
        let policy = Policy::parse(
            "[[rule]]\nmetadata = \"a*\"\nid = \"one\"\ndefault = \"EIO\"\n[[rule]]\nid = \"two\"",
        )
        .unwrap();
        assert_eq!(policy.rule("abc", "one").unwrap().default.0, libc::EIO);
        assert_eq!(policy.rule("abc", "two").unwrap().default.0, libc::EPERM);
        assert!(policy.rule("b", "one").is_none());
    }

    #[track_caller]
    fn wrong(text: &str, parts: &[&str]) {
        let error = Policy::parse(text).unwrap_err();
        for part in parts {
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_line() {
        wrong("[[rule]]\nnods = []", &["line 2", "nods"]);
        wrong("rules = []", &["line 1", "rules"]);
        let mount = "[[rule]]\n[[rule.mount]]\ntype = \"proc\"\naction = \"EPERM\"\nsize = 1";
        wrong(mount, &["line 5", "size"]);
    }

    #[test]
    fn a_wrong_value_is_refused_with_its_line_and_what_would_be_right() {
        wrong("[[rule]]\ndefault = \"EVIL\"", &["line 2", "EVIL", "EPERM"]);
        wrong("[[rule]]\nnodes = [\"c 1\"]", &["line 2", "c 1:3"]);
        wrong("[[rule]]\ncontinue = [\"mount\"]", &["line 2", "never"]);
        wrong("[[rule]]\ncontinue = [\"nocall\"]", &["line 2", "nocall"]);
    }

    #[test]
    fn only_tmpfs_with_a_limit_can_be_mounted() {
        let mount = |kind, rest| {
            format!("[[rule]]\n[[rule.mount]]\ntype = \"{kind}\"\naction = \"mount\"\n{rest}")
        };
        wrong(&mount("proc", "max_size = \"1m\""), &["proc", "only tmpfs"]);
        wrong(&mount("tmpfs", ""), &["max_size"]);
        Policy::parse(&mount("tmpfs", "max_size = \"1m\"")).unwrap();
    }

    #[test]
    fn sizes_are_read_as_tmpfs_reads_them() {
        for (text, bytes) in [
            ("0", Some(0)),
            ("12", Some(12)),
            ("2k", Some(2048)),
            ("1G", Some(1 << 30)),
            ("k", None),
            ("50%", None),
            ("-1", None),
            ("+1", None),
            ("", None),
            ("99999999999999999999", None),
            ("18014398509481984k", None),
        ] {
            assert_eq!(Size::parse(text).map(|size| size.0), bytes, "{text}");
        }
    }
}
