//! What is logged: a line of JSON for each thing that happens.

use serde_json::{json, Value};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// Lines go to the file, or to standard error.
pub(crate) struct Log {
    path: Option<PathBuf>,
    file: Mutex<Option<File>>,
}

impl Log {
    pub(crate) fn new(path: Option<PathBuf>) -> io::Result<Self> {
        let log = Log {
            path,
            file: Mutex::default(),
        };
        log.reopen()?;
        Ok(log)
    }

    /// Opens the file anew, which somebody may have renamed.
    pub(crate) fn reopen(&self) -> io::Result<()> {
        if let Some(path) = &self.path {
            let mut options = OpenOptions::new();
            let file = options.append(true).create(true).mode(0o640).open(path)?;
            *self.file.lock().unwrap_or_else(PoisonError::into_inner) = Some(file);
        }
        Ok(())
    }

    /// Writes a line of these fields, with the time in front. What cannot be written is lost.
    pub(crate) fn line(&self, event: &str, fields: Value) {
        let time = SystemTime::now().duration_since(UNIX_EPOCH);
        let seconds = time.map_or(0.0, |time| (time.as_millis() as f64) / 1000.0);
        let mut line = json!({ "time": seconds, "event": event });
        if let (Some(line), Value::Object(fields)) = (line.as_object_mut(), fields) {
            line.extend(fields);
        }
        let line = format!("{line}\n");
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = match file.as_ref() {
            Some(mut file) => file.write_all(line.as_bytes()),
            None => io::stderr().write_all(line.as_bytes()),
        };
    }

    /// What is no decision about a container.
    pub(crate) fn note(&self, event: &str, text: impl ToString) {
        self.line(event, json!({ "text": text.to_string() }));
    }
}
