//! `vestibule check`.

use super::connect::say;
use crate::config::Settings;

pub fn run(settings: &Settings) -> anyhow::Result<()> {
    let built = settings.build()?;
    let attributes = built.schema.attributes().count();
    let classes = built.schema.classes().count();
    let rules = built.schema.rules();
    for note in &rules.notes {
        say(&format!("note: {note}"))?;
    }
    let rules = rules.classes().len();
    say(&format!(
        "{}: ok; {attributes} attribute types, {classes} object classes, rules for {rules} of them, {} targets ({} enabled)",
        settings.origin.display(),
        built.targets.len(),
        built.targets.iter().filter(|t| t.enabled).count(),
    ))
}
