//! Where a JSON value ends, as its bytes come.
//!
//! Who sends it keeps the connection open, so its end is all there is to go by. This counts brackets
//! outside of strings and looks at each byte once, however small the parts are that come; whether the
//! value is well formed beyond that is for the parser to say.

/// What was seen of an object so far.
#[derive(Debug, Default)]
pub(crate) struct Framing {
    depth: u32,
    /// Which of the open brackets are braces, the innermost in the lowest bit.
    braces: u128,
    in_string: bool,
    escaped: bool,
}

/// What is known after some more bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Frame {
    /// More is to come.
    Incomplete,
    /// The object ends before this byte, counted from the first that was just looked at.
    Complete(usize),
    /// It is no object, for this reason.
    NoObject(&'static str),
}

impl Framing {
    /// Looks at the next bytes. Not after the end.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Frame {
        for (at, &byte) in bytes.iter().enumerate() {
            if self.in_string {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => self.in_string = false,
                    _ => {}
                }
                continue;
            }
            match byte {
                _ if self.depth == 0 && is_space(byte) => {}
                _ if self.depth == 0 && byte != b'{' => {
                    return Frame::NoObject("it does not begin with a brace")
                }
                b'{' | b'[' => {
                    // The parser goes no deeper either.
                    if self.depth == u128::BITS {
                        return Frame::NoObject("it is nested too deep");
                    }
                    self.depth += 1;
                    self.braces = (self.braces << 1) | u128::from(byte == b'{');
                }
                b'}' | b']' => {
                    if (self.braces & 1 == 1) != (byte == b'}') {
                        return Frame::NoObject("its brackets do not match");
                    }
                    self.depth -= 1;
                    self.braces >>= 1;
                    if self.depth == 0 {
                        return Frame::Complete(at + 1);
                    }
                }
                b'"' => self.in_string = true,
                _ => {}
            }
        }
        Frame::Incomplete
    }
}

/// What may stand around values in JSON.
pub(crate) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_ends_with_its_brace_wherever_it_is_cut() {
        let whole = br#" {"a":"}\"\\","b":[{},{"c":[]}]} "#;
        for cut in 0..whole.len() {
            let mut framing = Framing::default();
            let end = whole.len() - 1;
            match framing.push(&whole[..cut]) {
                Frame::Complete(at) => assert_eq!(at, end),
                Frame::Incomplete => {
                    assert_eq!(framing.push(&whole[cut..]), Frame::Complete(end - cut));
                }
                Frame::NoObject(why) => panic!("cut at {cut}: {why}"),
            }
        }
    }

    #[test]
    fn what_is_no_object_is_known_as_soon_as_can_be() {
        let deep = "{".repeat(129);
        for text in ["[]", "1", "\"", "\u{feff}{}", "\0", "}", "{]", "{[}", &deep] {
            let mut framing = Framing::default();
            let found = framing.push(text.as_bytes());
            assert!(matches!(found, Frame::NoObject(_)), "{text}");
        }
    }
}
