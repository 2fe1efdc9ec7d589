//! Liquid templates in rules: the part of the language that dates need, and nothing else. What is
//! not known is refused when the rule is read, not when it runs.

use crate::{clock::Timestamp, filter::query::instant};
use jiff::{ToSpan, civil::DateTime, tz::TimeZone};
use serde_json::Value;

/// Whether a document holds any template.
pub(super) fn is_in(document: &Value) -> bool {
    match document {
        Value::String(text) => text.contains("{{") || text.contains("{%"),
        Value::Array(items) => items.iter().any(is_in),
        Value::Object(fields) => fields.values().any(is_in),
        _ => false,
    }
}

/// The document with every template resolved. A text that is one template and gives a number
/// becomes a number.
pub(super) fn resolve(document: &Value, now: Timestamp) -> Result<Value, String> {
    match document {
        Value::String(text) if is_in(document) => text_value(text, now),
        Value::Array(items) => items.iter().map(|item| resolve(item, now)).collect::<Result<_, _>>().map(Value::Array),
        Value::Object(fields) => {
            let field = |(key, value): (&String, &Value)| Ok((key.clone(), resolve(value, now)?));
            fields.iter().map(field).collect::<Result<_, String>>().map(Value::Object)
        }
        other => Ok(other.clone()),
    }
}

fn text_value(text: &str, now: Timestamp) -> Result<Value, String> {
    let whole = text.trim().strip_prefix("{{").and_then(|t| t.strip_suffix("}}")).filter(|t| !t.contains("{{"));
    if let Some(expression) = whole {
        return evaluate(expression, now).map(Term::into_value);
    }
    let mut out = String::new();
    let mut rest = text;
    if text.contains("{%") {
        return Err("has a tag {% %}; only {{ }} is known here".to_owned());
    }
    while let Some((before, after)) = rest.split_once("{{") {
        let (expression, after) = after.split_once("}}").ok_or("has '{{' without '}}'")?;
        out.push_str(before);
        out.push_str(&evaluate(expression, now)?.text());
        rest = after;
    }
    out.push_str(rest);
    Ok(Value::String(out))
}

/// What an expression stands for.
enum Term {
    Time(Timestamp),
    /// A day, by its first moment.
    Day(Timestamp),
    Number(i64),
    Text(String),
}

impl Term {
    fn text(self) -> String {
        match self {
            Term::Time(time) => iso(time),
            Term::Day(time) => format(time, "YYYY-MM-DD").unwrap_or_default(),
            Term::Number(number) => number.to_string(),
            Term::Text(text) => text,
        }
    }

    fn into_value(self) -> Value {
        match self {
            Term::Number(number) => Value::from(number),
            other => Value::String(other.text()),
        }
    }

    fn instant(self) -> Result<Timestamp, String> {
        match self {
            Term::Time(time) | Term::Day(time) => Ok(time),
            Term::Text(text) => instant(&text).ok_or_else(|| format!("'{text}' is not a time")),
            // The numbers that there are count milliseconds.
            Term::Number(ms) => Ok(Timestamp(ms.saturating_mul(1000))),
        }
    }
}

/// `subject | filter: argument | filter`
fn evaluate(expression: &str, now: Timestamp) -> Result<Term, String> {
    let expression = expression.trim().trim_start_matches('-').trim_end_matches('-');
    let mut parts = split(expression, '|').into_iter();
    let mut term = subject(parts.next().unwrap_or_default().trim(), now)?;
    for part in parts {
        let (name, arguments) = part.split_once(':').map_or((part, None), |(n, a)| (n, Some(a.trim())));
        term = match (name.trim(), arguments) {
            ("dateFormat", None) => Term::Text(iso(term.instant()?)),
            ("dateFormat", Some(pattern)) => {
                let pattern = literal(pattern).ok_or("dateFormat expects a pattern in quotes")?;
                Term::Text(format(term.instant()?, pattern)?)
            }
            ("unixMs", None) => Term::Number(term.instant()?.0.div_euclid(1000)),
            ("unixSeconds", None) => Term::Number(term.instant()?.secs()),
            ("unixMs" | "unixSeconds", Some(_)) => return Err(format!("filter '{}' takes no argument", name.trim())),
            (other, _) => return Err(format!("has filter '{other}'; known are dateFormat, unixMs and unixSeconds")),
        };
    }
    Ok(term)
}

fn subject(name: &str, now: Timestamp) -> Result<Term, String> {
    if let Some(text) = literal(name) {
        return Ok(Term::Text(text.to_owned()));
    }
    match name {
        "date.now" | "date.isoNow" => Ok(Term::Time(now)),
        "date.today" => Ok(Term::Day(day(now, 0))),
        "date.yesterday" => Ok(Term::Day(day(now, -1))),
        "date.tomorrow" => Ok(Term::Day(day(now, 1))),
        "date.unix" => Ok(Term::Number(now.0.div_euclid(1000))),
        "date.unixSeconds" => Ok(Term::Number(now.secs())),
        other => Err(format!(
            "has '{other}'; known are date.now, date.isoNow, date.today, date.yesterday, date.tomorrow, date.unix and date.unixSeconds"
        )),
    }
}

/// A text in quotes, without them.
fn literal(text: &str) -> Option<&str> {
    let inner = |quote| text.strip_prefix(quote)?.strip_suffix(quote);
    inner('"').or_else(|| inner('\''))
}

/// Splits where the separator stands outside of quotes.
fn split(text: &str, separator: char) -> Vec<&str> {
    let mut quote = None;
    text.split(|c| {
        match quote {
            Some(open) if c == open => quote = None,
            None if c == '"' || c == '\'' => quote = Some(c),
            _ => {}
        }
        quote.is_none() && c == separator
    })
    .collect()
}

/// The first moment of the day, some days on.
fn day(now: Timestamp, days: i64) -> Timestamp {
    let start = civil(now).start_of_day().saturating_add(days.days());
    start.to_zoned(TimeZone::UTC).map_or(now, |zoned| Timestamp(zoned.timestamp().as_microsecond()))
}

fn civil(time: Timestamp) -> DateTime {
    TimeZone::UTC.to_datetime(jiff::Timestamp::from_microsecond(time.0).unwrap_or_default())
}

/// As JavaScript writes an instant.
fn iso(time: Timestamp) -> String {
    let at = civil(time);
    format!("{}Z", at.strftime("%Y-%m-%dT%H:%M:%S.").to_string() + &format!("{:03}", at.millisecond()))
}

/// By a pattern of Day.js: `YYYY-MM-DD HH:mm:ss`, text in square brackets as it is. All in UTC.
fn format(time: Timestamp, pattern: &str) -> Result<String, String> {
    let at = civil(time);
    let mut out = String::new();
    let mut rest = pattern;
    while let Some(first) = rest.chars().next() {
        if let Some((text, after)) = rest.strip_prefix('[').and_then(|r| r.split_once(']')) {
            out.push_str(text);
            rest = after;
            continue;
        }
        let run = rest.len() - rest.trim_start_matches(first).len();
        let (token, after) = rest.split_at(run);
        match token {
            "YYYY" => out.push_str(&format!("{:04}", at.year())),
            "YY" => out.push_str(&format!("{:02}", at.year().rem_euclid(100))),
            "MM" => out.push_str(&format!("{:02}", at.month())),
            "M" => out.push_str(&at.month().to_string()),
            "DD" => out.push_str(&format!("{:02}", at.day())),
            "D" => out.push_str(&at.day().to_string()),
            "HH" => out.push_str(&format!("{:02}", at.hour())),
            "H" => out.push_str(&at.hour().to_string()),
            "mm" => out.push_str(&format!("{:02}", at.minute())),
            "m" => out.push_str(&at.minute().to_string()),
            "ss" => out.push_str(&format!("{:02}", at.second())),
            "s" => out.push_str(&at.second().to_string()),
            "SSS" => out.push_str(&format!("{:03}", at.millisecond())),
            "Z" => out.push_str("+00:00"),
            "ZZ" => out.push_str("+0000"),
            // Day.js leaves it as it is.
            "T" => out.push('T'),
            letters if first.is_ascii_alphabetic() => {
                return Err(format!(
                    "has '{letters}' in the pattern of dateFormat; known are YYYY YY MM M DD D HH H mm m ss s SSS Z ZZ and [text]"
                ));
            }
            other => out.push_str(other),
        }
        rest = after;
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn now() -> Timestamp {
        Timestamp::parse_generalized_time("20240229153045.123Z").unwrap()
    }

    #[test]
    fn every_date_and_filter() {
        for (text, expected) in [
            ("{{ date.now }}", json!("2024-02-29T15:30:45.123Z")),
            ("{{date.isoNow}}", json!("2024-02-29T15:30:45.123Z")),
            ("{{ date.today }}", json!("2024-02-29")),
            ("{{ date.yesterday }}", json!("2024-02-28")),
            ("{{ date.tomorrow }}", json!("2024-03-01")),
            ("{{ date.unix }}", json!(1_709_220_645_123_i64)),
            ("{{ date.unixSeconds }}", json!(1_709_220_645)),
            ("{{ date.now | unixMs }}", json!(1_709_220_645_123_i64)),
            ("{{ date.tomorrow | unixSeconds }}", json!(1_709_251_200)),
            ("{{ date.now | dateFormat: 'YYYYMMDDHHmmss[Z]' }}", json!("20240229153045Z")),
            ("{{ date.now | dateFormat: \"D/M/YY H:mm\" }}", json!("29/2/24 15:30")),
            ("{{ date.today | dateFormat }}", json!("2024-02-29T00:00:00.000Z")),
            ("{{ '2027-09-01' | dateFormat: 'DD|MM' }}", json!("01|09")),
            ("left {{ date.today }}, no {{ date.unixSeconds }}", json!("left 2024-02-29, no 1709220645")),
            ("plain", json!("plain")),
        ] {
            assert_eq!(resolve(&json!(text), now()), Ok(expected), "{text}");
        }
        let deep = json!({"a": [{"$lt": "{{ date.today }}"}, 1, null]});
        assert!(is_in(&deep));
        assert_eq!(resolve(&deep, now()), Ok(json!({"a": [{"$lt": "2024-02-29"}, 1, null]})));
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for text in [
            "{{ date.week }}",
            "{{ user.name }}",
            "{{ date.now | upcase }}",
            "{{ date.now | dateFormat: YYYY }}",
            "{{ date.now | dateFormat: 'dddd' }}",
            "{{ date.now | unixMs: 1 }}",
            "{{ 'soon' | unixMs }}",
            "{% if true %}x{% endif %}",
            "x {{ date.now",
        ] {
            assert!(resolve(&json!(text), now()).is_err(), "{text}");
        }
    }
}
