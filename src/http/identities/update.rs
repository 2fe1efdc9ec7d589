//! The full update of an identity: `PATCH /management/identities/{id}`, and how a document becomes
//! updates of the entry.

use super::{
    super::{
        Options,
        problem::Problem,
        sent::{self, Id},
    },
    answer,
    create::is_incomplete,
    faults::Faults,
    later, live,
};
use crate::{
    directory::{Error, Node, OnFault, Op, Snapshot, Terms, Update},
    dn::{Dn, Rdn},
    lifecycle::{Event, State},
    sesame::{self, ADDITIONAL, Body, Contract, PERSON},
};
use axum::{extract::State as Shared, http::StatusCode, response::Response};
use serde_json::{Map, Value};
use std::sync::Arc;
use uuid::Uuid;

pub async fn update(
    Shared(options): Shared<Arc<Options>>,
    Id(id): Id,
    sent::Body(sent): sent::Body,
) -> Result<Response, Problem> {
    if !sent.contains_key(PERSON) || !sent.contains_key(ADDITIONAL) {
        return Err(Problem::bad_request("a full update has the whole of inetOrgPerson and additionalFields"));
    }
    options.settled(|| options.rewrite(id, &sent)).await
}

fn written(document: Value) -> Response {
    let state = document.get("state").and_then(Value::as_i64);
    match state == Some(State::ToComplete.number().into()) {
        true => answer(StatusCode::ACCEPTED, "the identity is kept and has to be completed", document),
        false => answer(StatusCode::OK, "the identity is updated", document),
    }
}

impl Options {
    async fn rewrite(&self, id: Uuid, sent: &Map<String, Value>) -> Result<Response, Problem> {
        let snapshot = self.directory.read();
        let node = live(&snapshot, id)?;
        let mut document = Value::Object(sent.clone());
        let contract = self.sesame.contract;
        if contract == Contract::Later {
            later::complete(&mut document, &snapshot);
        }
        let body = sesame::read(&document, Some(&node.entry), contract, &snapshot.schema);
        // Work on an incomplete identity may leave it incomplete.
        let asked = document.get("state").and_then(Value::as_i64);
        let hold = contract == Contract::Documented
            && (is_incomplete(&node.entry) || asked == Some(State::ToCreate.number().into()));
        let faults = Faults::of(&body, &snapshot.schema);
        faults.refuse(hold)?;
        let on_fault = if hold { OnFault::Hold } else { OnFault::Refuse };
        // What stands beside the entry only is a change, too.
        let differs = !sesame::is_same(&document, &body, &sesame::document(&node.entry, &snapshot.schema));
        let event = (differs && faults.values.is_empty()).then_some(Event::Valid(self.sesame.release));
        let terms = Terms { on_fault, event, ..self.terms(&body, &document) };
        Ok(written(self.apply(self.updates(&snapshot, &node, &body, terms)?, id).await?))
    }

    /// What makes an entry say the same as the document: a rename if its name is concerned, and a
    /// change of its attributes.
    pub(super) fn updates(
        &self,
        snapshot: &Snapshot,
        node: &Node,
        body: &Body,
        terms: Terms,
    ) -> Result<Vec<Update>, Problem> {
        let changes = body.changes(&node.entry, &snapshot.schema);
        let dn = Dn::parse(&snapshot.dn_text(node)).map_err(Error::from)?;
        let as_of = Some(node.entry.operational.changed);
        let Some(new_rdn) = new_rdn(snapshot, node, body) else {
            return Ok(vec![self.update(Op::Modify { dn, changes }, Terms { as_of, ..terms })]);
        };
        let renamed = dn.parent().map(|parent| parent.child(new_rdn.clone())).ok_or_else(Problem::not_found)?;
        let rename = Op::Rename { dn, new_rdn, delete_old: true, new_superior: None };
        let first = Terms { as_of, release: terms.release, why: terms.why.clone(), ..Terms::default() };
        Ok(vec![self.update(rename, first), self.update(Op::Modify { dn: renamed, changes }, terms)])
    }
}

/// The name that the document asks for, if it is another than the entry has.
fn new_rdn(snapshot: &Snapshot, node: &Node, body: &Body) -> Option<Rdn> {
    let schema = &snapshot.schema;
    let [ava] = node.rdn.avas() else { return None };
    let attr = schema.attr_id(&ava.attr)?;
    let (_, values) = body.attrs.iter().find(|(name, _)| schema.attr_id(name) == Some(attr))?;
    let held = schema.identity(attr, &ava.value);
    if values.iter().any(|value| schema.identity(attr, value) == held) {
        return None;
    }
    Some(Rdn::single(&ava.attr, values.first()?))
}
