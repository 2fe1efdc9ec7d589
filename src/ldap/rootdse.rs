//! The two entries that describe the server itself: the root DSE (RFC 4512 section 5.1) and the
//! subschema entry (section 4.2). They are made up for each answer and searched like any other.

use super::ops::Call;
use crate::{
    directory::{Node, SUBSCHEMA, Snapshot},
    dn::{DnKey, Rdn},
    entry::{Draft, Operational},
    schema::Schema,
};
use smol_str::SmolStr;
use uuid::Uuid;

/// Extended operations that work; advertised and accepted from this one list.
pub const WHO_AM_I: &str = "1.3.6.1.4.1.4203.1.11.3";
pub const PASSWORD_MODIFY: &str = "1.3.6.1.4.1.4203.1.11.1";
pub const START_TLS: &str = "1.3.6.1.4.1.1466.20037";
pub const CANCEL: &str = "1.3.6.1.1.8";
pub const START_TRANSACTION: &str = "1.3.6.1.1.21.1";
pub const END_TRANSACTION: &str = "1.3.6.1.1.21.3";
/// Sent unasked, so not advertised.
pub const ABORTED_TRANSACTION: &str = "1.3.6.1.1.21.4";
const EXTENSIONS: [&str; 5] = [WHO_AM_I, PASSWORD_MODIFY, CANCEL, START_TRANSACTION, END_TRANSACTION];

/// Features that work: all operational attributes (RFC 3673), attributes by class (RFC 4529),
/// absolute true and false filters (RFC 4526), language tags and ranges (RFC 3866),
/// modify-increment (RFC 4525).
const FEATURES: [&str; 6] = [
    "1.3.6.1.4.1.4203.1.5.1",
    "1.3.6.1.4.1.4203.1.5.2",
    "1.3.6.1.4.1.4203.1.5.3",
    "1.3.6.1.4.1.4203.1.5.4",
    "1.3.6.1.4.1.4203.1.5.5",
    "1.3.6.1.1.14",
];

/// The entry of this name, if it is one of the two.
pub fn at(call: &Call, snapshot: &Snapshot, key: &DnKey) -> Option<Node> {
    if key.is_root() {
        return Some(root_dse(call, snapshot));
    }
    (snapshot.schema.dn_value_key(SUBSCHEMA).as_ref() == Some(key)).then(|| subschema(snapshot))
}

fn root_dse(call: &Call, snapshot: &Snapshot) -> Node {
    let mut draft = Draft::default();
    let schema = &snapshot.schema;
    let mut put = |name: &str, value: &str| {
        if let Some(id) = schema.attr_id(name) {
            draft.put(id, value.as_bytes());
        }
    };
    put("objectClass", "top");
    put("namingContexts", &snapshot.suffix.to_string());
    if call.shared.options.version_2 {
        put("supportedLDAPVersion", "2");
    }
    put("supportedLDAPVersion", "3");
    call.shared.options.controls.oids().for_each(|oid| put("supportedControl", oid));
    EXTENSIONS.iter().for_each(|oid| put("supportedExtension", oid));
    if call.offers_tls() {
        put("supportedExtension", START_TLS);
    }
    FEATURES.iter().for_each(|oid| put("supportedFeatures", oid));
    put("vendorName", "Vestibule");
    put("vendorVersion", env!("CARGO_PKG_VERSION"));
    Node::synthetic(Rdn::default(), draft.seal(Uuid::nil(), operational("top"), schema))
}

fn subschema(snapshot: &Snapshot) -> Node {
    let mut draft = Draft::default();
    let schema = &snapshot.schema;
    for (name, values) in [
        ("objectClass", vec!["top".to_owned(), "subschema".to_owned()]),
        ("cn", vec!["Subschema".to_owned()]),
        ("ldapSyntaxes", Schema::ldap_syntaxes()),
        ("matchingRules", Schema::matching_rules()),
        ("matchingRuleUse", schema.matching_rule_use()),
        ("attributeTypes", schema.attribute_types()),
        ("objectClasses", schema.object_classes()),
    ] {
        if let Some(id) = schema.attr_id(name) {
            values.iter().for_each(|v| draft.put(id, v.as_bytes()));
        }
    }
    let rdn = SUBSCHEMA.split_once('=').map(|(attr, value)| Rdn::single(attr, value.as_bytes())).unwrap_or_default();
    Node::synthetic(rdn, draft.seal(Uuid::nil(), operational("subschema"), schema))
}

fn operational(structural: &'static str) -> Operational {
    Operational { structural: SmolStr::new_static(structural), ..Operational::unwritten() }
}
