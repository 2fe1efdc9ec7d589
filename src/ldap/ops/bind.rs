//! Bind (RFC 4511 section 4.2): simple and anonymous (RFC 4513 section 5.1), and what every way to
//! authenticate ends with.

use super::{Call, Done, sasl};
use crate::{
    access::Identity,
    auth,
    directory::{Node, Snapshot},
    dn::Dn,
    ldap::{
        AdminPassword, bounds,
        controls::AUTHORIZATION_IDENTITY_RESPONSE,
        message::{Auth, Control, Kind},
        result::{self, Code, LdapResult},
    },
    lifecycle::Account,
};
use smol_str::SmolStr;
use std::sync::Arc;

/// The new identity of the session; anonymous whenever the bind fails.
pub async fn bind(call: &Call, version: i64, name: &str, auth: Auth) -> (Identity, Done) {
    let refuse = |code: Code, text: &str| Err(result::result(code, text));
    let old = version == 2 && call.shared.options.version_2;
    let (outcome, detail) = if version != 3 && !old {
        (refuse(Code::ProtocolError, "only LDAP version 3 is spoken here"), name.to_owned())
    } else {
        match auth {
            Auth::Simple(password) => (simple(call, name, password).await, name.to_owned()),
            // RFC 4513 section 5.2.1: the name means nothing here.
            Auth::Sasl { mechanism, credentials } => sasl::bind(call, &mechanism, credentials).await,
            Auth::Unknown => {
                (refuse(Code::AuthMethodNotSupported, "only simple and SASL authentication exist"), name.to_owned())
            }
        }
    };
    let outcome = match outcome {
        Ok(identity) if is_crowded(call, &identity) => {
            refuse(Code::Busy, "too many connections are bound as this identity")
        }
        outcome => outcome,
    };
    match outcome {
        Ok(identity) => accept(call, identity, detail),
        Err(refused) => (Identity::Anonymous, call.answer(Kind::Bind, refused, detail)),
    }
}

async fn simple(call: &Call, name: &str, password: Vec<u8>) -> Result<Identity, LdapResult> {
    let refuse = |code: Code, text: &str| Err(result::result(code, text));
    if name.is_empty() && password.is_empty() {
        return match call.shared.options.anonymous {
            true => Ok(Identity::Anonymous),
            // RFC 4513 section 5.1.1.
            false => refuse(Code::InappropriateAuthentication, "anonymous binds are not allowed"),
        };
    }
    if password.is_empty() {
        // A client that forgets the password must not believe that it was right (RFC 4513 5.1.2).
        return refuse(Code::UnwillingToPerform, "a bind with a name needs a password");
    }
    if call.must_be_secure() {
        return refuse(Code::ConfidentialityRequired, "a bind with a password needs TLS");
    }
    let Ok(dn) = Dn::parse(name) else {
        return refuse(Code::InvalidDnSyntax, "the name is not a DN");
    };
    authenticate(call, Some(&dn), password).await.ok_or_else(refusal)
}

/// One answer for a wrong name, a wrong password and a closed account.
pub fn refusal() -> LdapResult {
    result::result(Code::InvalidCredentials, "invalid credentials")
}

/// True if the identity has as many connections as it may have.
fn is_crowded(call: &Call, identity: &Identity) -> bool {
    let options = &call.shared.options;
    match bounds::of(identity, &options.limits, &options.bounds).identity_connections {
        0 => false,
        _ if *identity == Identity::Anonymous => false,
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

/// Who has this name and password; without a name it takes as long as for a wrong one.
pub async fn authenticate(call: &Call, dn: Option<&Dn>, password: Vec<u8>) -> Option<Identity> {
    let snapshot = call.shared.options.directory.read();
    let key = dn.map(|dn| snapshot.schema.dn_key(dn));
    let admin = &call.shared.options.admin;
    if key.as_ref() == Some(&admin.key) {
        let right = match &admin.password {
            AdminPassword::Given(secret) => auth::same_secret(&password, secret),
            AdminPassword::Made(hash) => verify(call, password, vec![hash.clone()]).await,
        };
        return right.then(|| Identity::Admin { dn: admin.dn.clone() });
    }
    let node = key.and_then(|key| snapshot.find(&key));
    let hashes: Vec<Vec<u8>> = node
        .map(|n| n.entry.secret_values(snapshot.schema.known.user_password).map(<[u8]>::to_vec).collect())
        .unwrap_or_default();
    let verified = verify(call, password, hashes).await;
    usable(&snapshot, node.filter(|_| verified)?)
}

/// The identity of an entry, unless its account is closed.
pub fn usable(snapshot: &Snapshot, node: &Node) -> Option<Identity> {
    if let Some(Account::Closed(why)) = node.entry.operational.axes.as_ref().map(|axes| snapshot.career.account(axes)) {
        tracing::warn!(dn = snapshot.dn_text(node), %why, "bind refused: the account is closed");
        return None;
    }
    let key = snapshot.dn_key_of(node);
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
