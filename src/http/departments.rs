//! Departments over HTTP: the tree, one of them, branches in and out of use, moves, and names that
//! are alike.

use super::{
    Options,
    problem::Problem,
    sent::{Parameters, Strict, Why},
};
use crate::{
    access::Identity,
    directory::{Cascade, Department, Departments, Directory, Error, Kept, Snapshot, Update},
    likeness::{self, Bearer, Name},
    limits::CASCADE_REFUSALS,
};
use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use smol_str::SmolStr;
use std::{collections::BTreeMap, sync::Arc};

pub fn routes() -> Router<Arc<Options>> {
    Router::new()
        .route("/departments", get(tree))
        .route("/departments/near-duplicates", get(near_duplicates))
        .route("/departments/{code}", get(show))
        .route("/departments/{code}/deactivate", post(deactivate))
        .route("/departments/{code}/activate", post(activate))
        .route("/departments/{code}/move", post(put_under))
}

/// What a command is told.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
struct Wish {
    why: Why,
    under: Option<String>,
    dry_run: bool,
}

/// What came of a command.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    #[serde(flatten)]
    cascade: Cascade,
    refused: Vec<Kept>,
    dry_run: bool,
}

#[derive(Serialize)]
struct Line<'d> {
    depth: usize,
    #[serde(flatten)]
    department: &'d Department,
    people: usize,
    principal: usize,
}

fn departments<'s>(snapshot: &'s Snapshot, directory: &Directory) -> Result<Departments<'s>, Problem> {
    Departments::of(snapshot, directory.structures())
        .ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, "the schema has no structures"))
}

fn unknown() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "no such department")
}

/// The tree, or a branch of it, superiors before those below them, each with its depth.
async fn tree(State(options): State<Arc<Options>>, parameters: Parameters) -> Result<Response, Problem> {
    let snapshot = options.directory.read();
    let departments = departments(&snapshot, &options.directory)?;
    let mut open: Vec<(usize, &Department)> = match parameters.get("under") {
        Some(code) => vec![(0, departments.find(code).ok_or_else(unknown)?)],
        None => departments.roots().map(|one| (0, one)).collect(),
    };
    open.reverse();
    let mut lines = Vec::new();
    let mut seen = std::collections::HashSet::new();
    while let Some((depth, department)) = open.pop() {
        // A structure with two parents is shown under the first.
        if !seen.insert(department.dn.as_str()) {
            continue;
        }
        let (people, principal) = departments.people(&department.code);
        lines.push(Line { depth, department, people, principal });
        let below: Vec<_> = departments.children(&department.code).map(|one| (depth + 1, one)).collect();
        open.extend(below.into_iter().rev());
    }
    Ok(Json(json!({ "departments": lines })).into_response())
}

async fn show(State(options): State<Arc<Options>>, Path(code): Path<String>) -> Result<Response, Problem> {
    let snapshot = options.directory.read();
    let departments = departments(&snapshot, &options.directory)?;
    let one = departments.find(&code).ok_or_else(unknown)?;
    let (people, principal) = departments.people(&one.code);
    let branch = departments.branch(&one.code);
    let parents: Vec<&Department> = one.parents.iter().filter_map(|code| departments.find(code)).collect();
    let children: Vec<&Department> = departments.children(&one.code).collect();
    Ok(Json(json!({
        "department": one,
        "parents": parents,
        "children": children,
        "branch": branch.len(),
        "people": people,
        "principal": principal,
    }))
    .into_response())
}

async fn deactivate(
    State(options): State<Arc<Options>>,
    Path(code): Path<String>,
    Strict(wish): Strict<Wish>,
) -> Result<Response, Problem> {
    command(&options, wish, |departments, wish, by| departments.deactivate(&code, &wish.why.0, by)).await
}

async fn activate(
    State(options): State<Arc<Options>>,
    Path(code): Path<String>,
    Strict(wish): Strict<Wish>,
) -> Result<Response, Problem> {
    command(&options, wish, |departments, wish, by| departments.activate(&code, &wish.why.0, by)).await
}

async fn put_under(
    State(options): State<Arc<Options>>,
    Path(code): Path<String>,
    Strict(wish): Strict<Wish>,
) -> Result<Response, Problem> {
    if wish.under.is_none() {
        return Err(Problem::bad_request("under (required): the code of the new parent"));
    }
    if departments(&options.directory.read(), &options.directory)?.parents(&code).len() > 1 {
        return Err(Problem::bad_request("the structure has several parents; write its supannCodeEntiteParent itself"));
    }
    let plan = |departments: &Departments<'_>, wish: &Wish, by: &Identity| {
        departments.put_under(&code, wish.under.as_deref().unwrap_or_default(), by)
    };
    command(&options, wish, plan).await
}

async fn command(
    options: &Options,
    wish: Wish,
    plan: impl FnOnce(&Departments<'_>, &Wish, &Identity) -> Option<Cascade>,
) -> Result<Response, Problem> {
    let mut cascade = {
        let snapshot = options.directory.read();
        let departments = departments(&snapshot, &options.directory)?;
        plan(&departments, &wish, &options.actor).ok_or_else(unknown)?
    };
    let mut refused = Vec::new();
    if !wish.dry_run {
        let updates = std::mem::take(&mut cascade.updates);
        refused = carry_out(&options.directory, updates).await?;
        cascade.people.retain(|dn| !refused.iter().any(|kept: &Kept| kept.dn == *dn));
    }
    Ok(Json(Report { cascade, refused, dry_run: wish.dry_run }).into_response())
}

/// In as few commits as the limits allow. A person whose change is refused does not hold up the
/// others; anything else ends the command, and what was committed before stays, so that it can be
/// repeated.
async fn carry_out(directory: &Directory, mut updates: Vec<Update>) -> Result<Vec<Kept>, Error> {
    let mut refused = Vec::new();
    while !updates.is_empty() {
        let rest = updates.split_off(updates.len().min(directory.limits.transaction_updates));
        while let Err(one) = directory.submit_all(updates.clone()).await {
            let is_person = |update: &Update| !update.terms.why.is_empty();
            let is_final = matches!(one.error, Error::Unavailable | Error::NoSpace | Error::Internal(_));
            if is_final || refused.len() >= CASCADE_REFUSALS || !updates.get(one.at).is_some_and(is_person) {
                return Err(one.error);
            }
            let update = updates.remove(one.at);
            if let crate::directory::Op::Modify { dn, .. } = update.op {
                refused.push(Kept { dn: dn.to_string(), reason: one.error.to_string() });
            }
            if updates.is_empty() {
                break;
            }
        }
        updates = rest;
    }
    Ok(refused)
}

/// Names that are alike: of structures, and those that people give as theirs.
async fn near_duplicates(State(options): State<Arc<Options>>) -> Result<Json<Value>, Problem> {
    let snapshot = options.directory.read();
    let own = options.directory.structures().abbreviations.clone();
    // Some seconds for a large directory.
    let work = tokio::task::spawn_blocking(move || likeness::near_duplicates(&names(&snapshot), &own));
    let groups =
        work.await.map_err(|_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the comparison ended early"))?;
    Ok(Json(json!({ "groups": groups })))
}

/// Attributes in which entries are called by the name of an organisation or structure.
const OF_STRUCTURES: &[&str] = &["o", "ou", "description"];
const OF_PEOPLE: &[&str] = &["o", "ou", "supannOrganisme", "supannAffectation"];

fn names(snapshot: &Snapshot) -> Vec<Name> {
    let schema = &snapshot.schema;
    let ids = |list: &[&str]| list.iter().filter_map(|name| schema.attr_id(name)).collect::<Vec<_>>();
    let (of_structures, of_people) = (ids(OF_STRUCTURES), ids(OF_PEOPLE));
    let class = |name: &str| schema.class_id(name);
    let bearers: Vec<_> =
        ["organization", "organizationalUnit", "supannEntite"].into_iter().filter_map(class).collect();
    let mut names = Vec::new();
    let mut given: BTreeMap<(SmolStr, String), usize> = BTreeMap::new();
    for node in snapshot.walk() {
        let entry = &node.entry;
        let is_structure = bearers.iter().any(|class| entry.has_class(*class, schema));
        for attr in if is_structure { &of_structures } else { &of_people } {
            let attribute = schema.attribute(*attr).name.clone();
            for text in entry.values(*attr).filter_map(|v| std::str::from_utf8(v).ok()).map(str::to_owned) {
                match is_structure {
                    true => {
                        let bearer = Bearer::Structure(snapshot.dn_text(node));
                        names.push(Name { text, attribute: attribute.clone(), bearer });
                    }
                    false => *given.entry((attribute.clone(), text)).or_default() += 1,
                }
            }
        }
    }
    let of_people = given.into_iter().map(|((attribute, text), n)| Name { text, attribute, bearer: Bearer::People(n) });
    names.extend(of_people);
    names
}
