//! What class rule files define beyond the LDAP schema. Sesame's own files speak of classes and
//! attributes that no LDAP schema has (a class of a site of its own): such a class
//! becomes an auxiliary one, such an attribute a type of its own, and the class allows what its file
//! declares. Each definition is noted, since it may as well be a typing error.

use super::{
    fault::Fault,
    load::{AttributeDef, ClassDef},
    names, position,
};
use serde_yaml::{Mapping, Value};
use sha1::{Digest, Sha1};
use smol_str::SmolStr;
use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fmt,
    path::{Path, PathBuf},
};
use uuid::{Builder, Uuid};

/// One thing that a rule file defines. Equal definitions need no restart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Definition {
    Class(SmolStr),
    Attribute { name: SmolStr, shape: Shape },
    Allowed { class: SmolStr, attribute: SmolStr },
}

impl fmt::Display for Definition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Definition::Class(name) => write!(f, "the rule files define a new class '{name}'"),
            Definition::Attribute { name, .. } => write!(f, "the rule files define the attribute '{name}' anew"),
            Definition::Allowed { class, attribute } => {
                write!(f, "the rule files have the class '{class}' allow '{attribute}'")
            }
        }
    }
}

/// How an attribute that a rule file defines holds its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Shape {
    Strings,
    String,
    Integer,
    Boolean,
    Json,
}

/// What the rule files define, and a note on each thing.
#[derive(Debug, Default)]
pub(super) struct Defined {
    pub definitions: BTreeSet<Definition>,
    pub notes: Vec<Fault>,
}

/// Adds to the definitions of the LDAP files what the rule files speak of and they lack. A file that
/// cannot be read defines nothing; the reader of rules reports it.
pub(super) fn complete(
    files: &[(PathBuf, String)],
    attributes: &mut Vec<(PathBuf, AttributeDef)>,
    classes: &mut Vec<(PathBuf, ClassDef)>,
) -> (Defined, Vec<Fault>) {
    let known = attributes.iter().flat_map(|(_, d)| std::iter::once(&d.name).chain(&d.aliases).chain([&d.oid]));
    let mut work = Work {
        known: known.map(|n| names::key(n)).collect(),
        shapes: BTreeMap::new(),
        attributes,
        classes,
        done: Defined::default(),
        faults: Vec::new(),
    };
    for (path, text) in files {
        let Some(class) = path.file_stem().map(|s| SmolStr::new(s.to_string_lossy())) else { continue };
        let Ok(Value::Mapping(root)) = serde_yaml::from_str::<Value>(text) else { continue };
        work.file(path, text, &class, &root);
    }
    (work.done, work.faults)
}

struct Work<'a> {
    known: HashSet<SmolStr>,
    shapes: BTreeMap<SmolStr, (Shape, PathBuf)>,
    attributes: &'a mut Vec<(PathBuf, AttributeDef)>,
    classes: &'a mut Vec<(PathBuf, ClassDef)>,
    done: Defined,
    faults: Vec<Fault>,
}

impl Work<'_> {
    fn file(&mut self, path: &Path, text: &str, class: &SmolStr, root: &Mapping) {
        let class = match self.class(class) {
            Some(index) => index,
            None => self.define_class(path, class),
        };
        let properties = root.get("properties").and_then(Value::as_mapping);
        for (name, property) in properties.into_iter().flatten() {
            let Some(name) = name.as_str() else { continue };
            let place = ["properties", name];
            if !self.known.contains(&names::key(name)) {
                self.define_attribute(path, text, &place, shape(property));
            } else if let Some((shape_before, file)) = self.shapes.get(&names::key(name))
                && *shape_before != shape(property)
            {
                let reason = format!("{} defines '{name}' with another type", file.display());
                self.faults.push(Fault::within(path, text, &place, reason));
            }
            self.allow(path, text, class, name);
        }
    }

    fn class(&self, name: &str) -> Option<usize> {
        let is = |d: &ClassDef| {
            let mut names = std::iter::once(&d.name).chain(&d.aliases).chain([&d.oid]);
            names.any(|n| n.eq_ignore_ascii_case(name))
        };
        self.classes.iter().position(|(_, d)| is(d))
    }

    fn define_class(&mut self, path: &Path, name: &SmolStr) -> usize {
        let def = ClassDef {
            name: name.clone(),
            aliases: Vec::new(),
            oid: own_oid("class", name),
            desc: "Defined by its rule file".to_owned(),
            sup: vec![SmolStr::new_static("top")],
            kind: super::Kind::Auxiliary,
            must: Vec::new(),
            may: Vec::new(),
            obsolete: false,
        };
        let reason = format!("the LDAP schema has no class '{name}': it is defined here as an auxiliary class");
        self.done.notes.push(Fault::whole(path, "file name", reason));
        self.done.definitions.insert(Definition::Class(names::key(name)));
        self.classes.push((path.to_owned(), def));
        self.classes.len() - 1
    }

    fn define_attribute(&mut self, path: &Path, text: &str, place: &[&str; 2], shape: Shape) {
        let [_, name] = *place;
        let key = names::key(name);
        let (equality, substr, syntax) = match shape {
            Shape::Strings | Shape::String => {
                ("caseIgnoreMatch", Some("caseIgnoreSubstringsMatch"), super::Syntax::DirectoryString)
            }
            Shape::Json => ("caseExactMatch", Some("caseExactSubstringsMatch"), super::Syntax::DirectoryString),
            Shape::Integer => ("integerMatch", None, super::Syntax::Integer),
            Shape::Boolean => ("booleanMatch", None, super::Syntax::Boolean),
        };
        let def = AttributeDef {
            name: SmolStr::new(name),
            aliases: Vec::new(),
            oid: own_oid("attribute", name),
            desc: "Defined by a rule file".to_owned(),
            sup: None,
            equality: Some(SmolStr::new_static(equality)),
            ordering: (shape == Shape::Integer).then(|| SmolStr::new_static("integerOrderingMatch")),
            substr: substr.map(SmolStr::new_static),
            syntax: Some(SmolStr::new_static(syntax.oid())),
            length: None,
            single_value: shape != Shape::Strings,
            no_user_modification: false,
            usage: super::Usage::UserApplications,
            obsolete: false,
        };
        let values = if shape == Shape::Strings { "several values" } else { "one value" };
        let reason =
            format!("the LDAP schema has no attribute '{name}': it is defined here, {}, {values}", syntax.desc());
        self.done.notes.push(Fault::within(path, text, place, reason));
        self.done.definitions.insert(Definition::Attribute { name: key.clone(), shape });
        self.shapes.insert(key.clone(), (shape, path.to_owned()));
        self.known.insert(key);
        self.attributes.push((path.to_owned(), def));
    }

    /// Has the class allow the attribute if neither it nor a superclass does.
    fn allow(&mut self, path: &Path, text: &str, class: usize, name: &str) {
        let spellings = self.spellings(name);
        if self.chain(class).iter().any(|c| self.names_attribute(*c, &spellings)) {
            return;
        }
        let Some((_, def)) = self.classes.get_mut(class) else { return };
        def.may.push(SmolStr::new(name));
        let definition = Definition::Allowed { class: names::key(&def.name), attribute: names::key(name) };
        // What a file of its own class declares needs no second note.
        if !self.done.definitions.contains(&Definition::Class(names::key(&def.name)))
            && !self.shapes.contains_key(&names::key(name))
        {
            let reason = format!("the LDAP class {} does not name '{name}': it is allowed from here on", def.name);
            self.done.notes.push(Fault::within(path, text, &["properties", name], reason));
        }
        self.done.definitions.insert(definition);
    }

    fn names_attribute(&self, class: usize, spellings: &[SmolStr]) -> bool {
        let Some((_, def)) = self.classes.get(class) else { return false };
        def.must.iter().chain(&def.may).any(|n| spellings.contains(&names::key(n)))
    }

    /// The name, its aliases and its OID.
    fn spellings(&self, name: &str) -> Vec<SmolStr> {
        let all = |d: &AttributeDef| -> Vec<SmolStr> {
            std::iter::once(&d.name).chain(&d.aliases).chain([&d.oid]).map(|n| names::key(n)).collect()
        };
        let found = self.attributes.iter().map(|(_, d)| all(d)).find(|names| names.contains(&names::key(name)));
        found.unwrap_or_else(|| vec![names::key(name)])
    }

    /// The class and its superclasses.
    fn chain(&self, class: usize) -> Vec<usize> {
        let mut found = vec![class];
        let mut at = 0;
        while let Some(index) = found.get(at).copied() {
            let sups = self.classes.get(index).map(|(_, d)| d.sup.clone()).unwrap_or_default();
            for sup in sups.iter().filter_map(|s| self.class(s)) {
                if !found.contains(&sup) {
                    found.push(sup);
                }
            }
            at += 1;
        }
        found
    }
}

fn shape(property: &Value) -> Shape {
    match property.get("type").and_then(Value::as_str) {
        Some("array") => Shape::Strings,
        Some("integer") => Shape::Integer,
        Some("boolean") => Shape::Boolean,
        Some("object") => Shape::Json,
        _ => Shape::String,
    }
}

/// An OID that anybody may make without a registry: 2.25 and a UUID as a number (ITU-T X.667). The
/// UUID is made of the name (RFC 9562 section 5.5), so that it is the same at every start.
fn own_oid(kind: &str, name: &str) -> SmolStr {
    let mut hash = Sha1::new();
    hash.update(Uuid::NAMESPACE_OID);
    hash.update(format!("vestibule {kind} {}", names::key(name)));
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(hash.finalize()).for_each(|(to, from)| *to = from);
    SmolStr::new(format!("2.25.{}", Builder::from_sha1_bytes(bytes).into_uuid().as_u128()))
}

impl Fault {
    /// About a file as a whole.
    pub(super) fn whole(path: &Path, place: &str, reason: impl Into<String>) -> Self {
        Fault { file: path.to_owned(), line: None, place: place.to_owned(), reason: reason.into() }
    }

    /// About a key of a YAML file, with its line.
    pub(super) fn within(path: &Path, text: &str, keys: &[&str], reason: impl Into<String>) -> Self {
        let line = position::line_of(text, keys);
        Fault { file: path.to_owned(), line, place: keys.join("."), reason: reason.into() }
    }
}
