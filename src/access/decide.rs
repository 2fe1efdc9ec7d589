//! The decision: the first rule that speaks of identity, entry and attribute.

use super::{
    Access, Identity, Right, Who,
    rule::{Rights, Rule, Scope},
};
use crate::{
    dn::DnKey,
    filter::Subject,
    schema::{AttrId, Schema},
};
use uuid::Uuid;

/// The rules that can apply to one identity, in order.
#[derive(Clone, Debug)]
pub struct Grants<'a> {
    /// Each rule, and whether it holds for the identity's own entry alone.
    rules: Vec<(&'a Rule, bool)>,
    own: Option<Uuid>,
    own_key: Option<DnKey>,
    everything: bool,
    apart: &'a [DnKey],
}

/// The rules that apply to one entry, for one identity.
#[derive(Debug)]
pub struct Place<'a, 'g> {
    grants: &'g Grants<'a>,
    rules: Vec<&'a Rule>,
}

impl Access {
    pub fn grants(&self, identity: &Identity) -> Grants<'_> {
        let own = match identity {
            Identity::Entry { uuid, .. } => Some(*uuid),
            _ => None,
        };
        let own_key = match identity {
            Identity::Entry { key, .. } => Some(key.clone()),
            _ => None,
        };
        let mut rules = Vec::new();
        for rule in &self.rules {
            let mut speaking = rule.who.iter().filter(|w| w.speaks_of(identity)).peekable();
            if speaking.peek().is_some() {
                rules.push((rule, speaking.all(|w| *w == Who::Myself)));
            }
        }
        let first_is_all = rules.first().is_some_and(|(r, only_self)| {
            !only_self && r.rights == Rights::ALL && r.base.is_none() && r.filter.is_none() && r.attributes.is_none()
        });
        let everything = first_is_all || *identity == Identity::Server;
        Grants { everything, rules, own, own_key, apart: &self.apart }
    }
}

impl<'a> Grants<'a> {
    /// False if no rule can give any right to `base` or to anything below it.
    pub fn reach(&self, base: &DnKey) -> bool {
        let is_apart = self.is_apart(base);
        let touches = |rule: &Rule| {
            rule.rights != Rights::default()
                && (rule.reaches_apart || !is_apart)
                && rule.base.as_ref().is_none_or(|b| match rule.scope {
                    Scope::Base => b.is_within(base),
                    Scope::Subtree | Scope::Children => b.is_within(base) || base.is_within(b),
                })
        };
        // Rules for the own entry tell nothing of other branches.
        let own = || self.own_key.as_ref().is_some_and(|own| own.is_within(base));
        self.everything || self.rules.iter().any(|(rule, only_self)| touches(rule) && (!only_self || own()))
    }

    /// True if the entry of this name may be read, or might have been with other values in it.
    pub fn might_read(&self, key: &DnKey, uuid: Uuid) -> bool {
        let is_apart = self.is_apart(key);
        let mut rules = self.rules.iter().filter(|one| self.speaks_at(one, key, uuid, is_apart)).map(|(rule, _)| rule);
        let decides =
            |rule: &&&Rule| rule.attributes.is_none() && (rule.filter.is_none() || rule.rights.has(Right::Read));
        self.everything || rules.find(decides).is_some_and(|rule| rule.rights.has(Right::Read))
    }

    /// Whether a rule is about the entry of this name, but for the rule's own filter.
    fn speaks_at(&self, (rule, only_self): &(&'a Rule, bool), key: &DnKey, uuid: Uuid, is_apart: bool) -> bool {
        let in_scope = rule.base.as_ref().is_none_or(|base| match rule.scope {
            Scope::Subtree => key.is_within(base),
            Scope::Base => key == base,
            Scope::Children => key.is_below(base),
        });
        in_scope && (rule.reaches_apart || !is_apart) && (!only_self || self.own == Some(uuid))
    }

    fn is_apart(&self, key: &DnKey) -> bool {
        self.apart.iter().any(|tree| key.is_within(tree))
    }

    /// True if this identity may do all things to all entries.
    pub fn everything(&self) -> bool {
        self.everything
    }

    /// What holds at one entry. `subject` serves the rules' own filters and is not itself
    /// subject to access.
    pub fn at(&self, key: &DnKey, uuid: Uuid, subject: &impl Subject, schema: &Schema) -> Place<'a, '_> {
        if self.everything {
            return Place { grants: self, rules: Vec::new() };
        }
        let is_apart = self.is_apart(key);
        let applies = |one: &(&'a Rule, bool)| {
            self.speaks_at(one, key, uuid, is_apart) && one.0.filter.as_ref().is_none_or(|f| f.matches(subject, schema))
        };
        Place { grants: self, rules: self.rules.iter().copied().filter(applies).map(|(r, _)| r).collect() }
    }
}

impl<'a, 'g> Place<'a, 'g> {
    /// What the same identity may do elsewhere.
    pub fn grants(&self) -> &'g Grants<'a> {
        self.grants
    }
}

impl Place<'_, '_> {
    /// True if no rule gives any right here.
    pub fn is_blind(&self) -> bool {
        !self.grants.everything && self.rules.iter().all(|rule| rule.rights == Rights::default())
    }

    /// A right to one attribute, or with `None` to the entry as such.
    pub fn allows(&self, attr: Option<AttrId>, right: Right) -> bool {
        if self.grants.everything {
            return true;
        }
        let speaks = |rule: &&&Rule| match (&rule.attributes, attr) {
            (None, _) => true,
            (Some(list), Some(attr)) => list.contains(&attr),
            (Some(_), None) => false,
        };
        self.rules.iter().find(speaks).is_some_and(|rule| rule.rights.has(right))
    }
}
