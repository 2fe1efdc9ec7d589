//! Two identities become one, and two again. Each is one commit.

use super::{
    super::{Options, problem::Problem, sent},
    answer,
    create::first_text,
    live, shown,
};
use crate::{
    directory::{Node, Snapshot, Terms, Update},
    lifecycle::Event,
    sesame::{self, ADDITIONAL, ATTRIBUTES, Body, PERSON},
};
use axum::{extract::State as Shared, http::StatusCode, response::Response};
use serde_json::{Map, Value, json};
use smol_str::SmolStr;
use std::sync::Arc;
use uuid::Uuid;

/// What the survivor takes over, by block.
const TAKEN: [(&str, &[&str]); 2] = [
    (PERSON, &["employeeNumber", "departmentNumber"]),
    ("supannPerson", &["supannTypeEntiteAffectation", "supannRefId"]),
];

/// Stands before the number of who is absorbed.
const ABSORBED: &str = "F";

/// `POST fusion {id1, id2}`: the first survives.
pub async fn fuse(Shared(options): Shared<Arc<Options>>, sent::Body(sent): sent::Body) -> Result<Response, Problem> {
    let (one, other) = pair(&sent)?;
    options.settled(|| options.fuse(one, other)).await?;
    Ok(both(&options, one, other, "the identities are one"))
}

/// `POST unfusion {id1, id2}`.
pub async fn unfuse(Shared(options): Shared<Arc<Options>>, sent::Body(sent): sent::Body) -> Result<Response, Problem> {
    let (one, other) = pair(&sent)?;
    options.settled(|| options.unfuse(one, other)).await?;
    Ok(both(&options, one, other, "the identities are two again"))
}

fn pair(sent: &Map<String, Value>) -> Result<(Uuid, Uuid), Problem> {
    match (sent::uuid(sent.get("id1")), sent::uuid(sent.get("id2"))) {
        (Some(one), Some(other)) if one != other => Ok((one, other)),
        _ => Err(Problem::bad_request("id1, id2: expected two different identities")),
    }
}

fn both(options: &Options, one: Uuid, other: Uuid, message: &str) -> Response {
    let snapshot = options.directory.read();
    let shown = |id| snapshot.by_uuid(id).map(|node| shown(&snapshot, node)).unwrap_or_default();
    answer(StatusCode::OK, message, json!([shown(one), shown(other)]))
}

impl Options {
    async fn fuse(&self, one: Uuid, other: Uuid) -> Result<(), Problem> {
        let snapshot = self.directory.read();
        let (survivor, absorbed) = (live(&snapshot, one)?, live(&snapshot, other)?);
        for node in [&survivor, &absorbed] {
            let facts = node.entry.operational.facts.clone().unwrap_or_default();
            if facts.fused_into.is_some() {
                return Err(Problem::bad_request("the identity is absorbed by another one already"));
            }
            if facts.fused_from.is_some() {
                return Err(Problem::bad_request(
                    "the identity has absorbed another one already; take that back first",
                ));
            }
        }
        self.directory.submit_all(self.fusion(&snapshot, &survivor, &absorbed)?).await?;
        Ok(())
    }

    async fn unfuse(&self, one: Uuid, other: Uuid) -> Result<(), Problem> {
        let snapshot = self.directory.read();
        let (survivor, absorbed) = (live(&snapshot, one)?, live(&snapshot, other)?);
        let from = survivor.entry.operational.facts.as_ref().and_then(|f| f.fused_from);
        let into = absorbed.entry.operational.facts.as_ref().and_then(|f| f.fused_into);
        if (from, into) != (Some(other), Some(one)) {
            return Err(Problem::bad_request("the first has not absorbed the second"));
        }
        self.directory.submit_all(self.unfusion(&snapshot, &survivor, &absorbed)?).await?;
        Ok(())
    }

    fn fusion(&self, snapshot: &Snapshot, survivor: &Node, absorbed: &Node) -> Result<Vec<Update>, Problem> {
        let mut first = shown(snapshot, survivor);
        let mut second = shown(snapshot, absorbed);
        let primary = first_text(&first, "employeeNumber").map(SmolStr::from);
        let injected = injected(&first, &second);
        add_values(&mut first, &injected);
        number(&mut second, |number| format!("{ABSORBED}{number}"));

        let (body, mut terms) = self.rewritten(snapshot, survivor, &first, Event::Fused, |body| {
            body.note_fused((!injected.is_empty()).then(|| Value::Object(injected.clone())));
        });
        if let Some(facts) = &mut terms.facts {
            facts.primary_employee_number = Some(primary);
            facts.fused_from = Some(Some(absorbed.entry.uuid));
        }
        terms.why = SmolStr::new(format!("fusion: has absorbed {}", absorbed.entry.uuid));
        let mut updates = self.updates(snapshot, survivor, &body, terms)?;
        let (body, mut terms) = self.rewritten(snapshot, absorbed, &second, Event::Absorbed, |_| {});
        terms.why = SmolStr::new(format!("fusion: absorbed by {}", survivor.entry.uuid));
        if let Some(facts) = &mut terms.facts {
            facts.fused_into = Some(Some(survivor.entry.uuid));
        }
        updates.extend(self.updates(snapshot, absorbed, &body, terms)?);
        Ok(updates)
    }

    fn unfusion(&self, snapshot: &Snapshot, survivor: &Node, absorbed: &Node) -> Result<Vec<Update>, Problem> {
        let mut first = shown(snapshot, survivor);
        let mut second = shown(snapshot, absorbed);
        take_values(&mut first, &sesame::fused(&survivor.entry));
        number(&mut second, |number| number.strip_prefix(ABSORBED).unwrap_or(number).to_owned());

        let (body, mut terms) = self.rewritten(snapshot, survivor, &first, Event::Fused, |body| body.note_fused(None));
        if let Some(facts) = &mut terms.facts {
            facts.primary_employee_number = Some(None);
            facts.fused_from = Some(None);
        }
        terms.why = SmolStr::new_static("fusion taken back");
        let mut updates = self.updates(snapshot, survivor, &body, terms)?;
        let (body, mut terms) = self.rewritten(snapshot, absorbed, &second, Event::Fused, |_| {});
        if let Some(facts) = &mut terms.facts {
            facts.fused_into = Some(None);
        }
        terms.why = SmolStr::new_static("fusion taken back");
        updates.extend(self.updates(snapshot, absorbed, &body, terms)?);
        Ok(updates)
    }

    fn rewritten(
        &self,
        snapshot: &Snapshot,
        node: &Node,
        document: &Value,
        event: Event,
        edit: impl Fn(&mut Body),
    ) -> (Body, Terms) {
        let mut body = sesame::read(document, Some(&node.entry), self.sesame.contract, &snapshot.schema);
        edit(&mut body);
        // What was held before stays held: a fusion completes nobody.
        let terms = Terms { event: Some(event), faults: None, ..self.terms(&body, document) };
        (body, terms)
    }
}

fn block<'d>(document: &'d Value, name: &str) -> Option<&'d Map<String, Value>> {
    match name {
        PERSON => document.get(PERSON)?.as_object(),
        class => document.get(ADDITIONAL)?.get(ATTRIBUTES)?.get(class)?.as_object(),
    }
}

fn block_mut<'d>(document: &'d mut Value, name: &str) -> Option<&'d mut Map<String, Value>> {
    match name {
        PERSON => document.get_mut(PERSON)?.as_object_mut(),
        class => document.get_mut(ADDITIONAL)?.get_mut(ATTRIBUTES)?.get_mut(class)?.as_object_mut(),
    }
}

fn list(block: Option<&Map<String, Value>>, name: &str) -> Vec<Value> {
    match block.and_then(|b| b.get(name)) {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(items)) => items.clone(),
        Some(Value::String(text)) if text.is_empty() => Vec::new(),
        Some(one) => vec![one.clone()],
    }
}

/// What the second document has and the first does not, of blocks that both have.
fn injected(first: &Value, second: &Value) -> Map<String, Value> {
    let mut blocks = Map::new();
    for (name, attributes) in TAKEN {
        let (Some(into), Some(from)) = (block(first, name), block(second, name)) else { continue };
        let mut values = Map::new();
        for attribute in attributes {
            let held = list(Some(into), attribute);
            let new: Vec<Value> = list(Some(from), attribute).into_iter().filter(|v| !held.contains(v)).collect();
            if !new.is_empty() {
                values.insert((*attribute).to_owned(), Value::Array(new));
            }
        }
        if !values.is_empty() {
            blocks.insert(name.to_owned(), Value::Object(values));
        }
    }
    blocks
}

/// Puts values in, behind those that are there.
pub fn add_values(document: &mut Value, values: &Map<String, Value>) {
    edit_values(document, values, |held, new| {
        held.iter().chain(new.iter().filter(|v| !held.contains(v))).cloned().collect()
    });
}

fn take_values(document: &mut Value, values: &Map<String, Value>) {
    edit_values(document, values, |held, gone| held.iter().filter(|v| !gone.contains(v)).cloned().collect());
}

fn edit_values(document: &mut Value, values: &Map<String, Value>, edit: impl Fn(&[Value], &[Value]) -> Vec<Value>) {
    for (name, attributes) in values {
        let Some(block) = block_mut(document, name) else { continue };
        for (attribute, values) in attributes.as_object().into_iter().flatten() {
            let held = list(Some(block), attribute);
            let edited = edit(&held, values.as_array().map(Vec::as_slice).unwrap_or_default());
            match edited.is_empty() {
                true => drop(block.remove(attribute)),
                false => drop(block.insert(attribute.clone(), Value::Array(edited))),
            }
        }
    }
}

/// The first list and what only the second has. Names of classes are the same in any case.
pub fn union(one: &[Value], other: &[Value]) -> Vec<Value> {
    let same = |a: &Value, b: &Value| match (a.as_str(), b.as_str()) {
        (Some(a), Some(b)) => a.eq_ignore_ascii_case(b),
        _ => a == b,
    };
    let mut all = one.to_vec();
    all.extend(other.iter().filter(|v| !one.iter().any(|held| same(held, v))).cloned());
    all
}

fn number(document: &mut Value, edit: impl Fn(&str) -> String) {
    let Some(block) = block_mut(document, PERSON) else { return };
    let first = match block.get_mut("employeeNumber") {
        Some(Value::Array(items)) => items.first_mut(),
        one => one,
    };
    match first {
        Some(Value::String(text)) => *text = edit(text),
        // Importers send numbers as such, too.
        Some(number @ Value::Number(_)) => *number = Value::String(edit(&number.to_string())),
        _ => {}
    }
}
