//! Which kernel this is, for behaviour that cannot be asked for, and for messages.

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

/// [`is_at_least`] without a system call, which the caller's own filter may notify: the code that the
/// kernel maps into every process says which one it is of. Where there is none, this is certain of
/// nothing.
pub(super) fn is_surely_at_least(major: u32, minor: u32) -> bool {
    static CODE: Known = Known::nothing();
    const NOTHING: u64 = 1;
    let code = CODE.get_or_find(|| {
        // SAFETY: takes a number. The image is mapped for as long as the process lives, and whole.
        let found = unsafe { release_code(libc::getauxval(libc::AT_SYSINFO_EHDR) as *const u8) };
        found.map_or(NOTHING, u64::from)
    });
    code >= u64::from((major << 16) | (minor << 8))
}

/// What `LINUX_VERSION_CODE` is in the note of the kernel's that an ELF image of 64 bits has.
///
/// # Safety
/// It is null, or such an image as the kernel maps.
unsafe fn release_code(image: *const u8) -> Option<u32> {
    const PT_NOTE: u32 = 4;
    const NAME: [u8; 8] = *b"Linux\0\0\0";
    if image.is_null() || cfg!(not(target_pointer_width = "64")) {
        return None;
    }
    // SAFETY: these are where the format has them, in an image that is whole.
    unsafe {
        let word = |at: usize| image.add(at).cast::<u32>().read_unaligned();
        let half = |at: usize| usize::from(image.add(at).cast::<u16>().read_unaligned());
        let long = |at: usize| image.add(at).cast::<u64>().read_unaligned() as usize;
        let (headers, size, count) = (long(32), half(54), half(56));
        for header in (0..count).map(|i| headers + i * size) {
            if word(header) != PT_NOTE {
                continue;
            }
            let (mut at, end) = (long(header + 8), long(header + 8) + long(header + 32));
            while at + 12 <= end {
                let (name, length, kind) = (word(at), word(at + 4), word(at + 8));
                let value = at + 12 + (name as usize).next_multiple_of(4);
                let is_linux = name == 6 && image.add(at + 12).cast::<[u8; 8]>().read() == NAME;
                if is_linux && kind == 0 && length == 4 {
                    return Some(word(value));
                }
                at = value + (length as usize).next_multiple_of(4);
            }
        }
        None
    }
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
    use super::*;

    #[test]
    fn the_release_is_known_without_a_system_call() {
        let Some((major, minor)) = release() else {
            return;
        };
        assert!(is_surely_at_least(major, minor));
        assert!(!is_surely_at_least(major, minor + 1));
        assert!(!is_surely_at_least(major + 1, 0));
    }

    #[test]
    fn release_is_parsed_with_and_without_a_suffix() {
        assert_eq!(parse("6.18.44-fc-v669"), Some((6, 18)));
        assert_eq!(parse("6.1-rc3"), Some((6, 1)));
        assert_eq!(parse("5.0"), Some((5, 0)));
        assert_eq!(parse("unknown"), None);
    }
}
