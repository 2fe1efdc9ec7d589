//! A dry run: what each record would lead to, held against what is there and what the records
//! before it would have left. Nothing is asked for, so that what only the writer knows (unique
//! values, references, rights) stays unknown.

use super::{
    place::Place,
    wish::{Present, Terms, Upsert},
};
use crate::{
    dn::Dn,
    entry::ldif::{Record, RecordKind},
    ldap::client::Question,
};
use anyhow::Context;
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    io::Write,
};

pub struct Rehearsal {
    /// Where the changes are written.
    diff: Box<dyn Write>,
    /// Entries as the records so far would have left them, by what records tell them by.
    imagined: HashMap<String, Present>,
    /// The same by name; none where the name would be free.
    left: HashMap<String, Option<Present>>,
    /// Names of entries that the file itself would make, which may be held.
    made: HashSet<String>,
}

/// Entries of the directory by name.
pub type There = HashMap<String, Present>;

impl Rehearsal {
    pub fn new(diff: Box<dyn Write>) -> Self {
        Rehearsal { diff, imagined: HashMap::new(), left: HashMap::new(), made: HashSet::new() }
    }

    pub fn imagined(&self, upsert: &Upsert) -> Option<&Present> {
        let found = upsert.tokens().iter().find_map(|token| self.imagined.get(token));
        found.filter(|present| self.left.get(&key(&present.dn)).is_none_or(Option::is_some))
    }

    /// The entries that these steps speak of, and the superiors of those that they would make.
    pub async fn look_up<'a>(place: &mut Place, steps: impl Iterator<Item = &'a Record>) -> anyhow::Result<There> {
        let mut names = BTreeMap::new();
        for step in steps {
            names.insert(key(&step.dn), step.dn.clone());
            if let (RecordKind::Add(_), Some(superior)) = (&step.kind, superior(&step.dn)) {
                names.insert(key(&superior), superior);
            }
        }
        let ask = |base: &String| Question { base: base.clone(), keys: Vec::new() };
        let found = place.find(&names.values().map(ask).collect::<Vec<_>>()).await?;
        Ok(names.into_keys().zip(found).filter_map(|(key, found)| Some((key, found.into_iter().next()?))).collect())
    }

    /// What would become of a record: `true` if its entry would be kept though it lacks something.
    pub fn play(
        &mut self,
        steps: &[Record],
        tokens: &[String],
        there: &There,
        terms: &Terms<'_>,
    ) -> Result<bool, String> {
        let (Some(first), Some(last)) = (steps.first(), steps.last()) else { return Ok(false) };
        let before = self.known(&first.dn, there);
        let is_new = matches!(first.kind, RecordKind::Add(_));
        if is_new {
            if before.is_some() {
                return Err("result 68: there is an entry of this name".to_owned());
            }
            let rooted = |superior: &String| self.known(superior, there).is_some();
            if key(&first.dn) != key(terms.suffix) && !superior(&first.dn).is_some_and(|s| rooted(&s)) {
                return Err("result 32: there is no superior entry".to_owned());
            }
        }
        let mut after = match before {
            Some(present) => present,
            None if is_new => Present { dn: first.dn.clone(), attrs: Vec::new() },
            None => return Err("result 32: there is no entry of this name".to_owned()),
        };
        steps.iter().for_each(|step| after.follow(step));
        let name = key(&first.dn);
        if matches!(last.kind, RecordKind::Delete) {
            self.left.insert(name, None);
            return Ok(false);
        }
        let held = terms.check(&after, is_new || self.made.contains(&name))?;
        let now = key(&after.dn);
        if is_new {
            self.made.insert(now.clone());
        }
        self.imagined.extend(tokens.iter().map(|token| (token.clone(), after.clone())));
        self.left.insert(name, None);
        self.left.insert(now, Some(after));
        Ok(held)
    }

    fn known(&self, dn: &str, there: &There) -> Option<Present> {
        let name = key(dn);
        self.left.get(&name).cloned().unwrap_or_else(|| there.get(&name).cloned())
    }

    pub fn write(&mut self, steps: &[Record]) -> anyhow::Result<()> {
        steps.iter().try_for_each(|step| self.diff.write_all(step.to_change().as_bytes()).context("the diff"))
    }

    /// As a comment, which whoever imports the differences reads past.
    pub fn refuse(&mut self, number: u64, reason: &str) -> anyhow::Result<()> {
        let reason = reason.replace('\n', " ");
        writeln!(self.diff, "# record {number} would be refused: {reason}\n").context("the diff")
    }

    pub fn close(&mut self) -> anyhow::Result<()> {
        self.diff.flush().context("the diff")
    }
}

fn superior(dn: &str) -> Option<String> {
    Dn::parse(dn).ok()?.parent().map(|parent| parent.to_string())
}

/// A name in a form to be compared as text.
fn key(dn: &str) -> String {
    Dn::parse(dn).map_or_else(|_| dn.to_owned(), |dn| dn.to_string()).to_lowercase()
}
