//! What a runtime says of a container: the *container process state* of the OCI runtime
//! specification, as JSON.

use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// What the descriptors of a message are called that are a listener.
pub(super) const LISTENER: &str = "seccompFd";

/// What a runtime says of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct State {
    pub(super) version: String,
    pub(super) id: String,
    pub(super) status: String,
    pub(super) bundle: String,
    pub(super) metadata: String,
    pub(super) pid: i32,
    pub(super) init_pid: i32,
    pub(super) annotations: BTreeMap<String, String>,
}

/// A state, and what the descriptors that came with it are called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) state: State,
    pub(super) names: Vec<String>,
}

impl Told {
    /// Reads a message, or says why it is none.
    pub(super) fn read(message: &[u8]) -> Result<Told, String> {
        let value = serde_json::from_slice(message);
        let value: Value = value.map_err(|e| format!("its message is no JSON: {e}"))?;
        Told::of(&value)
    }

    /// Takes what is needed of a message.
    pub(super) fn of(value: &Value) -> Result<Told, String> {
        let told = object(value, "message")?;
        let state = told.get("state").ok_or("its message has no `state`")?;
        let state = object(state, "`state`")?;
        let version = match text(told, "ociVersion")? {
            none if none.is_empty() => text(state, "ociVersion")?,
            version => version,
        };
        if !state.contains_key("id") {
            return Err("its `state` has no `id`".into());
        }
        Ok(Told {
            state: State {
                version,
                id: text(state, "id")?,
                status: text(state, "status")?,
                bundle: text(state, "bundle")?,
                metadata: text(told, "metadata")?,
                pid: number(told, "pid")?,
                init_pid: number(state, "pid")?,
                annotations: annotations(state)?,
            },
            names: names(told)?,
        })
    }

    /// The message that says this.
    pub(super) fn to_value(&self) -> Value {
        let state = &self.state;
        serde_json::json!({
            "ociVersion": state.version,
            "fds": self.names,
            "pid": state.pid,
            "metadata": state.metadata,
            "state": {
                "ociVersion": state.version,
                "id": state.id,
                "status": state.status,
                "pid": state.init_pid,
                "bundle": state.bundle,
                "annotations": state.annotations,
            },
        })
    }
}

fn object<'a>(value: &'a Value, what: &str) -> Result<&'a Map<String, Value>, String> {
    let object = value.as_object();
    object.ok_or_else(|| format!("its {what} is no object"))
}

/// A text without NUL, as C has them; empty where there is none.
fn text(from: &Map<String, Value>, key: &str) -> Result<String, String> {
    match from.get(key) {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(text)) => checked(text, key),
        Some(_) => Err(format!("its `{key}` is no text")),
    }
}

fn checked(text: &str, what: &str) -> Result<String, String> {
    if text.contains('\0') {
        return Err(format!("its `{what}` has a NUL in it"));
    }
    Ok(text.to_owned())
}

/// The number of a process; 0 where there is none.
fn number(from: &Map<String, Value>, key: &str) -> Result<i32, String> {
    let Some(value) = from.get(key).filter(|value| !value.is_null()) else {
        return Ok(0);
    };
    let number = value.as_i64().and_then(|number| i32::try_from(number).ok());
    number
        .filter(|&number| number >= 0)
        .ok_or_else(|| format!("its `{key}` is no process id"))
}

fn annotations(state: &Map<String, Value>) -> Result<BTreeMap<String, String>, String> {
    let Some(value) = state.get("annotations").filter(|value| !value.is_null()) else {
        return Ok(BTreeMap::new());
    };
    let annotations = object(value, "`annotations`")?.iter();
    annotations
        .map(|(key, value)| {
            let value = value.as_str().ok_or("one of its annotations is no text")?;
            Ok((checked(key, "annotations")?, checked(value, "annotations")?))
        })
        .collect()
}

fn names(told: &Map<String, Value>) -> Result<Vec<String>, String> {
    let list = match told.get("fds") {
        Some(Value::Array(list)) => list,
        None => return Err("its message names no descriptors (`fds`)".into()),
        Some(_) => return Err("its `fds` is no list".into()),
    };
    let name = |name: &Value| checked(name.as_str().ok_or("its `fds` has no names")?, "fds");
    list.iter().map(name).collect()
}
