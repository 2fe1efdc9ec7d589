//! Whom a rule is for: a filter document on the identity's Sesame document, an LDAP filter on its
//! entry, or both.

use super::{check_paths, template};
use crate::{
    clock::Timestamp,
    entry::Entry,
    filter::{self, Filter, Plain, query::Query},
    schema::Schema,
};
use serde_json::{Map, Value};
use smol_str::SmolStr;
use std::borrow::Cow;

#[derive(Debug)]
pub struct Condition {
    documents: Documents,
    ldap: Option<Filter>,
}

#[derive(Debug)]
enum Documents {
    All,
    Fixed(Query),
    /// With templates: what it asks for depends on when it is asked.
    Templated(Value),
}

pub(super) struct ConditionDef {
    pub rules: Map<String, Value>,
    pub ldap: Option<String>,
}

impl Condition {
    /// On failure the place within the rule, and the reason.
    pub(super) fn compile(def: ConditionDef, schema: &Schema) -> Result<Self, (String, String)> {
        Ok(Condition {
            documents: documents(Value::Object(def.rules), schema).map_err(|(at, why)| (format!("rules{at}"), why))?,
            ldap: def.ldap.map(|text| ldap(&text, schema)).transpose().map_err(|why| ("ldap".to_owned(), why))?,
        })
    }

    /// Whether the answer for an entry may change with time alone.
    pub fn depends_on_time(&self) -> bool {
        matches!(self.documents, Documents::Templated(_))
    }

    /// True if the condition holds at this time. The document is made only if it is looked at.
    pub fn holds<'d>(
        &self,
        entry: &Entry,
        document: impl FnOnce() -> &'d Value,
        schema: &Schema,
        now: Timestamp,
    ) -> bool {
        self.at(now).holds(entry, document, schema)
    }

    /// The condition as it reads at this time, for many to be held against.
    pub fn at(&self, now: Timestamp) -> At<'_> {
        let documents = match &self.documents {
            Documents::All => Some(Cow::Owned(Query::everything())),
            Documents::Fixed(query) => Some(Cow::Borrowed(query)),
            // It was read without fault at another time, so that a fault now cannot be.
            Documents::Templated(rules) => {
                template::resolve(rules, now).ok().and_then(|rules| Query::parse(&rules).ok()).map(Cow::Owned)
            }
        };
        At { documents, ldap: self.ldap.as_ref() }
    }
}

/// A condition at one time.
pub struct At<'c> {
    documents: Option<Cow<'c, Query>>,
    ldap: Option<&'c Filter>,
}

impl At<'_> {
    pub fn holds<'d>(&self, entry: &Entry, document: impl FnOnce() -> &'d Value, schema: &Schema) -> bool {
        self.ldap.is_none_or(|filter| filter.matches(&Plain(entry), schema))
            && self.documents.as_ref().is_some_and(|query| query.is_everything() || query.matches(document()))
    }
}

/// The place of a fault begins with a dot, or is empty.
fn documents(rules: Value, schema: &Schema) -> Result<Documents, (String, String)> {
    let parse = |rules: &Value| {
        let query = Query::parse(rules).map_err(|fault| (format!(".{}", fault.path), fault.reason))?;
        check_paths(&query, schema).map_err(|(path, reason)| (format!(".{path}"), reason))?;
        Ok(query)
    };
    if rules.as_object().is_some_and(Map::is_empty) {
        return Ok(Documents::All);
    }
    if !template::is_in(&rules) {
        return parse(&rules).map(Documents::Fixed);
    }
    let sample = template::resolve(&rules, Timestamp::default()).map_err(|why| (String::new(), why))?;
    parse(&sample)?;
    Ok(Documents::Templated(rules))
}

/// An LDAP filter that can find something; one that could not is a fault, and says why.
pub fn ldap_filter(text: &str, schema: &Schema) -> Result<Filter, String> {
    let ast = filter::parse(text).map_err(|e| e.to_string())?;
    if let Some(name) = ast.attributes().into_iter().find(|name| schema.describe(name).is_none()) {
        return Err(format!("'{name}' is an attribute that the schema does not know"));
    }
    let bound = Filter::bind(&ast, schema);
    if has_undefined(&bound) {
        return Err(
            "names a matching rule that the schema does not know, or a value that the attribute cannot have".to_owned()
        );
    }
    Ok(bound)
}

/// The LDAP filter of a rule. Rules see what an entry stores: of the rest a filter document speaks.
fn ldap(text: &str, schema: &Schema) -> Result<Filter, String> {
    let bound = ldap_filter(text, schema)?;
    let ast = filter::parse(text).map_err(|e| e.to_string())?;
    let is_kept = |name: &&SmolStr| schema.attr_id(name).is_some_and(|id| schema.is_kept_by_server(id));
    match ast.attributes().into_iter().find(is_kept) {
        Some(name) => {
            Err(format!("{name} is kept by the server and not seen here; ask for it in a filter document (rules)"))
        }
        None => Ok(bound),
    }
}

fn has_undefined(filter: &Filter) -> bool {
    match filter {
        Filter::Undefined => true,
        Filter::And(list) | Filter::Or(list) => list.iter().any(has_undefined),
        Filter::Not(inner) => has_undefined(inner),
        _ => false,
    }
}
