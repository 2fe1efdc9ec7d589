//! Wire types to domain types. Nothing below `ldap` sees the former.

use crate::{
    directory::{Error, Op, Scope},
    dn::{Dn, Rdn},
    entry::ModKind,
};
use ldap3_proto::proto::{LdapAddRequest, LdapModifyDNRequest, LdapModifyRequest, LdapModifyType};
use smol_str::SmolStr;

pub fn add(request: LdapAddRequest) -> Result<Op, Error> {
    let attrs = request.attributes.into_iter().map(|a| (SmolStr::new(a.atype), a.vals)).collect();
    Ok(Op::Add { dn: Dn::parse(&request.dn)?, attrs })
}

pub fn modify(request: LdapModifyRequest) -> Result<Op, Error> {
    let changes = request.changes.into_iter().map(|change| {
        let kind = match change.operation {
            LdapModifyType::Add => ModKind::Add,
            LdapModifyType::Delete => ModKind::Delete,
            LdapModifyType::Replace => ModKind::Replace,
            LdapModifyType::Increment => ModKind::Increment,
        };
        (kind, SmolStr::new(change.modification.atype), change.modification.vals)
    });
    Ok(Op::Modify { dn: Dn::parse(&request.dn)?, changes: changes.collect() })
}

pub fn rename(request: LdapModifyDNRequest) -> Result<Op, Error> {
    Ok(Op::Rename {
        dn: Dn::parse(&request.dn)?,
        new_rdn: Rdn::parse(&request.newrdn)?,
        delete_old: request.deleteoldrdn,
        new_superior: request.new_superior.as_deref().map(Dn::parse).transpose()?,
    })
}

/// RFC 4511 4.5.1.2 and the subordinates scope of the draft.
pub fn scope(number: i64) -> Option<Scope> {
    match number {
        0 => Some(Scope::Base),
        1 => Some(Scope::One),
        2 => Some(Scope::Subtree),
        3 => Some(Scope::Subordinates),
        _ => None,
    }
}
