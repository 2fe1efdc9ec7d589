//! Acting as another identity (RFC 4370): whom a request names, and whether the one who is bound
//! may act as them.

use crate::{
    access::{Identity, Right},
    directory::{Directory, Snapshot, View},
    dn::Dn,
    filter::Ast,
    ldap::{
        Admin, lookup,
        result::{self, Code, LdapResult},
    },
    lifecycle::Account,
};
use smol_str::SmolStr;
use std::sync::Arc;

/// The identity that an authorization identity (RFC 4513 section 5.2.1.8) stands for, if `bound`
/// may act as it. One answer for a name that is not there and for one that may not be taken.
pub fn effective(
    authzid: &str,
    bound: &Arc<Identity>,
    directory: &Directory,
    admin: &Admin,
) -> Result<Arc<Identity>, LdapResult> {
    let denied = || result::result(Code::AuthorizationDenied, "no right to act as this identity");
    if authzid.is_empty() {
        return Ok(Arc::new(Identity::Anonymous));
    }
    let snapshot = directory.read();
    let dn = match authzid.split_once(':') {
        Some(("dn", "")) => return Ok(Arc::new(Identity::Anonymous)),
        Some(("dn", dn)) => Dn::parse(dn).map_err(|_| denied())?,
        Some(("u", user)) => by_user(user, directory, &snapshot).ok_or_else(denied)?,
        _ => return Err(result::result(Code::ProtocolError, "expected an identity as dn:<dn> or u:<uid>")),
    };
    let key = snapshot.schema.dn_key(&dn);
    if key == admin.key {
        let itself = matches!(**bound, Identity::Admin { .. });
        return if itself { Ok(Arc::clone(bound)) } else { Err(denied()) };
    }
    let node = snapshot.find(&key).ok_or_else(denied)?;
    let grants = directory.access.grants(bound);
    let view = View::unrestricted(&snapshot, node);
    let itself = matches!(&**bound, Identity::Entry { uuid, .. } if *uuid == node.entry.uuid);
    let place = grants.at(&key, node.entry.uuid, &view, &snapshot.schema);
    if !itself && !place.allows(None, Right::Proxy) {
        return Err(denied());
    }
    if let Some(Account::Closed(_)) = node.entry.operational.axes.as_ref().map(|axes| snapshot.career.account(axes)) {
        return Err(denied());
    }
    Ok(Arc::new(Identity::Entry { uuid: node.entry.uuid, dn: SmolStr::new(snapshot.dn_text(node)), key }))
}

/// The one entry with this uid.
fn by_user(user: &str, directory: &Directory, snapshot: &Arc<Snapshot>) -> Option<Dn> {
    let filter = Ast::Equal(SmolStr::new_static("uid"), user.as_bytes().to_vec());
    let node = lookup::sole(directory, snapshot, &snapshot.suffix, &filter)?;
    Dn::parse(&snapshot.dn_text(&node)).ok()
}
