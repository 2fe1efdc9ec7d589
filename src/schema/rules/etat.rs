//! supannRessourceEtat and supannRessourceEtatDate: `{RESOURCE}STATE[:SUBSTATE]` and
//! `{RESOURCE}STATE:[SUBSTATE]:[YYYYMMDD]:[YYYYMMDD]`.

use super::tagged::is_tag;
use crate::schema::{Reason, Said};

/// The substates that each state may have.
const SUBSTATES: [(&str, &[&str]); 3] = [
    ("A", &["SupannAnticipe", "SupannActif", "SupannSursis"]),
    ("I", &["SupannPrecree", "SupannCree", "SupannExpire", "SupannInactif", "SupannSupprDonnees", "SupannSupprCompte"]),
    ("S", &["SupannVerrouille", "SupannVerrouAdministratif", "SupannVerrouTechnique"]),
];

pub(super) fn etat(value: &str) -> Result<(), Reason> {
    let rest = resource(value).ok_or(Reason::new(Said::EtatForm))?;
    match rest.split_once(':') {
        None => substates(rest).map(|_| ()),
        Some((state, substate)) => check_substate(state, substate),
    }
}

pub(super) fn etat_date(value: &str) -> Result<(), Reason> {
    let form = || Reason::new(Said::EtatDateForm);
    let rest = resource(value).ok_or_else(form)?;
    let parts: Vec<&str> = rest.split(':').collect();
    let &[state, substate, start, end] = parts.as_slice() else { return Err(form()) };
    match substate {
        "" => substates(state).map(|_| ())?,
        _ => check_substate(state, substate)?,
    }
    let is_day = |text: &str| text.is_empty() || day(text).is_some();
    match (is_day(start), is_day(end)) {
        (true, true) => Ok(()),
        (false, _) => Err(Reason::new(Said::EtatDateStart)),
        (true, false) => Err(Reason::new(Said::EtatDateEnd)),
    }
}

/// What stands behind the resource.
fn resource(value: &str) -> Option<&str> {
    let (tag, rest) = value.strip_prefix('{')?.split_once('}')?;
    is_tag(tag).then_some(rest)
}

fn substates(state: &str) -> Result<&'static [&'static str], Reason> {
    let found = SUBSTATES.iter().find(|(s, _)| *s == state).map(|(_, list)| *list);
    found.ok_or(Reason::new(Said::EtatState))
}

fn check_substate(state: &str, substate: &str) -> Result<(), Reason> {
    let allowed = substates(state)?;
    match allowed.contains(&substate) {
        true => Ok(()),
        false => Err(Reason::new(Said::EtatSubstate).with(state).with(allowed.join(", "))),
    }
}

fn day(text: &str) -> Option<jiff::civil::Date> {
    let has_form = text.len() == "YYYYMMDD".len() && text.bytes().all(|b| b.is_ascii_digit());
    jiff::civil::Date::strptime("%Y%m%d", text).ok().filter(|_| has_form)
}
