//! Which rows of an import failed, as far as its log says so. The form of the log is not documented:
//! what is looked for is what any form must have, the number of a line or the key of a row.

use regex::Regex;
use std::{collections::HashMap, sync::LazyLock};

/// A row as it can be known in a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Texts that no other row has, such as an address.
    pub keys: Vec<String>,
    /// The line of the file that it starts at, the header being line 1.
    pub line: usize,
}

/// What a log says of rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named {
    /// By their place in the list, and why they failed.
    pub rows: HashMap<usize, String>,
    /// How many lines speak of a row; several may speak of one.
    pub lines: usize,
}

pub fn failures(log: &str, rows: &[Known]) -> Named {
    let mut found = Named::default();
    for line in log.lines() {
        let lower = line.to_lowercase();
        let by_key = rows.iter().position(|row| row.keys.iter().any(|key| has_word(&lower, &key.to_lowercase())));
        let by_line = || {
            let number: usize = NUMBER.captures(line)?.get(1)?.as_str().parse().ok()?;
            rows.iter().position(|row| row.line == number)
        };
        if let Some(at) = by_key.or_else(by_line) {
            found.lines += 1;
            found.rows.entry(at).or_insert_with(|| reason(line, rows.get(at)));
        }
    }
    found
}

/// Whether the text has the key, and not merely within a longer one.
fn has_word(text: &str, key: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '@' | '+');
    !key.is_empty()
        && text.match_indices(key).any(|(at, _)| {
            let before = text.get(..at).and_then(|t| t.chars().next_back());
            let after = text.get(at + key.len()..).and_then(|t| t.chars().next());
            !before.is_some_and(is_part) && !after.is_some_and(is_part)
        })
}

/// What the line says, without the number and without the values by which the row is known.
fn reason(line: &str, row: Option<&Known>) -> String {
    let mut text = NUMBER.replace(line, "").into_owned();
    for key in row.into_iter().flat_map(|row| &row.keys) {
        text = text.replace(key.as_str(), "*");
    }
    let text: String = QUOTED.replace_all(&text, "*").chars().filter(|c| !c.is_control()).collect();
    text.trim_matches(|c: char| c.is_whitespace() || matches!(c, ':' | ',' | '-')).chars().take(CHARS).collect()
}

#[expect(clippy::unwrap_used, reason = "the patterns are constants, and the tests compile them")]
static NUMBER: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"(?i)\b(?:line|row)\s*[:#]?\s*(\d+)").unwrap());
#[expect(clippy::unwrap_used, reason = "as above")]
static QUOTED: LazyLock<Regex> = LazyLock::new(|| Regex::new(r#""[^"]*"|'[^']*'"#).unwrap());
const CHARS: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    fn known(line: usize, key: &str) -> Known {
        Known { keys: vec![key.to_owned()], line }
    }

    #[test]
    fn rows_are_found_by_number_and_by_key() {
        let rows = [known(2, "a@x.org"), known(3, "aa@x.org"), known(5, "b@x.org")];
        for (log, expected) in [
            ("Line 3: Organization 'Secret' could not be found", vec![(1, "Organization * could not be found")]),
            ("row #5 - Name is too long", vec![(2, "Name is too long")]),
            ("aa@x.org: Manager not found", vec![(1, "*: Manager not found")]),
            ("failed,A@X.ORG,bad", vec![(0, "failed,A@X.ORG,bad")]),
            ("Line 4: nothing", vec![]),
            ("3 rows failed", vec![]),
        ] {
            let mut found: Vec<_> = failures(log, &rows).rows.into_iter().collect();
            found.sort();
            let expected: Vec<_> = expected.into_iter().map(|(at, text)| (at, text.to_owned())).collect();
            assert_eq!(found, expected, "{log}");
        }
    }
}
