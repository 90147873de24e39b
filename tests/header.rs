//! `include/unotify.h` is what `include/unotify.h.in` and `src/capi` say today.
//!
//! cbindgen turns `src/capi` into C. Its items come in its own order; here they are put into the
//! chapters of the template: a line `@load.rs@` there stands for what `src/capi/load.rs` declares,
//! in the order it stands in that file.

use std::collections::BTreeMap;
use std::path::Path;
use unotify::Status;

/// The core's types that C sees.
const CORE: [&str; 2] = ["src/error.rs", "src/kernel/seccomp.rs"];

/// Where the lines of the header end, as far as they can be broken.
const WIDTH: usize = 100;

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn generate() -> String {
    let template = read("include/unotify.h.in")
        .replace("@MAJOR@", env!("CARGO_PKG_VERSION_MAJOR"))
        .replace("@MINOR@", env!("CARGO_PKG_VERSION_MINOR"))
        .replace("@PATCH@", env!("CARGO_PKG_VERSION_PATCH"));
    let files: Vec<_> = template.lines().filter_map(placeholder).collect();
    let declarations: Vec<_> = files.iter().map(|file| declarations(file)).collect();
    let mut items = items(&files);
    let mut handles = String::new();
    let mut chapters = BTreeMap::new();
    for (file, declared) in files.iter().zip(&declarations) {
        let mut chapter = String::new();
        for declaration in declared {
            let item = items.remove(&declaration.name);
            let item = item.unwrap_or_else(|| panic!("cbindgen leaves {} out", declaration.name));
            if item.is_handle() {
                // Other chapters may name it before its own.
                handles += &format!("\n{}", item.text(None));
                continue;
            }
            if !declaration.follows && !chapter.is_empty() {
                chapter.push('\n');
            }
            chapter += &item.text(declaration.value.as_deref());
        }
        chapters.insert(*file, chapter);
    }
    assert!(items.is_empty(), "in no chapter: {:?}", items.keys());
    let mut header = String::new();
    for line in template.lines() {
        match placeholder(line) {
            Some(file) => header += &chapters[file],
            None if line == "@handles@" => header += handles.trim_start(),
            None => header += &format!("{line}\n"),
        }
    }
    header
}

/// The file of `src/capi` that a line of the template stands for.
fn placeholder(line: &str) -> Option<&str> {
    let name = line.strip_prefix('@')?.strip_suffix('@')?;
    name.ends_with(".rs").then_some(name)
}

/// Something for C in a file of `src/capi`.
struct Declaration {
    name: String,
    /// Of a constant, as C writes it.
    value: Option<String>,
    /// It stands right below another one, without a blank line.
    follows: bool,
}

fn declarations(file: &str) -> Vec<Declaration> {
    let mut found: Vec<Declaration> = Vec::new();
    let mut follows = false;
    for line in read(&format!("src/capi/{file}")).lines() {
        let code = line.strip_prefix("pub ").unwrap_or_default();
        let code = code.trim_start_matches("unsafe ");
        let kinds = ["const ", "struct ", "type ", "extern \"C\" fn "];
        if let Some(kind) = kinds.into_iter().find(|kind| code.starts_with(kind)) {
            let code = &code[kind.len()..];
            let end = code.find(|c: char| !c.is_alphanumeric() && c != '_');
            let name = &code[..end.unwrap_or(code.len())];
            if name.to_lowercase().starts_with("unotify_") {
                let value = code.strip_suffix(';').and_then(|c| c.split_once(" = "));
                let value = value.filter(|_| kind == "const ");
                let follows = follows && value.is_some() && !found.is_empty();
                found.push(Declaration {
                    name: name.to_owned(),
                    value: value.map(|(what, value)| number(what, value)),
                    follows,
                });
            }
        }
        follows = !line.is_empty();
    }
    found
}

/// A constant's value, as people write it in C: a flag as a shift, what is in hexadecimal unsigned.
fn number(declared: &str, value: &str) -> String {
    let suffix = if declared.ends_with("u64") {
        "ULL"
    } else {
        "U"
    };
    let value = value.replace('_', "");
    match value.split_once(" << ") {
        Some((one, place)) => format!("({one}{suffix} << {place})"),
        None if value.starts_with("0x") => value + suffix,
        None => value,
    }
}

/// An item of C: its comment, without what encloses it, and the rest.
struct Item {
    comment: Vec<String>,
    code: String,
}

/// What cbindgen makes of these files, by name.
fn items(files: &[&str]) -> BTreeMap<String, Item> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(root.join("cbindgen.toml")).expect("cbindgen.toml");
    let capi = files.iter().map(|file| root.join("src/capi").join(file));
    let mut made = Vec::new();
    CORE.iter()
        .map(|file| root.join(file))
        .chain(capi)
        .fold(
            cbindgen::Builder::new().with_config(config),
            cbindgen::Builder::with_src,
        )
        .generate()
        .expect("src/capi is readable to cbindgen")
        .write(&mut made);
    let made = String::from_utf8(made).expect("C in UTF-8");
    let made = Status::ALL.into_iter().fold(made, |made, status| {
        let value = status as i32;
        let name = status.name();
        made.replace(
            &format!("    {status:?} = {value},"),
            &format!("    {name} = {value},"),
        )
    });
    let items = made.split("\n\n").filter_map(|item| {
        let (comment, code) = item.trim().strip_prefix("/**\n")?.split_once("\n */\n")?;
        let mut comment: Vec<_> = comment
            .lines()
            .map(|l| l.trim_start_matches(" *").to_owned())
            .collect();
        // What callers promise. The header says once, at its top, what holds for all functions.
        if let Some(safety) = comment.iter().position(|line| line == " # Safety") {
            comment.truncate(safety - 1);
        }
        // An associated constant of a Rust type; C's constants begin with UNOTIFY_.
        if code.starts_with("#define unotify_") {
            return None;
        }
        let code = code.to_owned();
        Some((name(&code)?.to_owned(), Item { comment, code }))
    });
    items.collect()
}

/// What an item of C is called, if that is a name of this library's.
fn name(code: &str) -> Option<&str> {
    let name = if let Some(rest) = code.strip_prefix("#define ") {
        rest.split(' ').next()
    } else if let Some((_, rest)) = code.split_once("(*") {
        rest.split(')').next()
    } else if code.starts_with("enum ") {
        code.split([' ', '\n']).nth(1)
    } else if code.starts_with("typedef ") {
        code.trim_end_matches(';').rsplit(' ').next()
    } else {
        code.split('(').next()?.rsplit([' ', '*']).next()
    };
    name.filter(|name| name.starts_with("unotify_") || name.starts_with("UNOTIFY_"))
}

impl Item {
    /// A type that C knows by name only.
    fn is_handle(&self) -> bool {
        self.code.starts_with("typedef ") && !self.code.contains(['{', '('])
    }

    fn text(&self, value: Option<&str>) -> String {
        let code = self.code.trim();
        let name = name(code).unwrap_or_default();
        let code = match value {
            Some(value) => format!("#define {name} {value}"),
            None if self.is_handle() => format!("typedef struct {name} {name};"),
            None if code.contains('{') => fields(code),
            None => prototype(code),
        };
        format!("{}{code}\n", comment(&self.comment, ""))
    }
}

/// A comment, on one line if it has room there.
fn comment(lines: &[String], indent: &str) -> String {
    match lines {
        [line] if indent.len() + line.len() + 6 <= WIDTH => format!("{indent}/**{line} */\n"),
        lines => {
            let lines: String = lines.iter().map(|l| format!("{indent} *{l}\n")).collect();
            format!("{indent}/**\n{lines}{indent} */\n")
        }
    }
}

/// A structure or an enumeration: cbindgen's, with short comments.
fn fields(code: &str) -> String {
    let mut text = String::new();
    let mut lines = code.lines();
    while let Some(line) = lines.next() {
        if line.trim() != "/**" {
            text += &format!("{line}\n");
            continue;
        }
        let of_field: Vec<_> = lines
            .by_ref()
            .map(str::trim)
            .take_while(|line| *line != "*/")
            .map(|line| line.trim_start_matches('*').to_owned())
            .collect();
        text += &comment(&of_field, "    ");
    }
    text.trim_end()
        .replace("const struct unotify_", "const unotify_")
}

/// A function or a pointer to one, with as many parameters on a line as there is room for.
fn prototype(code: &str) -> String {
    let words: Vec<_> = code.split_whitespace().collect();
    let code = words.join(" ").replace("struct unotify_", "unotify_");
    let open = code.rfind('(').map_or(0, |at| at + 1);
    let (mut text, mut column) = (code[..open].to_owned(), open);
    for (i, parameter) in code[open..].split(", ").enumerate() {
        // A comma, or the end, stands behind it.
        if i > 0 && column + parameter.len() + 3 > WIDTH {
            text += &format!(",\n{}", " ".repeat(open));
            column = open;
        } else if i > 0 {
            text += ", ";
            column += 2;
        }
        text += parameter;
        column += parameter.len();
    }
    text
}

#[test]
fn the_committed_header_is_current() {
    let header = generate();
    if std::env::var_os("UNOTIFY_BLESS").is_some() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("include/unotify.h");
        std::fs::write(path, &header).expect("write include/unotify.h");
    }
    assert!(
        header == read("include/unotify.h"),
        "include/unotify.h is not what src/capi says: run UNOTIFY_BLESS=1 cargo test --test header",
    );
}
