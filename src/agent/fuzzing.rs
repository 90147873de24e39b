//! What must hold whatever a peer sends: for the fuzzer in `fuzz/`, and for its corpus, which the tests
//! replay.

use super::state::Told;
use crate::transport::framing::is_space;
use crate::transport::message::{Limits, Message, Progress};
use serde_json::Value;

/// Small, so that inputs reach it.
const LIMITS: Limits = Limits {
    bytes: 4096,
    fds: 16,
};

/// Reads a message in whatever parts the first byte says, and panics if something is not as it must be.
pub fn message(input: &[u8]) {
    let Some((&cut, text)) = input.split_first() else {
        return;
    };
    let (whole, end) = read(text, text.len().max(1));
    // Where it is cut makes no difference, but for what comes behind its end, and for which of two
    // reasons is found first.
    let (parts, end_of_parts) = read(text, usize::from(cut).max(1));
    let (whole, parts) = (whole.as_ref(), parts.as_ref());
    match (whole, parts) {
        (Some(Progress::Refused(why)), Some(Progress::Complete)) => {
            assert_eq!(why, "more follows its message");
        }
        (Some(Progress::Refused(_)), Some(Progress::Refused(_))) => {}
        _ => assert_eq!(parts, whole),
    }
    if let (Some(end), Some(end_of_parts)) = (&end, &end_of_parts) {
        assert_eq!(end, end_of_parts);
    }
    // What the parser takes for an object is one, from its first byte to its last.
    let is_object = matches!(serde_json::from_slice(text), Ok(Value::Object(_)));
    if is_object && text.len() <= LIMITS.bytes {
        assert_eq!(whole, Some(&Progress::Complete));
    }
    let Some(told) = end_of_parts.and_then(|message| Told::read(&message).ok()) else {
        return;
    };
    // What is handed over comes out the same.
    let again = Told::read(told.to_value().to_string().as_bytes());
    assert_eq!(again.as_ref(), Ok(&told));
}

/// What comes of a text in parts of that size, if anything does, and the message.
fn read(text: &[u8], size: usize) -> (Option<Progress>, Option<Vec<u8>>) {
    let mut message = Message::default();
    for part in text.chunks(size) {
        let Some(progress) = message.push(part, LIMITS) else {
            continue;
        };
        assert!(message.bytes.len() <= LIMITS.bytes);
        if progress != Progress::Complete {
            return (Some(progress), None);
        }
        let from = text.iter().position(|&byte| !is_space(byte));
        assert_eq!(text.get(from.unwrap_or(0)), Some(&b'{'));
        return (Some(progress), Some(message.bytes));
    }
    assert!(message.bytes.len() <= LIMITS.bytes);
    (None, None)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    #[test]
    fn the_corpus_is_read_as_it_must_be() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/message");
        // It is not in the published package.
        let Ok(inputs) = std::fs::read_dir(corpus) else {
            return;
        };
        let mut count = 0;
        for input in inputs {
            super::message(&std::fs::read(input.unwrap().path()).unwrap());
            count += 1;
        }
        assert!(count > 100, "{count} inputs");
    }
}
