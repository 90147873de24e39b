//! Which kernel this is, for the one behaviour that cannot be asked for, and for messages.

use super::known::Known;

/// Whether a blocked `RECV` returns when the last target exits.
///
/// Linux does so since 6.11; nothing but the release tells. A kernel that hides its release
/// (`personality(UNAME26)`) is taken for an old one, which costs a `poll` and nothing else.
pub(crate) fn recv_ends_with_last_target() -> bool {
    const NO: u64 = 1;
    const YES: u64 = 2;
    static SINCE_6_11: Known = Known::nothing();
    SINCE_6_11.get_or_find(|| if is_at_least(6, 11) { YES } else { NO }) == YES
}

/// Whether this kernel is certainly one of at least this release, so that something else refuses
/// what such a kernel has.
pub(crate) fn is_at_least(major: u32, minor: u32) -> bool {
    release().is_some_and(|r| r >= (major, minor))
}

/// Major and minor number of the running kernel.
fn release() -> Option<(u32, u32)> {
    // SAFETY: `utsname` is plain bytes, for which zero is a value; `uname` fills it in.
    let name = unsafe {
        let mut name: libc::utsname = std::mem::zeroed();
        if libc::uname(&mut name) != 0 {
            return None;
        }
        name
    };
    let text: String = name
        .release
        .iter()
        .take_while(|&&c| c != 0)
        .map(|&c| c as u8 as char)
        .collect();
    parse(&text)
}

fn parse(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn release_is_parsed_with_and_without_a_suffix() {
        assert_eq!(parse("6.18.44-fc-v669"), Some((6, 18)));
        assert_eq!(parse("6.1-rc3"), Some((6, 1)));
        assert_eq!(parse("5.0"), Some((5, 0)));
        assert_eq!(parse("unknown"), None);
    }
}
