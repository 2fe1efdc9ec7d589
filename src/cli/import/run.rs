//! The course of an import: batches of records that do not depend on each other, each looked up,
//! compared, carried out, counted.

use super::{
    Counts, Input, Item,
    place::{Place, Verdict, bare, is_repeated},
    rehearsal::Rehearsal,
    rejects::{Raw, Rejects},
    resume::Log,
    wish::{Plan, Present, Terms, Upsert, Wish},
};
use crate::{
    entry::ldif::{Record, RecordKind},
    ldap::client::Question,
};
use indicatif::ProgressBar;
use std::{
    collections::{HashSet, VecDeque},
    io::Read,
};

/// Records under way at one time; the writer commits them in groups.
const BATCH: usize = 256;

pub struct Import<'a> {
    terms: Terms<'a>,
    place: Place,
    rejects: Rejects,
    log: &'a mut Log,
    /// In place of writing.
    rehearsal: Option<Rehearsal>,
    /// LDIF records name all attributes of an entry.
    pub whole: bool,
    /// Identities that are as they should be are noted as seen, too.
    pub touch: bool,
    /// Records up to this number may have been carried out before the import was cut off.
    doubtful: u64,
}

/// A record with what is to be done for it.
struct Task {
    raw: Raw,
    steps: VecDeque<Record>,
    kind: Kind,
    tokens: Vec<String>,
    number: u64,
    /// What the entry is called in the end.
    name: Option<String>,
    held: bool,
    wrote: bool,
    refused: Option<String>,
}

/// What a record is counted as once it is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Create,
    Update,
    Delete,
}

impl<'a> Import<'a> {
    pub fn new(
        terms: Terms<'a>,
        place: Place,
        rejects: Rejects,
        log: &'a mut Log,
        rehearsal: Option<Rehearsal>,
    ) -> Self {
        let before = log.progress.records;
        let doubtful = if before > 0 { before + BATCH as u64 } else { 0 };
        Import { terms, place, rejects, log, rehearsal, whole: false, touch: false, doubtful }
    }

    pub async fn all<R: Read>(mut self, mut input: Input<R>, bar: &ProgressBar) -> anyhow::Result<()> {
        for _ in 0..self.log.progress.records {
            input.next()?;
        }
        let mut waiting: VecDeque<Item> = VecDeque::new();
        loop {
            let batch = next_batch(&mut input, &mut waiting)?;
            if batch.is_empty() {
                break;
            }
            let left = self.batch(batch).await?;
            left.into_iter().rev().for_each(|item| waiting.push_front(item));
            let Counts { created, updated, unchanged, .. } = self.log.progress.counts;
            bar.set_message(format!("{created} created, {updated} updated, {unchanged} unchanged"));
        }
        self.rejects.sync()?;
        if let Some(rehearsal) = &mut self.rehearsal {
            rehearsal.close()?;
        }
        self.place.close().await
    }

    /// Gives back the items from the first that speaks of an entry that one before it speaks of.
    async fn batch(&mut self, mut batch: VecDeque<Item>) -> anyhow::Result<VecDeque<Item>> {
        let found = self.look_up(&batch).await?;
        let mut seen = HashSet::new();
        let mut tasks = Vec::with_capacity(batch.len());
        for found in found {
            let is_new = match &found {
                Ok(Some(present)) => seen.insert(present.dn.to_lowercase()),
                _ => true,
            };
            let Some(item) = batch.pop_front_if(|_| is_new) else { break };
            tasks.push(self.task(item, found));
        }
        match self.rehearsal.is_some() {
            true => self.rehearse(&mut tasks).await?,
            false => self.carry_out(&mut tasks).await?,
        }
        for task in tasks {
            self.settle(task)?;
        }
        self.log.progress.rejects = self.rejects.sync()?;
        if self.rehearsal.is_none() {
            self.log.save()?;
        }
        Ok(batch)
    }

    /// The entry that each item speaks of, or why it cannot be told.
    async fn look_up(&mut self, batch: &VecDeque<Item>) -> anyhow::Result<Vec<Result<Option<Present>, String>>> {
        let upserts: Vec<Option<&Upsert>> = batch.iter().map(|item| item.wish.as_ref().ok().and_then(upsert)).collect();
        let mut found: Vec<Result<Option<Present>, String>> = batch.iter().map(|_| Ok(None)).collect();
        let rounds = upserts.iter().flatten().map(|u| u.keys.len().max(1)).max().unwrap_or(0);
        for round in 0..rounds {
            let mut asked = Vec::new();
            let mut questions = Vec::new();
            for (at, upsert) in upserts.iter().enumerate().filter_map(|(at, u)| Some((at, (*u)?))) {
                if !matches!(found.get(at), Some(Ok(None))) {
                    continue;
                }
                if let Some(present) = self.rehearsal.as_ref().and_then(|r| r.imagined(upsert)) {
                    found.get_mut(at).into_iter().for_each(|f| *f = Ok(Some(present.clone())));
                } else if let Some(question) = question(upsert, round) {
                    asked.push(at);
                    questions.push(question);
                }
            }
            let answers = self.place.find(&questions).await?;
            for ((at, question), entries) in asked.into_iter().zip(questions).zip(answers) {
                found.get_mut(at).into_iter().for_each(|f| *f = the_one(&question, entries.clone()));
            }
        }
        Ok(found)
    }

    fn task(&mut self, item: Item, found: Result<Option<Present>, String>) -> Task {
        self.log.progress.records += 1;
        let mut task = Task {
            raw: item.raw,
            steps: VecDeque::new(),
            kind: Kind::Update,
            tokens: Vec::new(),
            number: self.log.progress.records,
            name: None,
            held: false,
            wrote: false,
            refused: None,
        };
        let planned = match (item.wish, found) {
            (Err(reason), _) | (Ok(_), Err(reason)) => Err(reason),
            (Ok(Wish::Change(mut record)), _) => {
                task.tokens = vec![record.dn.to_lowercase()];
                task.name = Some(record.dn.clone());
                if let (RecordKind::Add(attrs), true) = (&mut record.kind, self.terms.hold) {
                    self.terms.hold(&record.dn, attrs);
                }
                Ok(Plan { steps: vec![bare(&record)] })
            }
            (Ok(Wish::Upsert(mut upsert)), Ok(present)) => {
                task.tokens = upsert.tokens();
                if let Some(present) = present.as_ref().filter(|_| self.whole) {
                    upsert.and_nothing_else(present, &self.terms);
                }
                let planned = upsert.plan(present.as_ref(), &self.terms);
                task.name = planned.as_ref().ok().and_then(|plan| name_after(present, plan));
                planned
            }
        };
        match planned {
            Err(reason) => task.refused = Some(reason),
            Ok(plan) => {
                task.kind = match plan.steps.first().map(|step| &step.kind) {
                    Some(RecordKind::Add(_)) => Kind::Create,
                    Some(RecordKind::Delete) => Kind::Delete,
                    _ => Kind::Update,
                };
                task.steps = plan.steps.into();
            }
        }
        task
    }

    async fn rehearse(&mut self, tasks: &mut [Task]) -> anyhow::Result<()> {
        let there = Rehearsal::look_up(&mut self.place, tasks.iter().flat_map(|task| &task.steps)).await?;
        let Some(rehearsal) = &mut self.rehearsal else { return Ok(()) };
        for task in tasks {
            let steps: Vec<Record> = task.steps.drain(..).collect();
            let played = match task.refused.take() {
                Some(reason) => Err(reason),
                None => rehearsal.play(&steps, &task.tokens, &there, &self.terms),
            };
            match played {
                Ok(held) => {
                    rehearsal.write(&steps)?;
                    (task.wrote, task.held) = (!steps.is_empty(), held);
                }
                Err(reason) => {
                    rehearsal.refuse(task.number, &reason)?;
                    task.refused = Some(reason);
                }
            }
        }
        Ok(())
    }

    /// The first step of every record, then the second of those that have one, and so on.
    async fn carry_out(&mut self, tasks: &mut [Task]) -> anyhow::Result<()> {
        loop {
            let mut under_way = Vec::new();
            let mut records = Vec::new();
            for (at, task) in tasks.iter_mut().enumerate().filter(|(_, t)| t.refused.is_none()) {
                if let Some(step) = task.steps.pop_front() {
                    under_way.push(at);
                    records.push(step);
                }
            }
            if records.is_empty() {
                let seen = tasks.iter().filter(|t| t.refused.is_none() && (t.wrote || self.touch));
                return self.place.note_seen(seen.filter_map(|t| t.name.as_deref())).await;
            }
            let verdicts = self.place.carry_out(&records).await?;
            for ((at, record), verdict) in under_way.into_iter().zip(&records).zip(verdicts) {
                let Some(task) = tasks.get_mut(at) else { continue };
                match verdict {
                    Verdict::Written => task.wrote = true,
                    Verdict::Held => (task.wrote, task.held) = (true, true),
                    Verdict::Unchanged => {}
                    Verdict::Refused { reason, cause } => {
                        let before = task.number <= self.doubtful && is_repeated(&record.kind, cause);
                        if !before || !self.stands(record).await? {
                            task.refused = Some(reason);
                        }
                    }
                }
            }
        }
    }

    /// Whether an add that was refused since its entry exists is the one that made it.
    async fn stands(&mut self, record: &Record) -> anyhow::Result<bool> {
        let Some(upsert) = Upsert::of_record(record, &[], &"".into()) else { return Ok(true) };
        let question = Question { base: record.dn.clone(), keys: Vec::new() };
        let found = self.place.find(&[question]).await?.into_iter().flatten().next();
        Ok(found
            .is_some_and(|present| upsert.plan(Some(&present), &self.terms).is_ok_and(|plan| plan.steps.is_empty())))
    }

    fn settle(&mut self, task: Task) -> anyhow::Result<()> {
        let counts = &mut self.log.progress.counts;
        let place = match (&task.refused, task.wrote, task.held, task.kind) {
            (Some(_), ..) => &mut counts.refused,
            (None, false, ..) => &mut counts.unchanged,
            (None, true, true, _) => &mut counts.held,
            (None, true, false, Kind::Create) => &mut counts.created,
            (None, true, false, Kind::Update) => &mut counts.updated,
            (None, true, false, Kind::Delete) => &mut counts.deleted,
        };
        *place += 1;
        match task.refused {
            Some(reason) if self.rehearsal.is_none() => self.rejects.add(&task.raw, &reason),
            _ => Ok(()),
        }
    }
}

/// What the entry is called once the plan is carried out.
fn name_after(present: Option<Present>, plan: &Plan) -> Option<String> {
    let first = plan.steps.first().map(|step| Present { dn: step.dn.clone(), attrs: Vec::new() });
    let mut entry = present.or(first)?;
    plan.steps.iter().for_each(|step| entry.follow(step));
    Some(entry.dn)
}

fn upsert(wish: &Wish) -> Option<&Upsert> {
    match wish {
        Wish::Upsert(upsert) => Some(upsert),
        Wish::Change(_) => None,
    }
}

/// What to look for in one round: the next set of keys, or the name where there are no keys.
fn question(upsert: &Upsert, round: usize) -> Option<Question> {
    if let Some(set) = upsert.keys.get(round) {
        return Some(Question { base: upsert.base.to_string(), keys: set.clone() });
    }
    let by_name = upsert.keys.is_empty() && round == 0;
    upsert.dn.clone().filter(|_| by_name).map(|base| Question { base, keys: Vec::new() })
}

fn the_one(question: &Question, mut entries: Vec<Present>) -> Result<Option<Present>, String> {
    if entries.len() > 1 {
        let attributes: Vec<_> = question.keys.iter().map(|(name, _)| name.as_str()).collect();
        let names: Vec<_> = entries.into_iter().map(|e| e.dn).collect();
        return Err(format!(
            "match ({}): several entries have these values: {}",
            attributes.join(", "),
            names.join("; ")
        ));
    }
    Ok(entries.pop())
}

/// Items that may be under way together: none speaks of an entry that another speaks of, or of one
/// below it; changes that are neither add nor upsert go alone.
fn next_batch<R: Read>(input: &mut Input<R>, waiting: &mut VecDeque<Item>) -> anyhow::Result<VecDeque<Item>> {
    let mut batch: VecDeque<Item> = VecDeque::new();
    let mut tokens: HashSet<String> = HashSet::new();
    let mut names: Vec<String> = Vec::new();
    while batch.len() < BATCH {
        let next = match waiting.pop_front() {
            Some(item) => Some(item),
            None => input.next()?,
        };
        let Some(item) = next else { break };
        let Ok(wish) = &item.wish else {
            batch.push_back(item);
            continue;
        };
        let own = wish.tokens();
        let alone = wish.is_alone();
        let is_below = |base: &String| wish.dn().is_some_and(|dn| is_within(dn, base));
        let depends =
            alone && !names.is_empty() || own.iter().any(|t| tokens.contains(t)) || names.iter().any(is_below);
        if depends {
            waiting.push_front(item);
            break;
        }
        names.extend(wish.dn().map(str::to_owned));
        tokens.extend(own);
        batch.push_back(item);
        if alone {
            break;
        }
    }
    Ok(batch)
}

/// By text alone, which is right for names that one file spells alike; a server refuses the rest.
fn is_within(dn: &str, base: &str) -> bool {
    let cut = dn.len().checked_sub(base.len());
    cut.and_then(|at| dn.get(at..)).is_some_and(|end| end.eq_ignore_ascii_case(base))
}
