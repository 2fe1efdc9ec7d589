//! Runs the rules whose time has come, and those that a task asks for; and tells what would happen
//! until a day, on a copy that nobody sees.

use super::{Directory, EntryId, Error, Node, Op, Options, Snapshot, Terms, Update, career::is_for, carry::Work};
use crate::{
    access::Identity,
    clock::{Clock, Timestamp},
    lifecycle::{Career, Rule},
    limits::PREVIEW_DOCUMENTS,
    sesame,
    store::Group,
};
use serde::Serialize;
use serde_json::Value;
use smol_str::SmolStr;
use std::{collections::HashMap, sync::Arc};
use uuid::Uuid;

/// One move that a rule has made, or would make.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Advanced {
    #[serde(serialize_with = "rfc3339")]
    pub at: Timestamp,
    pub uuid: Uuid,
    pub dn: String,
    pub rule: SmolStr,
    pub from: char,
    pub to: char,
    /// What the rule sets with it.
    pub mutation: bool,
}

fn rfc3339<S: serde::Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&time.rfc3339())
}

impl Directory {
    /// The next time after this one at which a timed rule is due for someone.
    pub fn next_due(&self, after: Timestamp) -> Option<Timestamp> {
        let snapshot = self.read();
        snapshot.due.next(&snapshot.career, after)
    }

    /// Runs every timed rule that is due, in the order of the rules; each sees what those before it
    /// did. Moves that are refused are logged and left out.
    pub async fn run_lifecycle(&self) -> Result<Vec<Advanced>, Error> {
        let career = Arc::clone(&self.read().career);
        let mut moves = Vec::new();
        for (number, rule) in career.timed() {
            let snapshot = self.read();
            // Other files are in force: the next look is theirs.
            if !Arc::ptr_eq(&snapshot.career, &career) {
                break;
            }
            let now = (self.options.clock)();
            let due = due(&snapshot, number, rule, now);
            moves.extend(self.advance(&snapshot, rule, due, now).await?);
        }
        Ok(moves)
    }

    /// Runs the rules of a file that wait for tasks, or those of all files.
    pub async fn run_tasks(&self, source: Option<&str>) -> Result<Vec<Advanced>, Error> {
        let career = Arc::clone(&self.read().career);
        let mut moves = Vec::new();
        for rule in career.tasks(source) {
            let snapshot = self.read();
            let now = (self.options.clock)();
            let due = snapshot.walk().filter(|node| is_for(rule, &node.entry, now, &snapshot));
            let due = due.cloned().collect();
            moves.extend(self.advance(&snapshot, rule, due, now).await?);
        }
        Ok(moves)
    }

    async fn advance(
        &self,
        snapshot: &Snapshot,
        rule: &Arc<Rule>,
        due: Vec<Arc<Node>>,
        now: Timestamp,
    ) -> Result<Vec<Advanced>, Error> {
        let mut moves = Vec::new();
        for batch in due.chunks(self.limits.lifecycle_batch.max(1)) {
            let asked = batch.iter().map(|node| self.submit_update(update(node, rule)));
            for (node, outcome) in batch.iter().zip(futures_util::future::join_all(asked).await) {
                match outcome {
                    Ok(outcome) if outcome.changed => moves.extend(advanced(snapshot, node, rule, now)),
                    Ok(_) => {}
                    Err(Error::Unavailable) => return Err(Error::Unavailable),
                    Err(error) => {
                        tracing::warn!(rule = %rule.name, identity = %node.entry.uuid, %error, "a lifecycle rule was not carried out");
                    }
                }
            }
        }
        Ok(moves)
    }

    /// What the timed rules would do until this time, from the present state, each look in its turn.
    /// What else may happen until then is not known: imports, targets, people. Computes for long, up
    /// to the limits, and ends early once `is_stopped` says so.
    pub fn preview(&self, until: Timestamp, is_stopped: impl Fn() -> bool) -> Result<Vec<Advanced>, Error> {
        let mut snapshot = Snapshot::clone(&self.read());
        let career = Arc::clone(&snapshot.career);
        let mut rehearsal =
            Rehearsal { options: &self.options, moves: Vec::new(), looks: 0, documents: HashMap::new(), is_stopped };
        let mut next = Some((self.options.clock)().max(snapshot.head_time));
        while let Some(now) = next.filter(|now| *now <= until) {
            for (number, rule) in career.timed() {
                let due = rehearsal.due(&snapshot, number, rule, now)?;
                snapshot = rehearsal.carry_out(snapshot, rule, &due, now)?;
            }
            next =
                [snapshot.due.next(&career, now), self.next_day(&snapshot, &career, now)].into_iter().flatten().min();
        }
        Ok(rehearsal.moves)
    }

    /// Midnight, if someone waits for a rule whose answer changes with the day.
    fn next_day(&self, snapshot: &Snapshot, career: &Career, now: Timestamp) -> Option<Timestamp> {
        let waits = |(number, rule): (usize, &Arc<Rule>)| {
            rule.condition.depends_on_time() && snapshot.due.overdue(number, now).next().is_some()
        };
        career.timed().any(waits).then(|| Timestamp((now.0.div_euclid(DAY) + 1).saturating_mul(DAY)))
    }
}

/// A day, as timestamps count it.
const DAY: i64 = 86_400_000_000;

/// Those for whom a timed rule is due and still is for.
fn due(snapshot: &Snapshot, number: usize, rule: &Rule, now: Timestamp) -> Vec<Arc<Node>> {
    let nodes = snapshot.due.overdue(number, now).filter_map(|id| snapshot.node(id));
    // Of the others the index knows already that the condition holds.
    let is_due = |node: &&Arc<Node>| !rule.condition.depends_on_time() || is_for(rule, &node.entry, now, snapshot);
    nodes.filter(is_due).cloned().collect()
}

fn update(node: &Node, rule: &Arc<Rule>) -> Update {
    let op = Op::Advance { uuid: node.entry.uuid, rule: Arc::clone(rule) };
    Update { identity: Identity::Server, op, terms: Terms::default() }
}

fn advanced(snapshot: &Snapshot, node: &Node, rule: &Rule, at: Timestamp) -> Option<Advanced> {
    Some(Advanced {
        at,
        uuid: node.entry.uuid,
        dn: snapshot.dn_text(node),
        rule: rule.name.clone(),
        from: node.entry.operational.axes?.lifecycle,
        to: rule.target,
        mutation: !rule.mutation.is_empty(),
    })
}

/// Moves that are tried on a copy of the state, which nobody else sees.
struct Rehearsal<'o, S> {
    options: &'o Options,
    moves: Vec<Advanced>,
    /// How many times an identity, or the clock, was looked at.
    looks: usize,
    /// Of those who wait for a rule whose answer changes with the day: they are asked for each day,
    /// and are the same for most of them.
    documents: HashMap<EntryId, (Arc<Node>, Arc<Value>)>,
    is_stopped: S,
}

impl<S: Fn() -> bool> Rehearsal<'_, S> {
    /// One more look, if it may still be made.
    fn look(&mut self) -> Result<(), Error> {
        self.looks += 1;
        let limits = &self.options.limits;
        if (self.is_stopped)() {
            return Err(Error::Unavailable);
        }
        if self.moves.len() > limits.preview_moves {
            return Err(Error::Unwilling("more moves than limits.preview_moves; ask for an earlier time"));
        }
        if self.looks > limits.preview_looks {
            return Err(Error::Unwilling("more work than limits.preview_looks; ask for an earlier time"));
        }
        Ok(())
    }

    /// Those for whom a timed rule is due and still is for.
    fn due(
        &mut self,
        snapshot: &Snapshot,
        number: usize,
        rule: &Rule,
        now: Timestamp,
    ) -> Result<Vec<Arc<Node>>, Error> {
        self.look()?;
        if !rule.condition.depends_on_time() {
            return Ok(due(snapshot, number, rule, now));
        }
        let condition = rule.condition.at(now);
        let mut found = Vec::new();
        for node in snapshot.due.overdue(number, now).filter_map(|id| snapshot.node(id)) {
            self.look()?;
            let document = self.document(snapshot, node);
            if rule.takes(&node.entry) && condition.holds(&node.entry, || &document, &snapshot.schema) {
                found.push(Arc::clone(node));
            }
        }
        Ok(found)
    }

    fn document(&mut self, snapshot: &Snapshot, node: &Arc<Node>) -> Arc<Value> {
        if let Some((known, document)) = self.documents.get(&node.id)
            && Arc::ptr_eq(known, node)
        {
            return Arc::clone(document);
        }
        let document = Arc::new(sesame::document(&node.entry, &snapshot.schema));
        if self.documents.len() < PREVIEW_DOCUMENTS || self.documents.contains_key(&node.id) {
            self.documents.insert(node.id, (Arc::clone(node), Arc::clone(&document)));
        }
        document
    }

    /// The state after these moves, made at this time; nothing is kept of it.
    fn carry_out(
        &mut self,
        snapshot: Snapshot,
        rule: &Arc<Rule>,
        due: &[Arc<Node>],
        now: Timestamp,
    ) -> Result<Snapshot, Error> {
        let clock: Clock = Arc::new(move || now);
        let options = Options { clock, ..self.options.clone() };
        let mut work = Work::new(&options, snapshot);
        for node in due {
            self.look()?;
            let done = work.carry_out(vec![update(node, rule)]);
            if done.is_ok_and(|outcomes| outcomes.iter().any(|outcome| outcome.changed)) {
                self.moves.extend(advanced(&work.snapshot, node, rule, now));
            }
            // The records that it made are for no disk.
            work.group = Group::default();
        }
        Ok(work.snapshot)
    }
}
