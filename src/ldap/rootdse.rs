//! The entries that describe the server itself: the root DSE (RFC 4512 section 5.1), the subschema
//! entry (section 4.2), the monitor and the deleted identities. They are made up for each answer and searched like any
//! other.

use super::{
    deleted,
    monitor::{self, MONITOR},
    ops::Call,
};
use crate::{
    access::CHANGE_LOG,
    directory::{Error, Node, SUBSCHEMA, Snapshot},
    dn::{Dn, DnKey},
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

/// An entry that is made for one answer, as text.
pub struct MadeUp {
    pub dn: String,
    pub class: &'static str,
    pub attributes: Vec<(&'static str, String)>,
}

/// True if the name is one of a made-up entry, or in a tree of them.
pub fn is_made_up(snapshot: &Snapshot, key: &DnKey) -> bool {
    // Most names are ordinary ones, and this tells them soonest.
    !snapshot.covers(key)
        && (key.is_root()
            || snapshot.schema.dn_value_key(SUBSCHEMA).as_ref() == Some(key)
            || snapshot.schema.dn_value_key(MONITOR).is_some_and(|monitor| key.is_within(&monitor))
            || deleted::is_asked(snapshot, key))
}

/// The tree of made-up entries that this name is in, superiors first; `None` for real entries.
pub fn tree(call: &Call, snapshot: &Snapshot, key: &DnKey) -> Option<Vec<Node>> {
    if !is_made_up(snapshot, key) {
        return None;
    }
    let schema = &snapshot.schema;
    if deleted::is_asked(snapshot, key) {
        return Some(deleted::tree(snapshot, key));
    }
    let made = if key.is_root() {
        vec![root_dse(call, snapshot)]
    } else if schema.dn_value_key(SUBSCHEMA).as_ref() == Some(key) {
        vec![subschema(schema)]
    } else {
        monitor::entries(call, snapshot)
    };
    Some(made.into_iter().filter_map(|entry| entry.into_node(schema)).collect())
}

/// The made-up entry of this name.
pub fn at(call: &Call, snapshot: &Snapshot, key: &DnKey) -> Option<Result<Node, Error>> {
    if is_made_up(snapshot, key) && !call.shared.options.directory.access.grants(&call.identity).reach(key) {
        return Some(Err(Error::NoSuchObject { matched: None }));
    }
    let found = tree(call, snapshot, key)?.into_iter().find(|node| snapshot.dn_key_of(node) == *key);
    Some(found.ok_or(Error::NoSuchObject { matched: None }))
}

impl MadeUp {
    pub fn into_node(self, schema: &Schema) -> Option<Node> {
        let mut draft = Draft::default();
        for (name, value) in &self.attributes {
            if let Some(id) = schema.attr_id(name) {
                draft.put(id, value.as_bytes());
            }
        }
        draft.complete_classes(schema);
        let structural = SmolStr::new_static(self.class);
        let operational = Operational { structural, ..Operational::unwritten() };
        Some(Node::synthetic(&Dn::parse(&self.dn).ok()?, draft.seal(Uuid::nil(), operational, schema)))
    }
}

fn root_dse(call: &Call, snapshot: &Snapshot) -> MadeUp {
    let options = &call.shared.options;
    let mut attributes = vec![
        ("objectClass", "top".to_owned()),
        ("namingContexts", snapshot.suffix.to_string()),
        ("monitorContext", MONITOR.to_owned()),
    ];
    if options.version_2 {
        attributes.push(("supportedLDAPVersion", "2".to_owned()));
    }
    attributes.push(("supportedLDAPVersion", "3".to_owned()));
    attributes.extend(options.controls.oids().map(|oid| ("supportedControl", oid.to_owned())));
    attributes.extend(EXTENSIONS.iter().map(|oid| ("supportedExtension", (*oid).to_owned())));
    if call.offers_tls() {
        attributes.push(("supportedExtension", START_TLS.to_owned()));
    }
    let mechanisms = call.mechanisms();
    attributes.extend(mechanisms.into_iter().map(|name| ("supportedSASLMechanisms", name.to_owned())));
    attributes.extend(FEATURES.iter().map(|oid| ("supportedFeatures", (*oid).to_owned())));
    if options.change_log {
        attributes.push(("changeLog", CHANGE_LOG.to_owned()));
        attributes.push(("firstChangeNumber", options.directory.journal_start().to_string()));
        attributes.push(("lastChangeNumber", snapshot.head.to_string()));
    }
    attributes.push(("vendorName", "Vestibule".to_owned()));
    attributes.push(("vendorVersion", env!("CARGO_PKG_VERSION").to_owned()));
    MadeUp { dn: String::new(), class: "top", attributes }
}

fn subschema(schema: &Schema) -> MadeUp {
    let mut attributes = vec![
        ("objectClass", "top".to_owned()),
        ("objectClass", "subschema".to_owned()),
        ("cn", "Subschema".to_owned()),
    ];
    for (name, values) in [
        ("ldapSyntaxes", Schema::ldap_syntaxes()),
        ("matchingRules", Schema::matching_rules()),
        ("matchingRuleUse", schema.matching_rule_use()),
        ("attributeTypes", schema.attribute_types()),
        ("objectClasses", schema.object_classes()),
    ] {
        attributes.extend(values.into_iter().map(|value| (name, value)));
    }
    MadeUp { dn: SUBSCHEMA.to_owned(), class: "subschema", attributes }
}
