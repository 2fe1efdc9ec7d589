//! Letting identities that wait for a human go to the targets. Whom this is for is always said: a
//! body that says less releases nobody.

use super::{
    Options,
    problem::Problem,
    sent::{Strict, Why},
};
use crate::{
    directory::{Error, Kept, Node, Op, Snapshot, Terms, Update, View},
    dn::Dn,
    entry::Axes,
    filter::{Filter, query::Query},
    lifecycle::{self, Event, State, check_paths, ldap_filter},
    schema::Schema,
    sesame,
};
use axum::{Json, Router, extract::State as Shared, http::StatusCode, routing::post};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

pub(super) fn routes() -> Router<Arc<Options>> {
    Router::new().route("/lifecycle/release", post(release))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    #[serde(default)]
    all: bool,
    /// A filter document.
    filter: Option<Value>,
    /// An LDAP filter. With both, both must hold.
    ldap: Option<String>,
    #[serde(default)]
    why: Why,
}

/// Each by itself: who cannot be released is named, and holds up nobody.
async fn release(Shared(options): Shared<Arc<Options>>, Strict(wish): Strict<Wish>) -> Result<Json<Value>, Problem> {
    let snapshot = options.directory.read();
    let whom = Whom::read(&wish, &snapshot.schema)?;
    let waiting = {
        let snapshot = Arc::clone(&snapshot);
        let find = move || snapshot.walk().filter(|node| whom.has(&snapshot, node)).cloned().collect::<Vec<_>>();
        tokio::task::spawn_blocking(find).await
    };
    let waiting = waiting.map_err(|_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the search ended early"))?;
    let (mut released, mut refused) = (0_usize, Vec::new());
    for batch in waiting.chunks(options.directory.limits.lifecycle_batch.max(1)) {
        let one = async |node: &Arc<Node>| {
            let dn = snapshot.dn_text(node);
            let terms = Terms { event: Some(Event::Released), why: wish.why.0.clone(), ..Terms::default() };
            let op = Op::Modify { dn: Dn::parse(&dn)?, changes: Vec::new() };
            let done = options.directory.submit_update(Update { identity: options.actor.clone(), op, terms }).await;
            Ok::<_, Error>((dn, done.map(drop)))
        };
        for done in futures_util::future::join_all(batch.iter().map(one)).await {
            match done? {
                (_, Ok(())) => released += 1,
                // The server's own trouble is not the identity's.
                (_, Err(error @ (Error::Unavailable | Error::NoSpace | Error::Internal(_) | Error::Store(_)))) => {
                    return Err(error.into());
                }
                (dn, Err(error)) => refused.push(Kept { dn, reason: error.to_string() }),
            }
        }
    }
    let data = json!({"released": released, "refused": refused});
    Ok(Json(json!({"statusCode": StatusCode::OK.as_u16(), "data": data})))
}

/// Who is to be released of those that wait.
struct Whom {
    query: Query,
    ldap: Filter,
}

impl Whom {
    fn read(wish: &Wish, schema: &Schema) -> Result<Self, Problem> {
        if wish.all == (wish.filter.is_some() || wish.ldap.is_some()) {
            return Err(Problem::bad_request(
                "expected either filter (a document), ldap (an LDAP filter), or all: true",
            ));
        }
        let query = match &wish.filter {
            None => Query::everything(),
            Some(document) => Query::parse(document).map_err(|e| Problem::bad_request(format!("filter: {e}")))?,
        };
        check_paths(&query, schema).map_err(|(at, why)| Problem::bad_request(format!("filter: at {at}: {why}")))?;
        let ldap = match &wish.ldap {
            None => Filter::everything(),
            Some(text) => ldap_filter(text, schema).map_err(|why| Problem::bad_request(format!("ldap: {why}")))?,
        };
        Ok(Whom { query, ldap })
    }

    fn has(&self, snapshot: &Snapshot, node: &Node) -> bool {
        let waits = |axes: &Axes| lifecycle::state(axes) == State::ToValidate;
        node.entry.operational.axes.as_ref().is_some_and(waits)
            && self.ldap.matches(&View::unrestricted(snapshot, node), &snapshot.schema)
            && self.query.matches(&sesame::document(&node.entry, &snapshot.schema))
    }
}
