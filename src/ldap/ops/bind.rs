//! Bind (RFC 4511 section 4.2, RFC 4513 section 5.1): simple and anonymous.

use super::{Call, Done};
use crate::{
    access::Identity,
    auth,
    directory::Snapshot,
    dn::Dn,
    ldap::{
        AdminPassword, bounds,
        controls::AUTHORIZATION_IDENTITY_RESPONSE,
        message::{Auth, Control, Kind},
        result::{self, Code},
    },
    lifecycle::{self, Account},
};
use smol_str::SmolStr;
use std::sync::Arc;

/// The new identity of the session; anonymous whenever the bind fails.
pub async fn bind(call: &Call, version: i64, name: &str, auth: Auth) -> (Identity, Done) {
    let refuse = |code: Code, text: &str| {
        (Identity::Anonymous, call.answer(Kind::Bind, result::result(code, text), name.to_owned()))
    };
    let old = version == 2 && call.shared.options.version_2;
    if version != 3 && !old {
        return refuse(Code::ProtocolError, "only LDAP version 3 is spoken here");
    }
    let password = match auth {
        Auth::Simple(password) => password,
        Auth::Sasl { mechanism } => {
            return refuse(Code::AuthMethodNotSupported, &format!("SASL mechanism {mechanism} is not supported"));
        }
        Auth::Unknown => return refuse(Code::AuthMethodNotSupported, "only simple authentication is supported"),
    };
    if name.is_empty() && password.is_empty() {
        return accept(call, Identity::Anonymous, String::new());
    }
    if password.is_empty() {
        // A client that forgets the password must not believe that it was right (RFC 4513 5.1.2).
        return refuse(Code::UnwillingToPerform, "a bind with a name needs a password");
    }
    let Ok(dn) = Dn::parse(name) else {
        return refuse(Code::InvalidDnSyntax, "the name is not a DN");
    };
    match authenticate(call, &dn, password).await {
        Some(identity) if is_crowded(call, &identity) => {
            refuse(Code::Busy, "too many connections are bound as this identity")
        }
        Some(identity) => accept(call, identity, name.to_owned()),
        // One answer for a wrong name, a wrong password and a closed account.
        None => refuse(Code::InvalidCredentials, "invalid credentials"),
    }
}

/// True if the identity has as many connections as it may have.
fn is_crowded(call: &Call, identity: &Identity) -> bool {
    let options = &call.shared.options;
    match bounds::of(identity, &options.limits, &options.bounds).identity_connections {
        0 => false,
        most => call.shared.monitor.bound_as(identity.dn()) >= most,
    }
}

/// Success, with the authorization identity if it is asked for (RFC 3829).
fn accept(call: &Call, identity: Identity, name: String) -> (Identity, Done) {
    let mut controls = Vec::new();
    if call.controls.authorization_identity {
        let oid = AUTHORIZATION_IDENTITY_RESPONSE.to_owned();
        controls.push(Control { oid, critical: false, value: Some(identity.authzid().into_bytes()) });
    }
    let done = call.answer_with(Kind::Bind, result::success(), controls, name);
    (identity, done)
}

async fn authenticate(call: &Call, dn: &Dn, password: Vec<u8>) -> Option<Identity> {
    let snapshot = call.shared.options.directory.read();
    let key = snapshot.schema.dn_key(dn);
    let admin = &call.shared.options.admin;
    if key == admin.key {
        let right = match &admin.password {
            AdminPassword::Given(secret) => auth::same_secret(&password, secret),
            AdminPassword::Made(hash) => verify(call, password, vec![hash.clone()]).await,
        };
        return right.then(|| Identity::Admin { dn: admin.dn.clone() });
    }
    let node = snapshot.find(&key);
    let hashes: Vec<Vec<u8>> = node
        .map(|n| n.entry.secret_values(snapshot.schema.known.user_password).map(<[u8]>::to_vec).collect())
        .unwrap_or_default();
    let verified = verify(call, password, hashes).await;
    let node = node.filter(|_| verified)?;
    if let Some(Account::Closed(why)) = node.entry.operational.axes.as_ref().map(lifecycle::account) {
        tracing::warn!(dn = %dn, why, "bind refused: the account is closed");
        return None;
    }
    Some(Identity::Entry { uuid: node.entry.uuid, dn: SmolStr::new(snapshot.dn_text(node)), key })
}

/// Off the async threads and a few at a time: one hash takes tens of milliseconds.
pub async fn verify(call: &Call, password: Vec<u8>, mut hashes: Vec<Vec<u8>>) -> bool {
    let Ok(_permit) = Arc::clone(&call.shared.hashing).acquire_owned().await else { return false };
    let known = !hashes.is_empty();
    if !known {
        hashes.push(call.shared.decoy.clone());
    }
    let matched = tokio::task::spawn_blocking(move || hashes.iter().any(|h| auth::verify(&password, h)));
    matched.await.unwrap_or(false) && known
}

/// The hashes of an identity's entry.
pub fn stored_hashes(snapshot: &Snapshot, dn: &Dn) -> Vec<Vec<u8>> {
    let attr = snapshot.schema.known.user_password;
    snapshot.find_dn(dn).map(|n| n.entry.secret_values(attr).map(<[u8]>::to_vec).collect()).unwrap_or_default()
}
