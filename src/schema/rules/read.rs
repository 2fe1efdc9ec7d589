//! From the text of a rule file to forms: every key is one of [`super::key`], every fault is found
//! before the first is reported, each with its line.

use super::{
    ValueType,
    check::{self, Check},
    composite::Composite,
    form::{Form, Inner},
    key::{self, Meaning, OWN_FORMATS, STANDARD_FORMATS, Shape},
    tagged::Tagged,
};
use crate::schema::fault::Fault;
use serde_json::json;
use serde_yaml::{Mapping, Value};
use smol_str::SmolStr;
use std::path::Path;

/// What one file says.
#[derive(Default)]
pub(super) struct File {
    pub properties: Vec<(SmolStr, Form)>,
    pub required: Vec<SmolStr>,
}

pub(super) struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
    /// The keys that lead to where the reader is.
    at: Vec<String>,
    pub faults: Vec<Fault>,
    pub notes: Vec<Fault>,
}

/// Where a form stands, which decides what it may hold.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Property,
    Items,
    Contains,
    /// Of a text inside of a value.
    Inner,
}

impl<'a> Reader<'a> {
    pub(super) fn new(path: &'a Path, text: &'a str) -> Self {
        Reader { path, text, at: Vec::new(), faults: Vec::new(), notes: Vec::new() }
    }

    fn here(&self, reason: impl Into<String>) -> Fault {
        let keys: Vec<&str> = self.at.iter().map(String::as_str).collect();
        Fault::within(self.path, self.text, &keys, reason)
    }

    pub(super) fn refuse(&mut self, reason: impl Into<String>) {
        self.faults.push(self.here(reason));
    }

    fn note(&mut self, reason: impl Into<String>) {
        self.notes.push(self.here(reason));
    }

    /// Does its work one key further down.
    pub(super) fn under<T>(&mut self, key: impl ToString, work: impl FnOnce(&mut Self) -> T) -> T {
        self.at.push(key.to_string());
        let done = work(self);
        self.at.pop();
        done
    }

    /// The root: these four keys and no other (Sesame's meta-schema).
    pub(super) fn file(&mut self) -> File {
        let mut file = File::default();
        let root = match serde_yaml::from_str::<Value>(self.text) {
            Ok(Value::Mapping(root)) => root,
            Ok(_) => {
                self.refuse("expected the keys $schema, type, properties and required");
                return file;
            }
            Err(error) => {
                let line = error.location().map(|l| l.line());
                self.faults.push(Fault { line, ..Fault::whole(self.path, "YAML", error.to_string()) });
                return file;
            }
        };
        if !root.contains_key("type") {
            self.faults.push(Fault::whole(self.path, "type", "missing: expected 'object'"));
        }
        for (key, value) in &root {
            let name = key.as_str().unwrap_or_default();
            self.under(name, |r| match (name, value) {
                ("$schema", Value::String(_)) => {}
                ("$schema", _) => r.refuse("expected text"),
                ("type", Value::String(kind)) if kind == "object" => {}
                ("type", _) => r.refuse("expected 'object'"),
                ("properties", Value::Mapping(map)) => file.properties = r.properties(map),
                ("properties", _) => r.refuse("expected attribute names, each with its form"),
                ("required", _) => file.required = r.names(value),
                _ => r.refuse("is none of the keys that a rule file has: $schema, type, properties, required"),
            });
        }
        file
    }

    fn properties(&mut self, map: &Mapping) -> Vec<(SmolStr, Form)> {
        let mut found = Vec::new();
        for (name, value) in map {
            let Some(name) = name.as_str() else {
                self.refuse("expected attribute names");
                continue;
            };
            self.under(name, |r| match value.as_mapping() {
                Some(map) => found.push((SmolStr::new(name), r.form(map, Level::Property))),
                None => r.refuse("expected the form of its values, such as {type: string}"),
            });
        }
        found
    }

    fn form(&mut self, map: &Mapping, level: Level) -> Form {
        let mut form = Form { kind: self.kind(map, level), ..Form::default() };
        let kind = form.kind.unwrap_or(ValueType::String);
        if let Some(word) = form.kind.map(ValueType::json) {
            form.json.insert("type".to_owned(), json!(word));
        }
        if kind == ValueType::Date {
            form.checks.push(Check::Date);
        }
        for (name, value) in map {
            let name = name.as_str().unwrap_or_default();
            self.under(name, |r| match key::key(name) {
                None => r.refuse("is not a key that the form of a value has"),
                Some(key) if !matches!(key.meaning, Meaning::Refused(_)) && !key.types.contains(&kind) => {
                    r.note(format!("says nothing of a value of type {}: it has no effect", kind.word()));
                }
                Some(key) => r.key(key, value, map, level, &mut form),
            });
        }
        form
    }

    fn key(&mut self, key: &key::Key, value: &Value, map: &Mapping, level: Level, form: &mut Form) {
        match key.meaning {
            Meaning::Own => match key.name {
                "description" => match value.as_str() {
                    Some(text) => form.description = text.to_owned(),
                    None => self.refuse("expected text"),
                },
                "format" => self.format(value, map, level, form),
                _ => {}
            },
            Meaning::Standard(Shape::Form) => self.nested(key.name, value, level, form),
            Meaning::Standard(shape) => self.standard(key.name, shape, value, form),
            Meaning::Bound => self.bound(key.name, value, level, form),
            Meaning::Date => self.date(key.name, value, level, form),
            Meaning::Flag => match value.as_bool() {
                Some(true) => self.check(flag(key.name), level, form),
                Some(false) => {}
                None => self.refuse("expected true or false"),
            },
            Meaning::Parameter(format) => {
                let named = map.get("format").and_then(Value::as_str).unwrap_or_default();
                if !named.starts_with(format) || !matches!(named, "supann-composite" | "supann-tagged") {
                    let whose = if format == "supann-" { "supann-composite or supann-tagged" } else { format };
                    self.refuse(format!("belongs to format: {whose}"));
                }
            }
            Meaning::Object => self.object(key.name, value, form),
            Meaning::Refused(reason) => self.refuse(reason),
        }
    }

    fn object(&mut self, name: &str, value: &Value, form: &mut Form) {
        match (name, value) {
            ("properties", Value::Mapping(map)) => {
                let mut members = serde_json::Map::new();
                for (name, value) in map {
                    let name = name.as_str().unwrap_or_default();
                    self.under(name, |r| match value.as_mapping() {
                        Some(map) => {
                            let member = r.form(map, Level::Contains).json;
                            members.insert(name.to_owned(), serde_json::Value::Object(member));
                        }
                        None => r.refuse("expected the form of its values, such as {type: string}"),
                    });
                }
                form.json.insert(name.to_owned(), serde_json::Value::Object(members));
            }
            ("properties", _) => self.refuse("expected names, each with its form"),
            ("required", _) => {
                let names = self.names(value);
                form.json.insert(name.to_owned(), json!(names));
            }
            (_, Value::Bool(allowed)) => drop(form.json.insert(name.to_owned(), json!(allowed))),
            _ => self.refuse("expected true or false"),
        }
    }

    fn kind(&mut self, map: &Mapping, level: Level) -> Option<ValueType> {
        let Some(value) = map.get("type") else {
            match level {
                Level::Property => self.refuse(format!("type is missing; {}", ValueType::EXPECTED)),
                Level::Items | Level::Contains | Level::Inner => {}
            }
            return None;
        };
        let kind = value.as_str().and_then(ValueType::by_word);
        self.under("type", |r| match (kind, level) {
            (None, _) => r.refuse(ValueType::EXPECTED),
            (Some(ValueType::String), _) | (Some(_), Level::Property | Level::Contains) => {}
            (Some(_), Level::Inner) => r.refuse("what stands inside of a value is text"),
            (Some(ValueType::Array), Level::Items) => r.refuse("an attribute has no lists of lists"),
            (Some(_), Level::Items) => {}
        });
        kind
    }

    fn standard(&mut self, name: &str, shape: Shape, value: &Value, form: &mut Form) {
        let kind = form.kind.unwrap_or(ValueType::String);
        let is_of_type = |v: &Value| kind.holds(v);
        let fault = match shape {
            Shape::Count if value.as_u64().is_none() => "expected a whole number from 0".to_owned(),
            Shape::Number if !value.is_number() => "expected a number".to_owned(),
            Shape::Number if name == "multipleOf" && value.as_f64().is_none_or(|n| n <= 0.0) => {
                "expected a number above 0".to_owned()
            }
            Shape::Text if !value.is_string() => "expected text".to_owned(),
            Shape::Flag if !value.is_bool() => "expected true or false".to_owned(),
            Shape::Value if !is_of_type(value) => format!("expected a value of type {}", kind.word()),
            Shape::Values if !value.as_sequence().is_some_and(|l| !l.is_empty() && l.iter().all(is_of_type)) => {
                format!("expected a list of values of type {}", kind.word())
            }
            _ => return self.put(name, value, form),
        };
        self.refuse(fault);
    }

    fn put(&mut self, name: &str, value: &Value, form: &mut Form) {
        match serde_json::to_value(value) {
            Ok(_) if form.json.contains_key(name) => self.refuse(format!("{name} is given a second time")),
            Ok(value) => drop(form.json.insert(name.to_owned(), value)),
            Err(error) => self.refuse(error.to_string()),
        }
    }

    /// `min` and `max` count what the type counts: characters, members, the number itself, time.
    fn bound(&mut self, name: &str, value: &Value, level: Level, form: &mut Form) {
        let is_min = name == "min";
        let word = match form.kind.unwrap_or(ValueType::String) {
            ValueType::Date => return self.date(if is_min { "minDate" } else { "maxDate" }, value, level, form),
            ValueType::Array => ["minItems", "maxItems"],
            ValueType::Integer | ValueType::Number => ["minimum", "maximum"],
            _ => ["minLength", "maxLength"],
        };
        let [min, max] = word;
        let word = if is_min { min } else { max };
        let shape = if min == "minimum" { Shape::Number } else { Shape::Count };
        self.standard(word, shape, value, form);
    }

    fn date(&mut self, name: &str, value: &Value, level: Level, form: &mut Form) {
        let Some((text, at)) = value.as_str().and_then(|t| Some((t.to_owned(), check::instant(t)?))) else {
            return self.refuse("expected a date such as 2026-09-01, or a date and time");
        };
        let check = if name == "minDate" { Check::MinDate(at, text) } else { Check::MaxDate(at, text) };
        self.check(Some(check), level, form);
    }

    fn check(&mut self, check: Option<Check>, level: Level, form: &mut Form) {
        match check {
            Some(_) if level == Level::Contains => {
                self.refuse("works on a value and on items, not inside of contains");
            }
            Some(check) => form.checks.push(check),
            None => self.refuse("is not known"),
        }
    }

    /// `items` and `contains`: a form of the same keys.
    fn nested(&mut self, name: &str, value: &Value, level: Level, form: &mut Form) {
        let Some(map) = value.as_mapping() else {
            return self.refuse("expected the form of a member, such as {type: string}");
        };
        if level != Level::Property {
            return self.refuse("an attribute has no lists of lists");
        }
        if name == "items" {
            let items = self.form(map, Level::Items);
            form.json.insert(name.to_owned(), serde_json::Value::Object(items.json.clone()));
            form.items = Some(Box::new(items));
        } else {
            let member = self.form(map, Level::Contains);
            form.json.insert(name.to_owned(), serde_json::Value::Object(member.json));
        }
    }

    fn format(&mut self, value: &Value, map: &Mapping, level: Level, form: &mut Form) {
        let name = value.as_str().unwrap_or_default();
        let is_array = form.kind == Some(ValueType::Array);
        if STANDARD_FORMATS.contains(&name) {
            match is_array {
                true => self.note("says nothing of a value of type array: put it under items"),
                false => drop(form.json.insert("format".to_owned(), json!(name))),
            }
            return;
        }
        let check = match name {
            "supann-composite" => Check::Composite(self.composite(map)),
            "supann-tagged" => Check::Tagged(self.tagged(map)),
            "supann-etat" => Check::Etat,
            "supann-etat-date" => Check::EtatDate,
            "uai" => Check::Uai,
            "siret" => Check::Siret,
            "ine" => Check::Ine,
            "e164" => Check::E164,
            _ => {
                let known = STANDARD_FORMATS.iter().chain(OWN_FORMATS).copied().collect::<Vec<_>>().join(", ");
                return self.refuse(format!("is not a known format; expected one of {known}"));
            }
        };
        self.check(Some(check), level, form);
    }

    fn composite(&mut self, map: &Mapping) -> Composite {
        let (keys, mandatory) = (self.list(map, "keys"), self.list(map, "mandatory"));
        let values = self.values(map);
        for name in mandatory.iter().chain(values.iter().map(|(name, _)| name)) {
            if !keys.contains(name) {
                self.refuse(format!("'{name}' must be one of its keys"));
            }
        }
        Composite { keys, mandatory, values }
    }

    fn tagged(&mut self, map: &Mapping) -> Tagged {
        let closed = map.get("closed").and_then(Value::as_bool).unwrap_or(false);
        let tags = self.list(map, "tags");
        if closed && tags.is_empty() {
            self.refuse("closed: true needs tags");
        }
        Tagged { tags, closed, bare: self.list(map, "bare"), values: self.values(map) }
    }

    /// A list beside the key `format`, where the reader is.
    fn list(&mut self, map: &Mapping, key: &str) -> Vec<SmolStr> {
        let Some(value) = map.get(key) else { return Vec::new() };
        self.beside(key, |r| r.names(value))
    }

    fn values(&mut self, map: &Mapping) -> Vec<(SmolStr, Inner)> {
        let Some(value) = map.get("values") else { return Vec::new() };
        self.beside("values", |r| {
            let Some(forms) = value.as_mapping() else {
                r.refuse("expected names, each with the form of what stands there");
                return Vec::new();
            };
            let read = |(name, form): (&Value, &Value)| {
                let name = SmolStr::new(name.as_str().unwrap_or_default());
                r.under(&name, |r| {
                    let map = form.as_mapping().cloned().unwrap_or_default();
                    let form = r.form(&map, Level::Inner);
                    Inner::new(form).map_err(|reason| r.refuse(reason)).ok().map(|inner| (name.clone(), inner))
                })
            };
            forms.iter().filter_map(read).collect()
        })
    }

    /// Does its work at a neighbour of the key where the reader is.
    fn beside<T>(&mut self, key: &str, work: impl FnOnce(&mut Self) -> T) -> T {
        let here = self.at.pop();
        let done = self.under(key, work);
        self.at.extend(here);
        done
    }

    fn names(&mut self, value: &Value) -> Vec<SmolStr> {
        let names = value.as_sequence().map(|list| list.iter().map(Value::as_str).collect::<Option<Vec<_>>>());
        match names.flatten() {
            Some(names) => names.into_iter().map(SmolStr::new).collect(),
            None => {
                self.refuse("expected a list of names");
                Vec::new()
            }
        }
    }
}

fn flag(name: &str) -> Option<Check> {
    match name {
        "trim" => Some(Check::Trim),
        "lowercase" => Some(Check::Lowercase),
        "uppercase" => Some(Check::Uppercase),
        "camelCase" => Some(Check::CamelCase),
        "constantCase" => Some(Check::ConstantCase),
        "positive" => Some(Check::Positive),
        "negative" => Some(Check::Negative),
        _ => None,
    }
}
