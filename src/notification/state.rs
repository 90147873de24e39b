//! What can become of a notification.

/// How far a notification has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Nothing was received into it.
    Empty,
    /// The target is waiting.
    Pending,
    /// The target was let go, in this way.
    Answered(Reply),
    /// The target does not wait for an answer any more.
    Gone,
}

/// The ways to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reply {
    Value,
    Error,
    Continue,
    Fd,
    Fallback,
}

impl Reply {
    pub(crate) const ALL: [Reply; 5] = [
        Reply::Value,
        Reply::Error,
        Reply::Continue,
        Reply::Fd,
        Reply::Fallback,
    ];
}
