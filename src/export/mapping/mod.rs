//! What a target gets of an entry: a map of lines `path: expression` makes a document of it. The
//! built-in map for SCIM is a file like any other (`scim.map.yml`); what a target wants to be
//! different is laid over it. Pure: who is linked and who is active was found out before.

mod definition;
mod expression;
mod path;
mod project;
mod reader;
mod reference;
mod sheet;

#[cfg(test)]
mod tests;

pub use definition::{Direction, Map};
pub use path::{Inner, Path};
pub use reader::{PRIVATE, is_private};
pub use reference::{Found, end as end_of_group};

use super::target::{Document, Resource, read_document};
use crate::{
    clock::Timestamp,
    directory::{Node, Snapshot},
    schema::Schema,
};
use definition::{Kind, Lines, On, Part};
use expression::{Expression, Look};
use reader::Reader;
use serde_json::{Value, json};
use sheet::{Given, Sheet};
use smol_str::SmolStr;
use std::collections::BTreeSet;
use uuid::Uuid;

pub const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
pub const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
pub const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
/// Of our own, since no registered one was found: `schemas/scim/supann.json` describes it.
pub const SUPANN: &str = "urn:vestibule:params:scim:schemas:extension:supann:1.0:User";
pub const SUPANN_GROUP: &str = "urn:vestibule:params:scim:schemas:extension:supann:1.0:Group";

/// What documents look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Paths as of SCIM, and `schemas`.
    Scim,
    /// Paths as of SCIM, in JSON of another kind.
    Structured,
    /// Columns: texts and lists of texts.
    Flat,
}

/// A map and whether an operator wrote it, who is then told of every fault in it.
pub struct Layer<'a> {
    pub map: &'a Map,
    pub own: bool,
}

/// All maps of a target in one.
#[derive(Clone, Debug)]
pub struct Mapping {
    form: Form,
    users: Vec<Line>,
    groups: Vec<Line>,
    departments: Vec<Line>,
    /// Those of [`PRIVATE`] that every line may read, in small letters.
    private: BTreeSet<SmolStr>,
    /// Extensions that are not sent.
    withheld: BTreeSet<SmolStr>,
}

/// One place of the document and what stands there.
#[derive(Clone, Debug)]
pub struct Line {
    pub path: Path,
    /// The path as it was written.
    pub text: SmolStr,
    pub direction: Direction,
    pub recon_key: bool,
    expression: Expression,
    kind: Option<Kind>,
    private: bool,
    unlisted: bool,
    required: bool,
    on: On,
    own: bool,
}

/// Of whom a document is asked for.
pub struct Asked<'a> {
    pub snapshot: &'a Snapshot,
    pub node: &'a Node,
    /// Whether the account is to be usable; `None` if nothing is to be said of it.
    pub active: Option<bool>,
    pub now: Timestamp,
    /// What an entry is at the target, and its id there.
    pub linked: &'a dyn Fn(Uuid) -> Option<(Resource, String)>,
}

/// Why there is no document of an entry. Names attributes and rules, no values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lacking {
    #[error("the entry has no {attributes}, which the target needs as {path}")]
    Missing { attributes: String, path: SmolStr },
    #[error("{path}: {rule}")]
    Broken { path: SmolStr, rule: String },
    #[error("the map of the target says nothing of a {}", .0.name())]
    Unmapped(Resource),
}

/// What SCIM targets get, unless they have a map of their own.
pub const MAP: &str = include_str!("../../../config/maps/scim.map.yml");

/// The map that a kind of target is built with. A test reads each, so that none is empty.
pub fn built_in(text: &str) -> Map {
    serde_yaml::from_str(text).unwrap_or_default()
}

impl Default for Mapping {
    /// The built-in one for SCIM.
    fn default() -> Self {
        Mapping::scim(&[]).unwrap_or_else(|_| Mapping::empty(Form::Scim))
    }
}

impl Mapping {
    /// That of a target which takes entries as they are.
    pub fn empty(form: Form) -> Self {
        let (users, groups, departments) = Default::default();
        Mapping {
            form,
            users,
            groups,
            departments,
            private: BTreeSet::new(),
            withheld: [SUPANN, SUPANN_GROUP].map(SmolStr::new_static).into(),
        }
    }

    /// The built-in map for SCIM with others laid over it.
    pub fn scim(over: &[Layer<'_>]) -> Result<Self, Vec<String>> {
        let map = built_in(MAP);
        let built_in = Layer { map: &map, own: false };
        Self::layered(Form::Scim, std::iter::once(&built_in).chain(over))
    }

    /// Maps over each other, the first at the bottom. Every fault, with its path.
    pub fn layered<'a>(form: Form, layers: impl Iterator<Item = &'a Layer<'a>>) -> Result<Self, Vec<String>> {
        let mut mapping = Mapping::empty(form);
        let mut faults = Vec::new();
        for Layer { map, own } in layers {
            for (section, lines, over) in [
                ("users", &mut mapping.users, &map.users),
                ("groups", &mut mapping.groups, &map.groups),
                ("departments", &mut mapping.departments, &map.departments),
            ] {
                lay(form, section, lines, over, *own, &mut faults);
            }
        }
        if faults.is_empty() { Ok(mapping) } else { Err(faults) }
    }

    /// Lets every line read these private attributes.
    pub fn with_private(mut self, attributes: &[SmolStr]) -> Self {
        self.private.extend(attributes.iter().map(|a| SmolStr::new(a.to_ascii_lowercase())));
        self
    }

    /// Sends an extension, or does not.
    pub fn with_extension(mut self, urn: &'static str, sent: bool) -> Self {
        let urn = SmolStr::new_static(urn);
        if sent {
            self.withheld.remove(&urn)
        } else {
            self.withheld.insert(urn)
        };
        self
    }

    /// What is wrong with the lines that an operator wrote, by this schema.
    pub fn faults(&self, schema: &Schema) -> Vec<String> {
        let sections = [("users", &self.users), ("groups", &self.groups), ("departments", &self.departments)];
        let own = sections
            .into_iter()
            .flat_map(|(section, lines)| lines.iter().filter(|line| line.own).map(move |line| (section, line)));
        own.flat_map(|(section, line)| {
            let faults = line.expression.faults(schema).into_iter().chain(self.private_faults(line));
            faults.map(|fault| format!("{section}.{}: {fault}", line.text)).collect::<Vec<_>>()
        })
        .collect()
    }

    /// Who writes down a private attribute and forgets to say so would look for it in vain.
    fn private_faults(&self, line: &Line) -> Vec<String> {
        let is_held = |attr: &&&SmolStr| is_private(attr) && !self.private.contains(&*attr.to_ascii_lowercase());
        let named = line.expression.attributes();
        let held = named.iter().filter(is_held).filter(|_| !line.private);
        held.map(|attr| format!("'{attr}' is private: expected private: true beside it")).collect()
    }

    /// The lines for one kind of object, in the order of the file.
    pub fn lines(&self, resource: Resource) -> impl Iterator<Item = &Line> {
        let lines = match resource {
            Resource::User => &self.users,
            Resource::Group => &self.groups,
            Resource::Department => &self.departments,
        };
        lines.iter().filter(|line| line.path.extension.as_ref().is_none_or(|urn| !self.withheld.contains(urn)))
    }

    /// By what objects of the target are recognised, beside externalId: `userName`, `emails.value`.
    pub fn recon_keys(&self, resource: Resource) -> Vec<SmolStr> {
        let keys = self.lines(resource).filter(|line| line.recon_key && line.text != "externalId");
        keys.map(|line| line.path.plain()).collect()
    }

    /// The columns of a table, in the order of the file.
    pub fn columns(&self, resource: Resource) -> impl Iterator<Item = &str> {
        self.lines(resource).filter(|line| line.direction.pushes()).map(|line| line.text.as_str())
    }

    /// Whether documents change when other entries do.
    pub fn reads_others(&self) -> bool {
        let lines = self.users.iter().chain(&self.groups).chain(&self.departments);
        lines.into_iter().any(|line| line.expression.reads_others())
    }

    /// The document of an entry; `found` learns whom it speaks of.
    pub fn document(&self, resource: Resource, asked: &Asked<'_>, found: &mut Found) -> Result<Document, Lacking> {
        let mut sheet = Sheet::default();
        let mut any = false;
        for line in self.lines(resource).filter(|line| line.direction.pushes()) {
            any = true;
            let reader = Reader {
                snapshot: asked.snapshot,
                allowed: &self.private,
                private: line.private,
                unlisted: line.unlisted,
            };
            let given = line.given(&mut Look { asked, reader, found })?;
            sheet.put(&line.path, given);
        }
        if !any {
            return Err(Lacking::Unmapped(resource));
        }
        let mut document = sheet.finish();
        if self.form == Form::Scim {
            let core = match resource {
                Resource::User => Some(USER),
                Resource::Group => Some(GROUP),
                // RFC 7643 knows none: a target's own map names the one of its extension.
                Resource::Department => None,
            };
            let extensions = document.keys().filter(|key| is_urn(key)).map(String::as_str);
            let schemas: Vec<&str> = core.into_iter().chain(extensions).collect();
            document.insert("schemas".to_owned(), json!(schemas));
        }
        Ok(document)
    }

    /// What was written with a new object only stays as it was sent, and so does what says whether an
    /// account is usable, if nothing is said of that now.
    pub fn keep(&self, resource: Resource, document: &mut Document, sent: &str, active: Option<bool>) {
        let stays = |line: &&Line| line.on == On::Create || (active.is_none() && line.expression.tells_activity());
        let mut lines = self.lines(resource).filter(stays).peekable();
        if lines.peek().is_none() {
            return;
        }
        let sent = read_document(sent);
        for line in lines {
            project::replace(document, &sent, &line.path);
        }
    }

    /// The document with the account closed; `None` if the map has no word for that.
    pub fn closed(&self, resource: Resource, document: &Document) -> Option<Document> {
        let lines = self.lines(resource).filter(|line| line.direction.pushes());
        let mut lines = lines.filter_map(|line| Some((line, line.closed()?))).peekable();
        lines.peek()?;
        let mut after = document.clone();
        lines.for_each(|(line, value)| project::put(&mut after, &line.path, value));
        Some(after)
    }

    pub fn is_closed(&self, resource: Resource, document: &Document) -> bool {
        self.closed(resource, document).is_some_and(|closed| closed == *document)
    }

    /// The part of a target's own object that this map can write, in its form.
    pub fn project(&self, resource: Resource, remote: &Document) -> Document {
        project::project(remote, self.lines(resource).filter(|line| line.direction.pushes()).map(|line| &line.path))
    }
}

/// True for the key of an extension in a document (RFC 7643 section 3.3).
pub fn is_urn(key: &str) -> bool {
    key.get(..4).is_some_and(|head| head.eq_ignore_ascii_case("urn:"))
}

fn lay(form: Form, section: &str, lines: &mut Vec<Line>, over: &Lines, own: bool, faults: &mut Vec<String>) {
    for (text, part) in &over.0 {
        let path = match form {
            Form::Scim | Form::Structured => Path::parse(text),
            Form::Flat => Path::column(text),
        };
        let path = match path {
            Ok(path) => path,
            Err(fault) => {
                faults.push(format!("{section}.{text}: {fault}"));
                continue;
            }
        };
        let at = lines.iter().position(|line| line.path == path);
        match (part, at) {
            (None, Some(at)) => drop(lines.remove(at)),
            (None, None) => {
                faults.push(format!("{section}.{text}: expected an expression; there is nothing to remove"))
            }
            (Some(part), at) => match Line::bind(path, text, part, own) {
                Ok(line) => match at.and_then(|at| lines.get_mut(at)) {
                    Some(held) => *held = line,
                    None => lines.push(line),
                },
                Err(fault) => faults.push(format!("{section}.{text}: {fault}")),
            },
        }
    }
}

impl Line {
    fn bind(path: Path, text: &SmolStr, Part(def): &Part, own: bool) -> Result<Self, String> {
        let expression = Expression::bind(def)?;
        if def.direction.pulls() && expression.plain_attribute().is_none() {
            return Err("direction: what comes from the target needs one attribute and no steps".to_owned());
        }
        if def.on == On::Create && matches!(path.inner, Inner::Element { .. }) {
            return Err("on: create is for single values, not for the elements of a list".to_owned());
        }
        let kind = def.kind.or_else(|| match &def.constant {
            Some(Value::Bool(_)) if def.then.is_empty() => Some(Kind::Boolean),
            Some(Value::Number(_)) if def.then.is_empty() => Some(Kind::Number),
            _ => expression.is_active().then_some(Kind::Boolean),
        });
        Ok(Line {
            path,
            text: text.clone(),
            direction: def.direction,
            recon_key: def.recon_key,
            expression,
            kind,
            private: def.private,
            unlisted: def.unlisted,
            required: def.required,
            on: def.on,
            own,
        })
    }

    /// The attribute that this place is the value of, as it is: what a repair may write.
    pub fn attribute(&self) -> Option<&SmolStr> {
        self.expression.plain_attribute()
    }

    /// What stands here of an account that is not usable.
    fn closed(&self) -> Option<Value> {
        let text = self.expression.closed().filter(|_| !matches!(self.path.inner, Inner::Element { .. }))?;
        typed(&text, self.kind).ok()
    }

    fn given(&self, look: &mut Look<'_, '_>) -> Result<Given, Lacking> {
        let broken = |rule| Lacking::Broken { path: self.text.clone(), rule };
        let values = self.expression.values(look).map_err(broken)?;
        if values.is_empty() && self.required {
            let named: Vec<&str> = self.expression.attributes().into_iter().map(SmolStr::as_str).collect();
            return Err(Lacking::Missing { attributes: named.join(" or "), path: self.text.clone() });
        }
        let values = values.iter().map(|v| typed(v, self.kind)).collect::<Result<Vec<_>, _>>().map_err(broken)?;
        if self.expression.is_list() {
            return Ok(Given::Many(values));
        }
        let value = values.into_iter().next();
        Ok(match value {
            Some(value) if self.expression.is_constant() => Given::Constant(value),
            value => Given::One(value),
        })
    }
}

fn typed(text: &str, kind: Option<Kind>) -> Result<Value, String> {
    match kind {
        None | Some(Kind::Text) => Ok(Value::from(text)),
        Some(Kind::Number) => match serde_json::from_str(text) {
            Ok(number @ Value::Number(_)) => Ok(number),
            _ => Err("type: the value is not a number".to_owned()),
        },
        Some(Kind::Boolean) => match text.to_ascii_lowercase().as_str() {
            "true" => Ok(Value::Bool(true)),
            "false" => Ok(Value::Bool(false)),
            _ => Err("type: the value is neither TRUE nor FALSE".to_owned()),
        },
    }
}
