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

/// Where the header's lines end, as far as they can be broken.
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
    let mut items = items(&files);
    let mut handles = String::new();
    let mut chapters = BTreeMap::new();
    for file in &files {
        chapters.insert(*file, chapter(file, &mut items, &mut handles));
    }
    assert!(items.is_empty(), "in no chapter: {:?}", items.keys());
    let mut header = String::new();
    for line in template.lines() {
        match placeholder(line) {
            Some(file) => header += chapters[file].trim_start(),
            None if line == "@handles@" => header += handles.trim_start(),
            None => header += &format!("{line}\n"),
        }
    }
    header
}

/// What a file declares, in its order, but for handles: other chapters may name these before.
fn chapter(file: &str, items: &mut BTreeMap<String, Item>, handles: &mut String) -> String {
    let mut chapter = String::new();
    let mut constants = Vec::new();
    for declaration in declarations(file) {
        let item = items.remove(&declaration.name);
        let item = item.unwrap_or_else(|| panic!("cbindgen leaves {} out", declaration.name));
        if !declaration.follows && !constants.is_empty() {
            chapter += &format!("\n{}", table(&constants, ""));
            constants.clear();
        }
        if let Some(value) = &declaration.value {
            let code = format!("#define {} {value}", declaration.name);
            constants.push(Item { code, ..item });
        } else if item.is_handle() {
            add(handles, &item.text());
        } else {
            add(&mut chapter, &item.text());
        }
    }
    assert!(constants.is_empty(), "{file} ends with a constant");
    chapter
}

/// Adds an item below a blank line, but for what has a comment of one line below another such:
/// these stand together.
fn add(chapter: &mut String, item: &str) {
    let last = chapter
        .rsplit("\n\n")
        .next()
        .unwrap_or_default()
        .trim_start();
    let short = |items: &str| {
        let long = |line: &str| line.starts_with(" *") || line.contains(['#', '{']);
        items.starts_with("/**") && !items.lines().any(long)
    };
    if !(short(last) && short(item)) || last.is_empty() {
        chapter.push('\n');
    }
    chapter.push_str(item);
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
        follows &= !line.is_empty();
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
                found.push(Declaration {
                    name: name.to_owned(),
                    value: value.map(|(what, value)| number(what, value)),
                    follows,
                });
                follows = true;
            }
        }
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

/// An item of C: the lines of its comment, without what encloses them, and the rest.
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
        // An associated constant of a Rust type; C's constants begin with UNOTIFY_.
        if code.starts_with("#define unotify_") {
            return None;
        }
        // What callers promise ends the comment: the template says it once for all functions.
        let comment = comment.split("\n *\n * # Safety").next()?;
        let comment = match comment.split_once("\n *\n * Errors") {
            Some((what, errors)) => format!("{what}\n * Errors{}", short_statuses(errors)),
            None => comment.to_owned(),
        };
        let (comment, code) = (fill(&comment, ""), code.trim().to_owned());
        Some((name(&code)?.to_owned(), Item { comment, code }))
    });
    items.collect()
}

/// A list of errors with the statuses' names as the header has them there: it says once that
/// `UNOTIFY_ERR_` is left out, which stands a hundred times in the lists.
fn short_statuses(errors: &str) -> String {
    Status::ALL
        .into_iter()
        .fold(errors.to_owned(), |errors, status| {
            let name = status.name();
            errors.replace(
                &format!("`{name}`"),
                name.trim_start_matches("UNOTIFY_ERR_"),
            )
        })
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

    fn text(&self) -> String {
        let code = match name(&self.code) {
            Some(name) if self.is_handle() => format!("typedef struct {name} {name};"),
            _ if self.code.contains('{') => fields(&self.code),
            _ => prototype(&self.code),
        };
        format!("{}{code}\n", comment(&self.comment, ""))
    }
}

/// The lines of a comment, less their stars, filled anew: they stand elsewhere than in the source.
/// Errors begin a line; those of a line's length go on where the text ends if that saves theirs.
fn fill(comment: &str, indent: &str) -> Vec<String> {
    let own_line = filled(comment, indent, "Errors");
    let same_line = filled(comment, indent, "\n");
    let short = matches!(&own_line[..], [.., last] if last.starts_with(" Errors"));
    if short && same_line.len() < own_line.len() {
        same_line
    } else {
        own_line
    }
}

/// Fills lines, of which those that begin so are not joined with the line above.
fn filled(comment: &str, indent: &str, new_line: &str) -> Vec<String> {
    let width = WIDTH - indent.len() - "/**".len();
    let mut filled: Vec<String> = Vec::new();
    for line in comment.lines().map(|line| &line.trim_start()[1..]) {
        let words = line.trim_start();
        let item = words.starts_with("- ");
        let lead = &line[..line.len() - words.len()];
        let hanging = if item {
            format!("{lead}  ")
        } else {
            lead.to_owned()
        };
        let after_blank = filled.last().is_none_or(|last| last.is_empty());
        if after_blank || line.is_empty() || item || words.starts_with(new_line) {
            filled.push(String::new());
        }
        for word in words.split(' ').filter(|word| !word.is_empty()) {
            match filled.last_mut() {
                Some(last) if last.is_empty() => *last = format!("{lead}{word}"),
                Some(last) if last.len() + 1 + word.len() <= width => *last += &format!(" {word}"),
                _ => filled.push(format!("{hanging}{word}")),
            }
        }
    }
    // The end has to go there, too.
    if let Some(last) = filled.pop() {
        match last.rsplit_once(' ') {
            Some((line, word)) if last.len() + " */".len() > width => {
                filled.extend([line.to_owned(), format!(" {word}")]);
            }
            _ => filled.push(last),
        }
    }
    filled
}

fn comment(lines: &[String], indent: &str) -> String {
    format!("{indent}/**{} */\n", lines.join(&format!("\n{indent} *")))
}

/// Constants or fields: short comments stand beside them, longer ones above.
fn table(rows: &[Item], indent: &str) -> String {
    let fits = |line: &str, column| indent.len() + column + line.len() + 8 <= WIDTH;
    let beside = rows
        .iter()
        .filter(|row| matches!(&row.comment[..], [line] if fits(line, row.code.len())));
    let column = beside.map(|row| row.code.len()).max().unwrap_or_default();
    let row = |row: &Item| match &row.comment[..] {
        [line] if fits(line, column.max(row.code.len())) => {
            format!("{indent}{:column$} /**<{line} */\n", row.code)
        }
        lines => format!("{}{indent}{}\n", comment(lines, indent), row.code),
    };
    rows.iter().map(row).collect()
}

/// A structure or an enumeration.
fn fields(code: &str) -> String {
    let code = code.replace("const struct unotify_", "const unotify_");
    let mut parts = code.split("    /**\n");
    let (mut begin, mut end) = (parts.next().unwrap_or_default(), "");
    let mut rows = Vec::new();
    for part in parts {
        let (comment, code) = part.split_once("     */\n").expect("a comment ends");
        let (code, rest) = code.split_once('\n').expect("a field, and what follows");
        let (comment, code) = (fill(comment, "    "), code.trim().to_owned());
        rows.push(Item { comment, code });
        end = rest;
    }
    if code.starts_with("enum unotify_status") {
        // C23 has enumerations of a size, as C++ has; that it is the same in every C is worth more.
        begin = "enum unotify_status\n#ifdef __cplusplus\n    : int32_t\n#endif\n{\n";
        end = "};\n#ifndef __cplusplus\ntypedef int32_t unotify_status;\n#endif";
    }
    format!("{begin}{}{end}", table(&rows, "    "))
}

/// A function or a pointer to one, its parameters below each other's, or where that takes fewer
/// lines, below its name.
fn prototype(code: &str) -> String {
    let words: Vec<_> = code.split_whitespace().collect();
    let code = words.join(" ").replace("struct unotify_", "unotify_");
    let open = code.rfind('(').map_or(0, |at| at + 1);
    let (begin, parameters) = code.split_at(open);
    let aligned = format!("{begin}{}", wrap(parameters, open));
    let below = format!("{begin}\n    {}", wrap(parameters, 4));
    if below.lines().count() < aligned.lines().count() {
        below
    } else {
        aligned
    }
}

/// Parameters that begin in a column, with as many on a line as there is room for.
fn wrap(parameters: &str, indent: usize) -> String {
    let (mut text, mut column) = (String::new(), indent);
    for (i, parameter) in parameters.split(", ").enumerate() {
        // A comma, or the end, stands behind it.
        if i > 0 && column + parameter.len() + 3 > WIDTH {
            text += &format!(",\n{}", " ".repeat(indent));
            column = indent;
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

#[test]
fn every_file_of_the_c_layer_is_in_a_chapter() {
    let template = read("include/unotify.h.in");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/capi");
    for entry in std::fs::read_dir(folder).expect("src/capi") {
        let name = entry.expect("an entry").file_name();
        let file = name.to_str().expect("a name in UTF-8");
        assert!(
            template.lines().any(|line| placeholder(line) == Some(file))
                || declarations(file).is_empty(),
            "include/unotify.h.in has no line @{file}@",
        );
    }
}

/// People read the header from its beginning to its end, and beside their program: a new function
/// says in few lines what has to be known, and what takes many goes to `man/unotify.7`.
#[test]
fn the_header_is_short_enough_to_be_read() {
    let header = generate();
    let lines = header.lines().count();
    assert!(lines <= 1050, "include/unotify.h has {lines} lines");
    let wide: Vec<_> = header.lines().filter(|line| line.len() > WIDTH).collect();
    assert!(wide.is_empty(), "too wide: {wide:#?}");
}
