//! The steps of expressions in mapping files: what becomes of text values on their way in (imports)
//! and out (exports). Where the values come from is known to each of those alone.

use crate::clock::Timestamp;
use jiff::{civil::DateTime, fmt::strtime::BrokenDownTime, tz::TimeZone};
use regex::Regex;
use serde::Deserialize;
use std::collections::BTreeMap;

/// A step as a file writes it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Step {
    Trim,
    Lower,
    Upper,
    Split(String),
    /// In the letters of strftime. Without `from`: generalizedTime, or a day as `YYYYMMDD` or
    /// `YYYY-MM-DD`.
    Date {
        #[serde(default)]
        from: Option<String>,
        to: String,
    },
    Lookup {
        table: BTreeMap<String, String>,
        #[serde(default)]
        otherwise: Fallback,
    },
    /// What the first group of the pattern matches.
    Capture(String),
    /// Only the values that match the pattern.
    Keep(String),
    /// Only the values with this tag, without it (SupAnn: `{UAI}0123456A`).
    Tagged(String),
    /// The values without the tag that they have.
    Untag,
    /// One field of composite values (SupAnn: `[role={SUPANN}D30][code=DSI]`).
    Field(String),
    /// A postal address with a line break for each `$` (RFC 4517 section 3.3.28).
    Lines,
    Default(String),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fallback {
    Keep,
    Drop,
    #[default]
    Refuse,
}

/// Steps that can be taken: their patterns are compiled.
#[derive(Clone, Debug, Default)]
pub struct Steps(Vec<Bound>);

#[derive(Clone, Debug)]
enum Bound {
    Trim,
    Lower,
    Upper,
    Split(String),
    Date { from: Option<String>, to: String },
    Lookup { table: BTreeMap<String, String>, otherwise: Fallback },
    Capture(Regex),
    Keep(Regex),
    Tagged(String),
    Untag,
    Field(String),
    Lines,
    Default(String),
}

impl Steps {
    /// `Err` says what is wrong with the definition.
    pub fn bind(steps: &[Step]) -> Result<Self, String> {
        steps.iter().map(bind).collect::<Result<_, _>>().map(Steps)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `Err` says which rule a value breaks, and not the value.
    pub fn apply(&self, values: Vec<String>) -> Result<Vec<String>, String> {
        self.0.iter().try_fold(values, |values, step| step.apply(values))
    }
}

/// The one value of a text, or none.
pub fn filled(text: &str) -> Vec<String> {
    if text.is_empty() { Vec::new() } else { vec![text.to_owned()] }
}

fn bind(step: &Step) -> Result<Bound, String> {
    let pattern = |key: &str, text: &str| Regex::new(text).map_err(|e| format!("{key}: {e}"));
    Ok(match step {
        Step::Trim => Bound::Trim,
        Step::Lower => Bound::Lower,
        Step::Upper => Bound::Upper,
        Step::Split(separator) if separator.is_empty() => return Err("split: the separator is empty".to_owned()),
        Step::Split(separator) => Bound::Split(separator.clone()),
        Step::Date { from, to } => Bound::Date { from: from.clone(), to: to.clone() },
        Step::Lookup { table, otherwise } => Bound::Lookup { table: table.clone(), otherwise: *otherwise },
        Step::Capture(text) => Bound::Capture(pattern("capture", text)?),
        Step::Keep(text) => Bound::Keep(pattern("keep", text)?),
        Step::Tagged(tag) if tag.is_empty() => return Err("tagged: the tag is empty".to_owned()),
        Step::Tagged(tag) => Bound::Tagged(tag.clone()),
        Step::Untag => Bound::Untag,
        Step::Field(name) if name.is_empty() => return Err("field: the name is empty".to_owned()),
        Step::Field(name) => Bound::Field(name.clone()),
        Step::Lines => Bound::Lines,
        Step::Default(text) => Bound::Default(text.clone()),
    })
}

impl Bound {
    fn apply(&self, values: Vec<String>) -> Result<Vec<String>, String> {
        let each = |f: &dyn Fn(&str) -> Result<Vec<String>, String>| {
            values.iter().map(|v| f(v)).collect::<Result<Vec<_>, _>>().map(|lists| lists.concat())
        };
        match self {
            Bound::Trim => each(&|v| Ok(filled(v.trim()))),
            Bound::Lower => each(&|v| Ok(vec![v.to_lowercase()])),
            Bound::Upper => each(&|v| Ok(vec![v.to_uppercase()])),
            Bound::Split(separator) => each(&|v| Ok(v.split(separator).map(str::trim).flat_map(filled).collect())),
            Bound::Date { from, to } => each(&|v| date(v, from.as_deref(), to).map(|text| vec![text])),
            Bound::Lookup { table, otherwise } => each(&|v| match (table.get(v), otherwise) {
                (Some(found), _) => Ok(filled(found)),
                (None, Fallback::Keep) => Ok(vec![v.to_owned()]),
                (None, Fallback::Drop) => Ok(Vec::new()),
                (None, Fallback::Refuse) => Err("lookup: the value is not in the table".to_owned()),
            }),
            Bound::Capture(pattern) => each(&|v| {
                let found = pattern.captures(v).ok_or("capture: the value does not match")?;
                // The first group, or all that matched where there is no group.
                Ok(found.get(1).or(found.get(0)).map(|m| filled(m.as_str())).unwrap_or_default())
            }),
            Bound::Keep(pattern) => Ok(values.into_iter().filter(|v| pattern.is_match(v)).collect()),
            Bound::Tagged(tag) => each(&|v| match tag_of(v) {
                Some((held, rest)) if held.eq_ignore_ascii_case(tag) => Ok(filled(rest)),
                _ => Ok(Vec::new()),
            }),
            Bound::Untag => each(&|v| Ok(filled(tag_of(v).map_or(v, |(_, rest)| rest)))),
            Bound::Field(name) => each(&|v| Ok(field(v, name).map(filled).unwrap_or_default())),
            Bound::Lines => each(&|v| Ok(vec![lines(v)])),
            Bound::Default(text) if values.is_empty() => Ok(vec![text.clone()]),
            Bound::Default(_) => Ok(values),
        }
    }
}

/// The tag in braces that a value begins with, and what follows.
fn tag_of(value: &str) -> Option<(&str, &str)> {
    value.strip_prefix('{')?.split_once('}')
}

fn field<'v>(value: &'v str, name: &str) -> Option<&'v str> {
    let parts = value.split('[').filter_map(|part| part.split_once(']')?.0.split_once('='));
    parts.into_iter().find(|(held, _)| held.eq_ignore_ascii_case(name)).map(|(_, text)| text)
}

/// `\24` and `\5C` stand for the two characters that mean something.
fn lines(value: &str) -> String {
    value.replace('$', "\n").replace("\\24", "$").replace("\\5C", "\\").replace("\\5c", "\\")
}

/// A date without a time is its midnight.
fn date(text: &str, from: Option<&str>, to: &str) -> Result<String, String> {
    let time = match from {
        None => instant(text).ok_or("date: expected generalizedTime, YYYYMMDD or YYYY-MM-DD")?,
        Some(from) => {
            let read = BrokenDownTime::parse(from, text).map_err(|_| format!("date: expected the form {from}"))?;
            read.to_datetime().or_else(|_| midnight(&read)).map_err(|_| format!("date: {from} does not make a day"))?
        }
    };
    BrokenDownTime::from(time).to_string(to).map_err(|_| format!("date: {to} cannot be written"))
}

fn midnight(read: &BrokenDownTime) -> Result<DateTime, jiff::Error> {
    read.to_date().map(|day| day.at(0, 0, 0, 0))
}

fn instant(text: &str) -> Option<DateTime> {
    if let Some(time) = Timestamp::parse_generalized_time(text) {
        let time = jiff::Timestamp::from_microsecond(time.0).ok()?;
        return Some(TimeZone::UTC.to_datetime(time));
    }
    let day = |form: &str| midnight(&BrokenDownTime::parse(form, text).ok()?).ok();
    day("%Y-%m-%d").or_else(|| day("%Y%m%d"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(yaml: &str) -> Result<Steps, String> {
        let read = serde_yaml::with::singleton_map_recursive::deserialize(serde_yaml::Deserializer::from_str(yaml));
        let read: Vec<Step> = read.map_err(|e| e.to_string())?;
        Steps::bind(&read)
    }

    fn check(yaml: &str, values: &[&str], expected: Result<&[&str], &str>) {
        let got = steps(yaml).unwrap().apply(values.iter().map(|v| (*v).to_owned()).collect());
        let expected = expected.map(|v| v.iter().map(|s| (*s).to_owned()).collect()).map_err(str::to_owned);
        assert_eq!(got, expected, "{yaml} on {values:?}");
    }

    #[test]
    fn each_step() {
        check("[trim]", &[" a ", " "], Ok(&["a"]));
        check("[lower]", &["É"], Ok(&["é"]));
        check("[upper]", &["é"], Ok(&["É"]));
        check("[{split: ';'}]", &["a; b", ";"], Ok(&["a", "b"]));
        check("[{keep: '@x\\.example$'}]", &["a@x.example", "a@y.example"], Ok(&["a@x.example"]));
        check("[{capture: '^([a-z]+)-'}]", &["ab-1"], Ok(&["ab"]));
        check("[{capture: '^x'}]", &["ab"], Err("capture: the value does not match"));
        check("[{tagged: UAI}]", &["{UAI}0123456A", "{SIRET}1", "0123456A"], Ok(&["0123456A"]));
        check("[untag]", &["{PERSO}a@x", "b@x"], Ok(&["a@x", "b@x"]));
        check("[{field: code}]", &["[role={SUPANN}D30][code=DSI]", "[role=x]", "DSI"], Ok(&["DSI"]));
        check("[lines]", &["1 rue A$99000 B \\24 \\5C"], Ok(&["1 rue A\n99000 B $ \\"]));
        check("[{default: x}]", &[], Ok(&["x"]));
        check("[{default: x}]", &["a"], Ok(&["a"]));
    }

    #[test]
    fn tables() {
        check("[{lookup: {table: {E: student}}}]", &["E"], Ok(&["student"]));
        check("[{lookup: {table: {E: student}}}]", &["F"], Err("lookup: the value is not in the table"));
        check("[{lookup: {table: {E: student}, otherwise: keep}}]", &["F"], Ok(&["F"]));
        check("[{lookup: {table: {E: student}, otherwise: drop}}]", &["F", "E"], Ok(&["student"]));
    }

    #[test]
    fn dates() {
        let day = "[{date: {to: '%Y-%m-%d'}}]";
        check(day, &["20260831220000Z", "20260831", "2026-08-31"], Ok(&["2026-08-31", "2026-08-31", "2026-08-31"]));
        check(day, &["31/08/2026"], Err("date: expected generalizedTime, YYYYMMDD or YYYY-MM-DD"));
        check("[{date: {from: '%d/%m/%Y', to: '%Y%m%d'}}]", &["31/08/2026"], Ok(&["20260831"]));
        check("[{date: {from: '%d/%m/%Y', to: '%Y%m%d'}}]", &["2026"], Err("date: expected the form %d/%m/%Y"));
        check("[{date: {to: '%Y-%m-%dT%H:%M:%SZ'}}]", &["202608312200Z"], Ok(&["2026-08-31T22:00:00Z"]));
    }

    #[test]
    fn what_is_no_step() {
        for (yaml, reason) in [
            ("[{capture: '('}]", "capture:"),
            ("[{keep: '['}]", "keep:"),
            ("[{split: ''}]", "split:"),
            ("[{tagged: ''}]", "tagged:"),
            ("[{field: ''}]", "field:"),
            ("[wash]", "unknown variant"),
            ("[{date: {from: x}}]", "missing field `to`"),
        ] {
            let error = steps(yaml).err().unwrap();
            assert!(error.contains(reason), "{yaml}: {error}");
        }
    }
}
