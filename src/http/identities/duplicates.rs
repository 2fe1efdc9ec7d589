//! Identities that may be one person: candidates, and the marks of those that are known not to be.

use super::{
    super::{
        Options,
        problem::Problem,
        sent::{self, Parameters},
    },
    aside, live, shown,
};
use crate::{
    directory::{Error, Node, Op, Snapshot, Terms, Update},
    dn::Dn,
    entry::FactsChange,
    lifecycle::State,
    schema::{AttrId, Schema},
};
use axum::{
    Json,
    extract::State as Shared,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use smol_str::SmolStr;
use std::{collections::BTreeMap, sync::Arc};
use uuid::Uuid;

/// What makes two identities candidates: the same values of all attributes of one list. The same uid
/// does in any case.
#[derive(Clone, Debug, Default)]
pub struct Duplicates(Vec<Vec<AttrId>>);

impl Duplicates {
    /// `Err` names an attribute that cannot be compared.
    pub fn bind(keys: &[Vec<SmolStr>], schema: &Schema) -> Result<Self, SmolStr> {
        let attr = |name: &SmolStr| {
            let comparable = |id: &AttrId| schema.attribute(*id).equality.is_some() && !schema.is_secret(*id);
            schema.attr_id(name).filter(comparable).ok_or_else(|| name.clone())
        };
        let key = |names: &Vec<SmolStr>| names.iter().map(attr).collect();
        let mut bound: Vec<Vec<AttrId>> = keys.iter().map(key).collect::<Result<_, _>>()?;
        bound.retain(|key| !key.is_empty());
        bound.push(vec![schema.known.uid]);
        Ok(Duplicates(bound))
    }
}

/// `GET duplicates?includeIgnored`.
pub async fn list(Shared(options): Shared<Arc<Options>>, parameters: Parameters) -> Result<Response, Problem> {
    let include_ignored = match parameters.get("includeIgnored") {
        Some("") => true,
        _ => parameters.flag("includeIgnored", false)?,
    };
    aside(move || candidates(&options, include_ignored)).await
}

fn candidates(options: &Options, include_ignored: bool) -> Result<Response, Problem> {
    let snapshot = options.directory.read();
    let groups = groups(&snapshot, &options.sesame.duplicates);
    let rows: Vec<Value> = groups
        .into_iter()
        .filter_map(|(key, members)| {
            let ignored = has_ignored_pair(&members);
            let documents = || members.iter().map(|node| shown(&snapshot, node)).collect::<Vec<_>>();
            (include_ignored || !ignored).then(|| json!({"key": key, "ignored": ignored, "identities": documents()}))
        })
        .collect();
    let status = StatusCode::OK.as_u16();
    Ok(Json(json!({"statusCode": status, "total": rows.len(), "data": rows})).into_response())
}

/// `POST ignore-fusion {ids: [a, b]}`.
pub async fn ignore(Shared(options): Shared<Arc<Options>>, sent::Body(sent): sent::Body) -> Result<Response, Problem> {
    options.mark(&sent::uuids(&sent, "ids")?, Mark::Ignored).await
}

/// `POST unignore-fusion {ids: [a, b]}`.
pub async fn unignore(
    Shared(options): Shared<Arc<Options>>,
    sent::Body(sent): sent::Body,
) -> Result<Response, Problem> {
    options.mark(&sent::uuids(&sent, "ids")?, Mark::Candidates).await
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    Ignored,
    Candidates,
}

/// What is shared: which list of attributes, and the normal forms of their values.
type SharedValues = (usize, Vec<Vec<u8>>);

/// Groups of two or more, each with the attributes that they share; in one pass over all identities.
fn groups(snapshot: &Snapshot, duplicates: &Duplicates) -> Vec<(Vec<SmolStr>, Vec<Arc<Node>>)> {
    let schema = &snapshot.schema;
    let employee_type = schema.attr_id("employeeType");
    let mut found: BTreeMap<SharedValues, Vec<Arc<Node>>> = BTreeMap::new();
    for node in snapshot.walk() {
        let operational = &node.entry.operational;
        let Some(axes) = operational.axes else { continue };
        let absorbed = operational.facts.as_ref().is_some_and(|f| f.fused_into.is_some());
        let local = employee_type.and_then(|id| node.entry.text(id)).is_some_and(|t| t.eq_ignore_ascii_case("LOCAL"));
        if axes.state == State::DontSync.number() || absorbed || local {
            continue;
        }
        for (at, key) in duplicates.0.iter().enumerate() {
            let value = |attr: &AttrId| Some(schema.identity(*attr, node.entry.values(*attr).next()?).into_owned());
            if let Some(values) = key.iter().map(value).collect::<Option<Vec<_>>>() {
                found.entry((at, values)).or_default().push(Arc::clone(node));
            }
        }
    }
    let names = |at: usize| {
        let key = duplicates.0.get(at).map(Vec::as_slice).unwrap_or_default();
        key.iter().map(|attr| schema.attribute(*attr).name.clone()).collect()
    };
    found.into_iter().filter(|(_, members)| members.len() > 1).map(|((at, _), members)| (names(at), members)).collect()
}

fn has_ignored_pair(members: &[Arc<Node>]) -> bool {
    members.iter().any(|one| {
        let facts = one.entry.operational.facts.as_deref();
        let ignored = facts.map(|f| f.ignore_fusion.as_slice()).unwrap_or_default();
        members.iter().any(|other| ignored.contains(&other.entry.uuid))
    })
}

impl Options {
    /// Both get the mark of the other, or lose it.
    async fn mark(&self, ids: &[Uuid], mark: Mark) -> Result<Response, Problem> {
        let [one, other] = ids else { return Err(Problem::bad_request("ids: expected two identifiers")) };
        if one == other {
            return Err(Problem::bad_request("ids: expected two different identities"));
        }
        let mark_both = async || {
            let snapshot = self.directory.read();
            let first = self.marked(&snapshot, *one, *other, mark)?;
            let updates = vec![first, self.marked(&snapshot, *other, *one, mark)?];
            self.directory.submit_all(updates).await?;
            Ok(())
        };
        self.settled(mark_both).await?;
        let snapshot = self.directory.read();
        let documents: Vec<Value> =
            ids.iter().filter_map(|id| snapshot.by_uuid(*id)).map(|node| shown(&snapshot, node)).collect();
        let message = if mark == Mark::Ignored { "known to be two" } else { "candidates again" };
        Ok(super::answer(StatusCode::OK, message, Value::Array(documents)))
    }

    fn marked(&self, snapshot: &Snapshot, id: Uuid, other: Uuid, mark: Mark) -> Result<Update, Problem> {
        let node = live(snapshot, id)?;
        let operational = &node.entry.operational;
        let mut ignored = operational.facts.as_ref().map(|f| f.ignore_fusion.clone()).unwrap_or_default();
        ignored.retain(|held| *held != other);
        if mark == Mark::Ignored {
            ignored.push(other);
        }
        let facts = FactsChange { ignore_fusion: Some(ignored), ..FactsChange::default() };
        let terms = Terms { as_of: Some(operational.changed), facts: Some(Box::new(facts)), ..Terms::default() };
        let dn = Dn::parse(&snapshot.dn_text(&node)).map_err(Error::from)?;
        Ok(self.update(Op::Modify { dn, changes: Vec::new() }, terms))
    }
}
