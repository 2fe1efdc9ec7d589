//! Compare (RFC 4511 section 4.10): 6 true, 5 false, 16 no such attribute.

use super::{Call, Done, bind, search::log};
use crate::{
    access::Right,
    directory::{Error, UriScope, View},
    dn::Dn,
    filter::{Filter, Subject},
    ldap::{
        accounts,
        message::Kind,
        result::{self, Code, LdapResult},
        rootdse,
    },
};
use ldap3_proto::proto::LdapCompareRequest;
use std::sync::Arc;

pub async fn compare(call: &Call, request: LdapCompareRequest) -> Done {
    let name = request.dn.clone();
    let result = decide(call, &request).await.unwrap_or_else(|error| result::of(&error));
    call.answer(Kind::Compare, result, name)
}

async fn decide(call: &Call, request: &LdapCompareRequest) -> Result<LdapResult, Error> {
    let directory = &call.shared.options.directory;
    let snapshot = directory.read();
    let schema = &snapshot.schema;
    let dn = Dn::parse(&request.dn)?;
    let key = schema.dn_key(&dn);
    let grants = directory.access.grants(&call.identity);
    if !call.controls.manage_dsa_it {
        snapshot.require_here(&dn, &key, UriScope::None, &grants)?;
    }
    let made_up = match log::offered_place(&call.shared, &snapshot, &dn) {
        Some(place) => Some(log::entry(call, &snapshot, place).await?),
        None => match accounts::at(call, &snapshot, &dn) {
            Some(account) => Some(account?),
            None => rootdse::at(call, &snapshot, &key).transpose()?.map(Arc::new),
        },
    };
    let node = match &made_up {
        Some(node) => node,
        None => snapshot.find(&key).ok_or_else(|| snapshot.no_such_object(&key, &grants))?,
    };
    let open = View::unrestricted(&snapshot, node);
    let place = grants.at(&key, node.entry.uuid, &open, schema);
    if let Some(ast) = &call.controls.assertion
        && !Filter::bind(ast, schema).matches(&View::new(&snapshot, node, &place), schema)
    {
        return Err(if place.is_blind() { Error::NoSuchObject { matched: None } } else { Error::AssertionFailed });
    }
    let Some(desc) = schema.describe(&request.atype) else {
        if place.is_blind() {
            return Err(Error::NoSuchObject { matched: None });
        }
        let text = format!("{} (attribute type): is not defined in the schema", request.atype);
        return Ok(result::result(Code::UndefinedAttributeType, text));
    };
    if !place.allows(Some(desc.id), Right::Compare) {
        return Err(place.denial(format!("compare {}", schema.attribute(desc.id).name)));
    }
    let attribute = schema.attribute(desc.id);
    if schema.is_secret(desc.id) {
        let hashes: Vec<Vec<u8>> = node.entry.secret_values(desc.id).map(<[u8]>::to_vec).collect();
        let present = !hashes.is_empty();
        return Ok(truth(bind::verify(call, request.val.clone(), hashes).await, present));
    }
    let Some(rule) = attribute.equality else {
        let text = format!("{}: it has no equality rule", attribute.name);
        return Ok(result::result(Code::InappropriateMatching, text));
    };
    let Some(wanted) = rule.assertion(&request.val, schema) else {
        let text = format!("{} (syntax): expected {}", attribute.name, attribute.syntax.desc());
        return Ok(result::result(Code::InvalidAttributeSyntax, text));
    };
    let view = View::new(&snapshot, node, &place);
    let all: Vec<_> =
        schema.with_subtypes(desc.id).iter().filter(|id| place.allows(Some(**id), Right::Compare)).collect();
    let present = all.iter().any(|id| view.is_present(**id, &desc.options));
    let equal = all.iter().any(|id| view.equals(**id, &desc.options, rule, &wanted, schema));
    Ok(truth(equal, present))
}

fn truth(equal: bool, present: bool) -> LdapResult {
    match (equal, present) {
        (true, _) => result::result(Code::CompareTrue, ""),
        (false, true) => result::result(Code::CompareFalse, ""),
        (false, false) => result::result(Code::NoSuchAttribute, "the entry has no such attribute"),
    }
}
