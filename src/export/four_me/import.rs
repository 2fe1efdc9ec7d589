//! One table through the import: upload, note, wait, and whose rows failed.

use super::{
    FourMe, UnderWay,
    api::{Phase, State, Table},
    log::{self, Known},
    table::{self, Person},
};
use crate::export::target::Fault;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use tokio::time::Instant;

/// What must be found again after a crash.
#[derive(Serialize, Deserialize)]
struct Note {
    token: String,
}

/// Rows that go or fail together, and by what a log may know them.
pub(super) struct Unit<'a> {
    rows: Vec<&'a HashMap<String, String>>,
    keys: Vec<String>,
}

impl<'a> Unit<'a> {
    pub(super) fn person(cells: &'a HashMap<String, String>) -> Self {
        let keys = ["Primary Email", "Source ID"].iter().filter_map(|column| cells.get(*column).cloned());
        Unit { rows: vec![cells], keys: keys.collect() }
    }

    pub(super) fn contacts(person: &'a Person) -> Self {
        let keys = person.cells.get("Primary Email").cloned().into_iter().collect();
        Unit { rows: person.contacts.iter().collect(), keys }
    }
}

/// Places in the list of units, and why they failed.
type Failures = HashMap<usize, String>;

enum Ended {
    /// Whether all failures are accounted for.
    Done { failures: Failures, complete: bool },
    /// Nothing can be learnt of it any more.
    Forgotten,
}

impl FourMe {
    /// Imports all units. Where the target does not say whose rows failed, the rest is imported again
    /// in halves until it is plain: rows that were taken are taken as unchanged.
    pub(super) async fn import(
        &self,
        under_way: &mut UnderWay,
        table: Table,
        columns: &[String],
        units: &[Unit<'_>],
    ) -> Result<Failures, Fault> {
        let mut failures = Failures::new();
        let mut open: Vec<Vec<usize>> = vec![(0..units.len()).collect()];
        while let Some(places) = open.pop().filter(|places| !places.is_empty()) {
            let part: Vec<&Unit<'_>> = places.iter().filter_map(|at| units.get(*at)).collect();
            let mut ended = self.import_once(under_way, table, columns, &part).await?;
            if matches!(ended, Ended::Forgotten) {
                ended = self.import_once(under_way, table, columns, &part).await?;
            }
            let Ended::Done { failures: found, complete } = ended else {
                return Err(Fault::Failed("the target forgets its imports before they are asked after".to_owned()));
            };
            let (bad, mut rest): (Vec<usize>, Vec<usize>) = (0..places.len()).partition(|at| found.contains_key(at));
            let at_home = |at: &usize| places.get(*at).copied();
            for at in bad {
                failures.extend(at_home(&at).zip(found.get(&at).cloned()));
            }
            if !complete && !rest.is_empty() {
                let second = rest.split_off(rest.len() / 2);
                open.push(second.iter().filter_map(at_home).collect());
                open.push(rest.iter().filter_map(at_home).collect());
                open.retain(|places| !places.is_empty());
            }
        }
        Ok(failures)
    }

    async fn import_once(
        &self,
        under_way: &mut UnderWay,
        table: Table,
        columns: &[String],
        units: &[&Unit<'_>],
    ) -> Result<Ended, Fault> {
        let rows: Vec<&HashMap<String, String>> = units.iter().flat_map(|unit| unit.rows.iter().copied()).collect();
        let file = table::write(columns, &rows).map_err(|e| Fault::Refused(format!("no table: {e}")))?;
        let token = self.api.upload(table, &file, columns).await?;
        let note = serde_json::to_vec(&Note { token: token.clone() }).map_err(|e| Fault::Refused(e.to_string()))?;
        self.notes.save(Some(note)).await?;
        under_way.unsettled = true;
        let Some(state) = self.await_end(&token).await? else { return Ok(Ended::Forgotten) };
        under_way.unsettled = false;
        let failed = state.results.failures + state.results.errors;
        if state.state == Phase::Done && failed == 0 {
            return Ok(Ended::Done { failures: Failures::new(), complete: true });
        }
        self.account_for(&state, failed, units).await
    }

    /// Whose the failures are, by the log.
    async fn account_for(&self, state: &State, failed: usize, units: &[&Unit<'_>]) -> Result<Ended, Fault> {
        let message = state.message.clone().unwrap_or_else(|| "a row was not taken".to_owned());
        let rows = known(units);
        let found = log::failures(&self.read_log(state).await, &rows);
        if units.len() == 1 {
            let why = found.rows.into_values().next().unwrap_or(message);
            return Ok(Ended::Done { failures: Failures::from([(0, why)]), complete: true });
        }
        let complete = state.state == Phase::Done && found.lines >= failed;
        let owners: Vec<usize> =
            units.iter().enumerate().flat_map(|(at, unit)| std::iter::repeat_n(at, unit.rows.len())).collect();
        let failures = found.rows.into_iter().filter_map(|(row, why)| Some((*owners.get(row)?, why))).collect();
        Ok(Ended::Done { failures, complete })
    }

    async fn read_log(&self, state: &State) -> String {
        let Some(address) = &state.logfile else { return String::new() };
        match self.api.log(address).await {
            Ok(log) => log,
            Err(fault) => {
                tracing::warn!(%fault, "the log of an import cannot be read");
                String::new()
            }
        }
    }

    /// Waits until the import has ended; `None` if the target has forgotten it.
    async fn await_end(&self, token: &str) -> Result<Option<State>, Fault> {
        let until = Instant::now() + self.options.patience;
        let mut silent = 0;
        loop {
            match self.api.state(token).await {
                Ok(Some(state)) if matches!(state.state, Phase::Done | Phase::Error) => return Ok(Some(state)),
                Ok(None) => return Ok(None),
                Ok(Some(_)) => silent = 0,
                // Being asked too often, or a moment of silence, says nothing of the import.
                Err(Fault::Busy { status: 429, retry_after }) => {
                    tokio::time::sleep(retry_after.unwrap_or_default()).await;
                }
                Err(fault @ (Fault::Busy { .. } | Fault::Unreachable(_))) => {
                    silent += 1;
                    if silent > MOST_SILENT {
                        return Err(fault);
                    }
                }
                Err(fault) => return Err(fault),
            }
            if Instant::now() >= until {
                return Err(Fault::Failed("the import is not through yet".to_owned()));
            }
            tokio::time::sleep(self.options.poll).await;
        }
    }

    /// Lets the noted import come to its end before another begins. What it did is not asked: its
    /// people come again, and their rows change nothing that is so already.
    pub(super) async fn settle(&self, under_way: &mut UnderWay) -> Result<(), Fault> {
        let note: Option<Note> = self.notes.load().and_then(|text| serde_json::from_slice(&text).ok());
        if let Some(note) = note.filter(|_| under_way.unsettled) {
            tracing::info!(token = note.token, "an import that was left is waited for");
            self.await_end(&note.token).await?;
        }
        under_way.unsettled = false;
        Ok(())
    }
}

/// Each row and the line of the file that it starts at. From the first cell with a line break on, a
/// number may count lines or records, and none is trusted.
fn known(units: &[&Unit<'_>]) -> Vec<Known> {
    let (mut line, mut plain) = (1usize, true);
    let mut rows = Vec::new();
    for unit in units {
        for row in &unit.rows {
            line += 1;
            rows.push(Known { keys: unit.keys.clone(), line: if plain { line } else { 0 } });
            plain &= !row.values().any(|cell| cell.contains('\n'));
        }
    }
    rows
}

/// Questions in a row that may go unanswered.
const MOST_SILENT: usize = 2;
