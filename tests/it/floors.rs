//! The house rules that the compiler does not know: which module may import which, how long a file
//! may be, that each says what it is for, and who may use which wire, store and HTTP crate.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// The floors from the ground up; a module imports only from floors below its own. Filters stand
/// half a floor below the decisions that use them: access rules hold filters.
const FLOORS: [&[&str]; 9] = [
    &["dn", "clock", "limits", "names"],
    &["schema", "expression"],
    &["entry"],
    &["filter"],
    &["access", "lifecycle", "auth", "sesame", "likeness"],
    &["store"],
    &["directory", "provisioning"],
    &["ldap", "http", "export"],
    &["config", "cli", "server", "certs", "reload", "telemetry", "timer", "main", "lib"],
];

/// On the top floor these know each other; everywhere else a neighbour is out of bounds.
const TOP: usize = FLOORS.len() - 1;

const LINES: usize = 700;

/// A crate, and the only places that may name it.
const RESERVED: [(&str, &[&str]); 5] = [
    ("ldap3", &["export"]),
    ("ldap3_proto", &["ldap"]),
    ("ldap3_lber", &["ldap"]),
    ("sled", &["store"]),
    ("reqwest", &["export", "cli"]),
];

struct Source {
    path: PathBuf,
    module: String,
    text: String,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for item in fs::read_dir(&folder).unwrap() {
            let path = item.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let inner = path.strip_prefix(&root).unwrap().to_owned();
                let first = inner.components().next().unwrap().as_os_str().to_str().unwrap();
                let module = first.trim_end_matches(".rs").to_owned();
                found.push(Source { text: fs::read_to_string(&path).unwrap(), path: inner, module });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(found.len() > 50, "the sources were not found");
    found
}

fn floor(module: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&module))
}

/// The text without comments and without what stands in quotes.
fn code(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let skip = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(length) = raw_string(rest) {
            length
        } else if c == '"' {
            string(rest)
        } else if rest.starts_with("'\"'") || rest.starts_with("'\\\"'") {
            rest.find("\"'").map_or(1, |end| end + 2)
        } else {
            out.push(c);
            rest = &rest[c.len_utf8()..];
            continue;
        };
        out.push(' ');
        rest = &rest[skip..];
    }
    out
}

fn string(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

fn raw_string(text: &str) -> Option<usize> {
    let after = text.strip_prefix("br").or_else(|| text.strip_prefix('r'))?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    after[hashes..].strip_prefix('"')?;
    let start = text.len() - after.len() + hashes + 1;
    let close = format!("\"{}", "#".repeat(hashes));
    Some(text[start..].find(&close).map_or(text.len(), |end| start + end + close.len()))
}

/// The modules of this crate that a text names: `crate::x`, also in nested groups.
fn imports(text: &str) -> BTreeSet<String> {
    let code = code(text);
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let before = code[..at].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
            continue;
        }
        let rest = code[at + "crate::".len()..].trim_start();
        match rest.strip_prefix('{') {
            Some(group) => found.extend(heads(group)),
            None => found.extend(head(rest)),
        }
    }
    found
}

/// The first name of each item of a group, up to its closing brace.
fn heads(group: &str) -> Vec<String> {
    let (mut depth, mut start, mut found) = (0usize, 0usize, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            '}' => {
                found.extend(head(&group[start..at]));
                break;
            }
            ',' if depth == 0 => {
                found.extend(head(&group[start..at]));
                start = at + 1;
            }
            _ => {}
        }
    }
    found
}

fn head(path: &str) -> Option<String> {
    let name: String = path.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    (!name.is_empty()).then_some(name)
}

#[test]
fn imports_point_downwards() {
    let mut faults = Vec::new();
    let mut seen = 0;
    for source in sources() {
        let own = floor(&source.module);
        let Some(own) = own else {
            faults.push(format!("{}: module {} has no floor", source.path.display(), source.module));
            continue;
        };
        for other in imports(&source.text) {
            // A name that is no module is a macro or an item of lib.rs.
            let Some(theirs) = floor(&other) else { continue };
            seen += 1;
            if other != source.module && theirs >= own && !(own == TOP && theirs == TOP) {
                faults.push(format!(
                    "{}: {} (floor {own}) imports {other} (floor {theirs})",
                    source.path.display(),
                    source.module
                ));
            }
        }
    }
    assert!(seen > 100, "only {seen} imports were found: the reader of imports is broken");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_module_of_the_crate_has_a_floor() {
    let lib = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    let modules: Vec<&str> =
        lib.lines().filter_map(|l| l.strip_prefix("pub mod ").or(l.strip_prefix("mod "))?.strip_suffix(';')).collect();
    assert!(modules.len() > 10);
    let homeless: Vec<_> = modules.into_iter().filter(|m| floor(m).is_none()).collect();
    assert!(homeless.is_empty(), "no floor: {homeless:?}");
}

#[test]
fn files_are_short_and_say_what_they_are_for() {
    let mut faults = Vec::new();
    for source in sources() {
        let lines = source.text.lines().count();
        if lines > LINES {
            faults.push(format!("{}: {lines} lines, more than {LINES}", source.path.display()));
        }
        let first = source.text.lines().next().unwrap_or_default();
        if !first.starts_with("//! ") {
            faults.push(format!("{}: the first line is not `//! what it is for`", source.path.display()));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn reserved_crates_stay_in_their_modules() {
    let mut faults = Vec::new();
    for source in sources() {
        let code = code(&source.text);
        for (name, homes) in RESERVED {
            let path = format!("{name}::");
            let used = code.match_indices(&path).any(|(at, _)| {
                !code[..at].chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':')
            });
            let imported = code.contains(&format!("use {name};"));
            if (used || imported) && !homes.contains(&source.module.as_str()) {
                faults.push(format!("{}: {name} belongs to {homes:?} only", source.path.display()));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_reader_of_imports_finds_them_all() {
    let text = r##"
        //! crate::comment::X is not one
        use crate::{access::{Identity, Right}, dn::Dn, filter};
        use crate::schema;
        fn f() { let _ = "crate::text::Y"; let _ = r#"crate::raw::Z"#; crate::limits::Limits::default() }
        pub(crate) fn g() -> $crate::other::T {}
        use super::super::crate_like::X;
    "##;
    let found: Vec<_> = imports(text).into_iter().collect();
    assert_eq!(found, ["access", "dn", "filter", "limits", "other", "schema"]);
    assert!(imports("use crate::{\n    store,\n    clock::{self, Clock},\n};").contains("clock"));
    assert!(!imports("mycrate::store::X").contains("store"));
}
