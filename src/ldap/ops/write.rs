//! Add, Modify, Delete and ModifyDN: to the directory's writer, and its answer back.

use super::{Call, Done};
use crate::{
    directory::{Error, Op, Outcome},
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
    if op.secrets(&snapshot.schema) > 0 {
        let limits = Arc::clone(&directory.limits);
        op.may_be_tried(&snapshot, &directory.access.grants(&call.identity), &limits)?;
        let permit = Arc::clone(&call.shared.hashing).acquire_owned().await;
        let _permit = permit.map_err(|_| Error::Unavailable)?;
        let hashed = tokio::task::spawn_blocking(move || op.hash_secrets(&snapshot, &limits).map(|()| op));
        op = hashed.await.map_err(|e| Error::Internal(e.to_string()))??;
    }
    directory.submit(&call.identity, op).await
}
