//! From what a downstream entry holds to what it should hold: a rename, then modifications. Pure.

use super::content::{Attribute, Content, plain};
use crate::dn::{Dn, Rdn};
use std::collections::BTreeSet;

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub request: Request,
    /// What the entry holds once it is done.
    pub reached: Content,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// RFC 4511 section 4.9.
    Rename {
        rdn: String,
        delete_old: bool,
        /// Only if the superior is another one.
        superior: Option<String>,
    },
    /// RFC 4511 section 4.6: in this order, all or none.
    Modify(Vec<Change>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub kind: Kind,
    pub name: String,
    pub values: BTreeSet<Vec<u8>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Add,
    /// Without values: all of them.
    Delete,
    Replace,
}

/// Lists up to this length are replaced whole: that needs no equality rule at the other side, and
/// does not depend on what the list holds. Longer ones get and lose single values.
const REPLACED: usize = 32;

/// What is to be asked. `chunk` is the most values that one modification names.
pub fn steps(before: &Content, after: &Content, chunk: usize) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut held = before.clone();
    held.active = after.active;
    if let Some(request) = rename(before, after) {
        if let Request::Rename { delete_old, .. } = &request {
            follow_name(&mut held, before, after, *delete_old);
        }
        held.dn.clone_from(&after.dn);
        steps.push(Step { request, reached: held.clone() });
    }
    held.dn.clone_from(&after.dn);
    let mut small = Vec::new();
    let mut large = Vec::new();
    for name in names(&held, after) {
        match (held.get(&name), after.get(&name)) {
            (Some(old), Some(new)) if old.values == new.values => {}
            (Some(old), Some(new)) if old.values.len().max(new.values.len()) > REPLACED => {
                large.push((old.clone(), new.clone()));
            }
            (Some(_), Some(new)) => small.push(change(Kind::Replace, &new.name, new.values.clone())),
            (None, Some(new)) if new.values.len() > chunk => {
                large.push((Attribute { name: new.name.clone(), values: BTreeSet::new() }, new.clone()));
            }
            (None, Some(new)) => small.push(change(Kind::Add, &new.name, new.values.clone())),
            (Some(old), None) => small.push(change(Kind::Delete, &old.name, BTreeSet::new())),
            (None, None) => {}
        }
    }
    // A class may need what a list gives: all small ones and the first part of each list go together.
    let mut portions = portions(large, chunk);
    let first: Vec<Change> = small.into_iter().chain(portions.pop_front().into_iter().flatten()).collect();
    for changes in std::iter::once(first).chain(portions).filter(|changes| !changes.is_empty()) {
        apply(&mut held, &changes);
        steps.push(Step { request: Request::Modify(changes), reached: held.clone() });
    }
    steps
}

/// What an add names at once; the rest of long lists comes by modifications.
pub fn first_portion(wanted: &Content, chunk: usize) -> Content {
    let mut first = wanted.clone();
    for attribute in wanted.attributes().filter(|attribute| attribute.values.len() > chunk) {
        first.set(&attribute.name, attribute.values.iter().take(chunk).cloned().collect());
    }
    first
}

fn change(kind: Kind, name: &str, values: BTreeSet<Vec<u8>>) -> Change {
    Change { kind, name: name.to_owned(), values }
}

fn names(before: &Content, after: &Content) -> Vec<String> {
    let all: BTreeSet<String> = before.attributes().chain(after.attributes()).map(|a| a.name.to_lowercase()).collect();
    // Classes come first, so that a reader sees why the rest changes; a server looks at the end only.
    let (classes, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|name| name == "objectclass");
    classes.into_iter().chain(others).collect()
}

/// Each portion takes away and brings as many values as fit, so that a list that must not be empty
/// never is in between.
fn portions(lists: Vec<(Attribute, Attribute)>, chunk: usize) -> std::collections::VecDeque<Vec<Change>> {
    let mut out = std::collections::VecDeque::<Vec<Change>>::new();
    for (old, new) in lists {
        let gone: Vec<Vec<u8>> = old.values.difference(&new.values).cloned().collect();
        let come: Vec<Vec<u8>> = new.values.difference(&old.values).cloned().collect();
        let chunk = chunk.max(1);
        let (mut gone, mut come) = (gone.chunks(chunk), come.chunks(chunk));
        for place in 0.. {
            let (less, more) = (gone.next(), come.next());
            if less.is_none() && more.is_none() {
                break;
            }
            if out.len() <= place {
                out.push_back(Vec::new());
            }
            let Some(portion) = out.get_mut(place) else { break };
            // Away first: one value may be a spelling of another.
            portion.extend(less.map(|values| change(Kind::Delete, &new.name, values.iter().cloned().collect())));
            portion.extend(more.map(|values| change(Kind::Add, &new.name, values.iter().cloned().collect())));
        }
    }
    out
}

fn apply(held: &mut Content, changes: &[Change]) {
    for change in changes {
        match change.kind {
            Kind::Add => change.values.iter().for_each(|value| held.put(&change.name, value.clone())),
            Kind::Delete if change.values.is_empty() => held.remove(&change.name),
            Kind::Delete => change.values.iter().for_each(|value| held.take(&change.name, value)),
            Kind::Replace => held.set(&change.name, change.values.clone()),
        }
    }
}

fn rename(before: &Content, after: &Content) -> Option<Request> {
    if plain(&before.dn) == plain(&after.dn) {
        return None;
    }
    let (old, new) = (Dn::parse(&before.dn).ok()?, Dn::parse(&after.dn).ok()?);
    let (old_above, new_above) = (old.parent()?.to_string(), new.parent()?.to_string());
    let kept = old.leaf()?.avas().iter().any(|ava| holds(after, &ava.attr, &ava.value));
    Some(Request::Rename {
        rdn: new.leaf()?.text().to_owned(),
        // An RDN that stays the same has nothing to lose.
        delete_old: !kept,
        superior: (plain(&old_above) != plain(&new_above)).then_some(new_above),
    })
}

fn holds(content: &Content, name: &str, value: &[u8]) -> bool {
    content.get(name).is_some_and(|held| held.values.contains(value))
}

/// What a rename does to the values (RFC 4511 section 4.9).
fn follow_name(held: &mut Content, before: &Content, after: &Content, delete_old: bool) {
    let leaf = |dn: &str| Dn::parse(dn).ok().and_then(|dn| dn.leaf().cloned());
    let avas = |rdn: Option<Rdn>| rdn.map(|rdn| rdn.avas().to_vec()).unwrap_or_default();
    let new = avas(leaf(&after.dn));
    if delete_old {
        for ava in avas(leaf(&before.dn)) {
            if !new.contains(&ava) {
                held.take(&ava.attr, &ava.value);
            }
        }
    }
    for ava in new {
        held.put(&ava.attr, ava.value.to_vec());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(dn: &str, attributes: &[(&str, &[&str])]) -> Content {
        let mut content = Content::new(dn.to_owned());
        for (name, values) in attributes {
            values.iter().for_each(|value| content.put(name, *value));
        }
        content
    }

    fn told(steps: &[Step]) -> Vec<String> {
        let values = |values: &BTreeSet<Vec<u8>>| {
            let texts: Vec<_> = values.iter().map(|v| String::from_utf8_lossy(v).into_owned()).collect();
            texts.join("|")
        };
        let change = |c: &Change| format!("{:?} {} {}", c.kind, c.name, values(&c.values)).trim_end().to_owned();
        let step = |step: &Step| match &step.request {
            Request::Rename { rdn, delete_old, superior } => format!("rename {rdn} {delete_old} {superior:?}"),
            Request::Modify(changes) => changes.iter().map(change).collect::<Vec<_>>().join("; "),
        };
        steps.iter().map(step).collect()
    }

    fn check(before: &Content, after: &Content, expected: &[&str]) {
        let steps = steps(before, after, 100);
        assert_eq!(told(&steps), expected);
        if let Some(last) = steps.last() {
            assert_eq!(last.reached, *after);
        }
    }

    #[test]
    fn equal_entries_need_nothing() {
        let a = content("uid=a,dc=x", &[("cn", &["A"])]);
        check(&a, &a, &[]);
        let spelt = content("UID=A,DC=x", &[("CN", &["A"])]);
        assert!(steps(&a, &spelt, 100).is_empty());
    }

    #[test]
    fn attributes_come_change_and_go() {
        let before = content("uid=a,dc=x", &[("cn", &["A"]), ("mail", &["a@x"]), ("uid", &["a"])]);
        let after = content("uid=a,dc=x", &[("cn", &["A", "B"]), ("title", &["T"]), ("uid", &["a"])]);
        check(&before, &after, &["Replace cn A|B; Delete mail; Add title T"]);
    }

    #[test]
    fn a_rename_brings_its_own_values() {
        let before = content("uid=a,ou=p,dc=x", &[("uid", &["a"]), ("cn", &["A"])]);
        let after = content("uid=b,ou=p,dc=x", &[("uid", &["b"]), ("cn", &["A"])]);
        check(&before, &after, &["rename uid=b true None"]);
        let both = content("uid=b,ou=q,dc=x", &[("uid", &["a", "b"]), ("cn", &["B"])]);
        check(&before, &both, &["rename uid=b false Some(\"ou=q,dc=x\")", "Replace cn B"]);
        let moved = content("uid=a,ou=q,dc=x", &[("uid", &["a"]), ("cn", &["A"])]);
        check(&before, &moved, &["rename uid=a false Some(\"ou=q,dc=x\")"]);
    }

    #[test]
    fn long_lists_change_value_by_value_and_in_portions() {
        let many = |range: std::ops::Range<usize>| -> Vec<String> { range.map(|i| format!("m{i:03}")).collect() };
        let group = |members: &[String]| {
            let members: Vec<&str> = members.iter().map(String::as_str).collect();
            content("cn=g,dc=x", &[("cn", &["g"]), ("member", &members)])
        };
        let (before, after) = (group(&many(0..40)), group(&many(1..41)));
        assert_eq!(told(&steps(&before, &after, 100)), ["Delete member m000; Add member m040"]);
        let (before, after) = (group(&many(0..40)), group(&many(100..103)));
        let in_portions = steps(&before, &after, 20);
        assert_eq!(in_portions.len(), 2);
        // groupOfNames must have a member at any time (RFC 4519 section 3.5).
        assert!(in_portions.iter().all(|step| step.reached.get("member").is_some()));
        assert_eq!(in_portions.last().unwrap().reached, after);
        assert_eq!(
            told(&steps(&content("cn=g,dc=x", &[("cn", &["g"])]), &group(&many(0..3)), 2)),
            ["Add member m000|m001", "Add member m002"]
        );
    }
}
