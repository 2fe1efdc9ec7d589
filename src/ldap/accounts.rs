//! Accounts at targets as entries `vestibuleTarget=NAME` below whom they are of: made for each answer
//! from what the export knows, and in no tree. Who does not ask for them by name, by filter or by the
//! subentries control (RFC 3672) does not see them: applications look for people.

use super::{ops::Call, rootdse::MadeUp};
use crate::{
    access::{Grants, Right},
    directory::{EntryId, Error, Node, Scope, Search, Snapshot, Step, View},
    dn::{Dn, Rdn},
    entry::Entry,
    filter::{Ast, Filter},
    provisioning::{Account, Provisioning},
    schema::Schema,
};
use std::sync::Arc;

const CLASS: &str = "vestibuleAccount";
const NAME: &str = "vestibuleTarget";
const STATUS: &str = "vestibuleAccountStatus";
const MECHANISM: &str = "vestibuleAccountMechanism";
const SINCE: &str = "vestibuleAccountSince";
const UPDATED: &str = "vestibuleAccountUpdated";
const ID: &str = "vestibuleAccountId";
const REASON: &str = "vestibuleAccountReason";
const NEXT: &str = "vestibuleAccountNextAttempt";
const ATTRIBUTES: [&str; 8] = [NAME, STATUS, MECHANISM, SINCE, UPDATED, ID, REASON, NEXT];

/// True for a name that only an account can have.
pub fn is_name(snapshot: &Snapshot, dn: &Dn) -> bool {
    holder(snapshot, dn).is_some()
}

/// Below whom an account of this name would be.
fn holder<'a>(snapshot: &'a Snapshot, dn: &Dn) -> Option<&'a Arc<Node>> {
    let [ava] = dn.leaf()?.avas() else { return None };
    let schema = &snapshot.schema;
    if schema.attr_id(&ava.attr) != schema.attr_id(NAME) {
        return None;
    }
    snapshot.find_dn(&dn.parent()?)
}

/// The account of this name; `None` if it is no name of one.
pub fn at(call: &Call, snapshot: &Snapshot, dn: &Dn) -> Option<Result<Arc<Node>, Error>> {
    let holder = holder(snapshot, dn)?;
    let options = &call.shared.options;
    let key = snapshot.schema.dn_key(dn);
    let grants = options.directory.access.grants(&call.identity);
    let found = entries(snapshot, holder, options.provisioning.as_ref())
        .into_iter()
        .find(|node| snapshot.dn_key_of(node) == key && may_read(snapshot, node, &grants));
    Some(found.ok_or_else(|| snapshot.no_such_object(&key, &grants)))
}

/// What a search finds that begins at the name of an account.
pub fn found(call: &Call, snapshot: &Snapshot, search: &Search) -> Option<Result<Vec<Arc<Node>>, Error>> {
    let node = match at(call, snapshot, &search.base)? {
        Ok(node) => node,
        Err(error) => return Some(Err(error)),
    };
    let grants = call.shared.options.directory.access.grants(&call.identity);
    let in_scope = matches!(search.scope, Scope::Base | Scope::Subtree);
    let hit = in_scope && matches(snapshot, &node, &search.filter, &grants);
    Some(Ok(if hit { vec![node] } else { Vec::new() }))
}

/// Whether a search below an ordinary entry asks for accounts.
pub fn are_wanted(call: &Call, scope: Scope, filter: &Ast, schema: &Schema) -> bool {
    scope != Scope::Base && call.controls.subentries.unwrap_or_else(|| names(filter, schema))
}

fn names(filter: &Ast, schema: &Schema) -> bool {
    match filter {
        Ast::And(parts) | Ast::Or(parts) => parts.iter().any(|part| names(part, schema)),
        // What is not wanted is not asked for.
        Ast::Not(_) => false,
        Ast::Equal(attribute, value) if schema.attr_id(attribute) == Some(schema.known.object_class) => {
            std::str::from_utf8(value).is_ok_and(|class| schema.class_id(class) == schema.class_id(CLASS))
        }
        one => one.attributes().into_iter().any(|name| {
            let id = schema.attr_id(name.split(';').next().unwrap_or_default());
            id.is_some() && ATTRIBUTES.iter().any(|known| schema.attr_id(known) == id)
        }),
    }
}

/// The accounts below a base, entry by entry.
pub struct Walk {
    snapshot: Arc<Snapshot>,
    provisioning: Arc<dyn Provisioning>,
    filter: Arc<Filter>,
    /// Whether the subordinates of entries are looked at, too.
    deep: bool,
    open: Vec<EntryId>,
    /// Of the entry looked at last.
    ready: Vec<Arc<Node>>,
}

impl Walk {
    /// `None` if there is no such base.
    pub fn begin(call: &Call, snapshot: &Arc<Snapshot>, base: &Dn, scope: Scope, filter: &Arc<Filter>) -> Option<Self> {
        let base = snapshot.find_dn(base)?;
        Some(Walk {
            snapshot: Arc::clone(snapshot),
            provisioning: Arc::clone(&call.shared.options.provisioning),
            filter: Arc::clone(filter),
            deep: scope != Scope::One,
            open: vec![base.id],
            ready: Vec::new(),
        })
    }

    pub fn step(&mut self, grants: &Grants<'_>) -> Step {
        if let Some(node) = self.ready.pop() {
            let hit = may_read(&self.snapshot, &node, grants) && matches(&self.snapshot, &node, &self.filter, grants);
            return if hit { Step::Found(node) } else { Step::Passed };
        }
        let Some(id) = self.open.pop() else { return Step::End };
        if self.deep {
            self.open.extend(self.snapshot.children(id));
        }
        if let Some(node) = self.snapshot.node(id) {
            self.ready = entries(&self.snapshot, node, self.provisioning.as_ref());
            self.ready.reverse();
        }
        Step::Passed
    }
}

fn may_read(snapshot: &Snapshot, node: &Node, grants: &Grants<'_>) -> bool {
    let open = View::unrestricted(snapshot, node);
    grants.at(&snapshot.dn_key_of(node), node.entry.uuid, &open, &snapshot.schema).allows(None, Right::Read)
}

fn matches(snapshot: &Snapshot, node: &Node, filter: &Filter, grants: &Grants<'_>) -> bool {
    let open = View::unrestricted(snapshot, node);
    let place = grants.at(&snapshot.dn_key_of(node), node.entry.uuid, &open, &snapshot.schema);
    filter.matches(&View::new(snapshot, node, &place), &snapshot.schema)
}

/// All accounts of one entry.
fn entries(snapshot: &Snapshot, holder: &Node, provisioning: &dyn Provisioning) -> Vec<Arc<Node>> {
    let accounts = provisioning.accounts(holder.entry.uuid);
    if accounts.is_empty() {
        return Vec::new();
    }
    let Ok(above) = Dn::parse(&snapshot.dn_text(holder)) else { return Vec::new() };
    accounts.into_iter().filter_map(|account| entry(snapshot, holder, &above, account)).collect()
}

fn entry(snapshot: &Snapshot, holder: &Node, above: &Dn, account: Account) -> Option<Arc<Node>> {
    let dn = above.child(Rdn::single(NAME, account.target.as_bytes()));
    let time = |name, time: Option<crate::clock::Timestamp>| time.map(|time| (name, time.generalized_time()));
    let mechanism = account.mechanism.and_then(|mechanism| {
        let word = serde_json::to_value(mechanism).ok()?;
        Some((MECHANISM, word.as_str()?.to_owned()))
    });
    let mut attributes =
        vec![("objectClass", CLASS.to_owned()), (NAME, account.target), (STATUS, format!("{:?}", account.status))];
    attributes.extend(mechanism);
    attributes.extend(time(SINCE, account.since));
    attributes.extend(time(UPDATED, account.updated));
    attributes.extend(account.remote_id.map(|id| (ID, id)));
    attributes.extend(account.why.map(|why| (REASON, why)));
    attributes.extend(time(NEXT, account.next_attempt));
    let made = MadeUp { dn: dn.to_string(), class: CLASS, attributes }.into_node(&snapshot.schema)?;
    // Rules for the own entry speak of the own accounts, too.
    let mut entry = Entry::clone(&made.entry);
    entry.uuid = holder.entry.uuid;
    Some(Arc::new(Node::synthetic(&dn, entry)))
}
