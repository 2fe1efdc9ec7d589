//! Add, Modify, Delete and ModifyDN: to the directory's writer, and its answer back.

use super::{Call, Done, search::log};
use crate::{
    access::Identity,
    directory::{Directory, Error, Op, Outcome, Sight, Sights, Terms, Update, View},
    dn::Dn,
    filter::Filter,
    ldap::{
        Shared, accounts,
        controls::{Controls, POST_READ, PRE_READ},
        convert, deleted,
        encode::{self, Selection},
        message::{Control, Request},
        result::{self, Code},
    },
};
use std::sync::Arc;

pub async fn write(call: &Call, request: Request) -> Done {
    let kind = request.kind();
    let (op, name) = op(request);
    let outcome = match op {
        Ok(op) => submit(call, op).await,
        Err(error) => Err(error),
    };
    match &outcome {
        Ok(outcome) => {
            let (code, text) = match (call.controls.no_op, &outcome.diagnostic) {
                (true, _) => (Code::NoOperation, "all is well, and nothing was done, as asked"),
                (false, text) => (Code::Success, text.as_deref().unwrap_or_default()),
            };
            let controls = Shown::of(&call.controls).controls(&call.shared.options.directory, &call.identity, outcome);
            call.answer_with(kind, result::result(code, text), controls, name)
        }
        Err(error) => {
            if matches!(error, Error::Internal(_) | Error::Store(_)) {
                tracing::error!(msgid = call.id, cause = ?error, "write failed");
            }
            call.answer(kind, result::of(error), name)
        }
    }
}

/// What an update request asks for, and the name it is about.
pub fn op(request: Request) -> (Result<Op, Error>, String) {
    match request {
        Request::Add(request) => {
            let name = request.dn.clone();
            (convert::add(request), name)
        }
        Request::Modify(request) => {
            let name = request.dn.clone();
            (convert::modify(request), name)
        }
        Request::Delete(name) => (Dn::parse(&name).map(|dn| Op::Delete { dn }).map_err(Into::into), name),
        Request::ModifyDn(request) => {
            let name = request.dn.clone();
            (convert::rename(request), name)
        }
        _ => (Err(Error::Internal("not an update".to_owned())), String::new()),
    }
}

/// Hashes what is secret, then asks the writer.
pub async fn submit(call: &Call, op: Op) -> Result<Outcome, Error> {
    let why = deleted::reason(&op, &call.shared.options.directory.read().schema);
    let op = prepare(&call.shared, &call.identity, op).await?;
    let update = Update { identity: Identity::clone(&call.identity), op, terms: Terms { why, ..terms(call) } };
    call.shared.options.directory.submit_update(update).await
}

/// Hashes what is secret.
pub async fn prepare(shared: &Shared, identity: &Identity, mut op: Op) -> Result<Op, Error> {
    let directory = &shared.options.directory;
    let snapshot = directory.read();
    if let Op::Add { dn, .. } | Op::Modify { dn, .. } | Op::Delete { dn } | Op::Rename { dn, .. } = &op {
        if log::offered_place(shared, &snapshot, dn).is_some() {
            return Err(Error::Unwilling("the server itself keeps the change log"));
        }
        if accounts::is_name(&snapshot, dn) {
            return Err(Error::Unwilling("an account is what a target holds; change the entry above, or the target"));
        }
    }
    op = deleted::redirect(&snapshot, op)?;
    if op.secrets(&snapshot.schema) == 0 {
        return Ok(op);
    }
    let limits = Arc::clone(&directory.limits);
    op.may_be_tried(&snapshot, &directory.access.grants(identity), &limits)?;
    let permit = Arc::clone(&shared.hashing).acquire_owned().await;
    let _permit = permit.map_err(|_| Error::Unavailable)?;
    let hashed = tokio::task::spawn_blocking(move || op.hash_secrets(&snapshot, &limits).map(|()| op));
    hashed.await.map_err(|e| Error::Internal(e.to_string()))?
}

/// What the controls of the request say of the manner of the change.
pub fn terms(call: &Call) -> Terms {
    let controls = &call.controls;
    let schema = &call.shared.options.directory.read().schema;
    Terms {
        assertion: controls.assertion.as_ref().map(|ast| Filter::bind(ast, schema)),
        permissive: controls.permissive,
        tree: controls.tree_delete,
        no_op: controls.no_op,
        relax: controls.relax,
        manage_dsa_it: controls.manage_dsa_it,
        sights: Sights { before: controls.pre_read.is_some(), after: controls.post_read.is_some() },
        ..Terms::default()
    }
}

/// What the client wants to read of the entry before and after a change (RFC 4527).
#[derive(Clone, Debug, Default)]
pub struct Shown {
    pub before: Option<Vec<String>>,
    pub after: Option<Vec<String>>,
}

impl Shown {
    pub fn of(controls: &Controls) -> Self {
        Shown { before: controls.pre_read.clone(), after: controls.post_read.clone() }
    }

    /// The response controls, with as much as the identity may read.
    pub fn controls(&self, directory: &Directory, identity: &Identity, outcome: &Outcome) -> Vec<Control> {
        let shown = [(PRE_READ, &self.before, &outcome.before), (POST_READ, &self.after, &outcome.after)];
        let each = shown.into_iter().filter_map(|(oid, wanted, sight)| {
            let value = show(directory, identity, wanted.as_ref()?, sight.as_ref()?)?;
            Some(Control { oid: oid.to_owned(), critical: false, value: Some(value) })
        });
        each.collect()
    }
}

fn show(directory: &Directory, identity: &Identity, wanted: &[String], sight: &Sight) -> Option<Vec<u8>> {
    let Sight { snapshot, node } = sight;
    let selection = Selection::new(wanted, false, &snapshot.schema);
    let grants = directory.access.grants(identity);
    let open = View::unrestricted(snapshot, node);
    let place = grants.at(&snapshot.dn_key_of(node), node.entry.uuid, &open, &snapshot.schema);
    (!place.is_blind()).then(|| encode::alone(&View::new(snapshot, node, &place), &selection))
}
