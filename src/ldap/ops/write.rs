//! Add, Modify, Delete and ModifyDN: to the directory's writer, and its answer back.

use super::{Call, Done};
use crate::{
    access::{Identity, Right},
    directory::{Error, Op, Outcome, View},
    ldap::{message::Kind, result},
};
use std::sync::Arc;

pub async fn write(call: &Call, kind: Kind, op: Result<Op, Error>, name: String) -> Done {
    let outcome = match op {
        Ok(op) => submit(call, op).await,
        Err(error) => Err(error),
    };
    let result = match &outcome {
        Ok(Outcome { diagnostic, .. }) => {
            result::result(ldap3_proto::proto::LdapResultCode::Success, diagnostic.clone().unwrap_or_default())
        }
        Err(error) => {
            if matches!(error, Error::Internal(_) | Error::Store(_)) {
                tracing::error!(msgid = call.id, cause = ?error, "write failed");
            }
            result::of(error)
        }
    };
    call.answer(kind, result, name)
}

/// Hashes what is secret, then asks the writer.
pub async fn submit(call: &Call, mut op: Op) -> Result<Outcome, Error> {
    let directory = &call.shared.options.directory;
    let snapshot = directory.read();
    if op.has_secrets(&snapshot.schema) {
        // Hashing is dear: those who may not write anyway must not make us do it.
        early_refusal(call, &op)?;
        let permit = Arc::clone(&call.shared.hashing).acquire_owned().await;
        let _permit = permit.map_err(|_| Error::Unavailable)?;
        let hashed = tokio::task::spawn_blocking(move || op.hash_secrets(&snapshot).map(|()| op));
        op = hashed.await.map_err(|e| Error::Internal(e.to_string()))??;
    }
    directory.submit(&call.identity, op).await
}

fn early_refusal(call: &Call, op: &Op) -> Result<(), Error> {
    let directory = &call.shared.options.directory;
    let snapshot = directory.read();
    let grants = directory.access.grants(&call.identity);
    let denied = || Error::Access { what: "add entries".to_owned() };
    match op {
        Op::Modify { dn, .. } => {
            let Some(node) = snapshot.find_dn(dn) else { return Ok(()) };
            let view = View::unrestricted(&snapshot, node);
            let place = grants.at(&snapshot.dn_key_of(node), node.entry.uuid, &view, &snapshot.schema);
            let secret = snapshot.schema.known.user_password;
            if place.allows(Some(secret), Right::Write) {
                Ok(())
            } else {
                Err(place.denial("write userPassword".to_owned()))
            }
        }
        _ if *call.identity == Identity::Anonymous => Err(denied()),
        _ => Ok(()),
    }
}
