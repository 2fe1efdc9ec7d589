//! Evaluation of filter documents.

use super::{Clause, Order, Path, Query, Test, Type};
use crate::clock::Timestamp;
use serde_json::Value;
use smol_str::SmolStr;
use std::cmp::Ordering;

pub(super) fn query(query: &Query, document: &Value) -> bool {
    query.0.iter().all(|clause| match clause {
        Clause::And(queries) => queries.iter().all(|q| q.matches(document)),
        Clause::Or(queries) => queries.iter().any(|q| q.matches(document)),
        Clause::Nor(queries) => !queries.iter().any(|q| q.matches(document)),
        Clause::Path(path, tests) => {
            let mut ends = Vec::new();
            follow(document, &path.0, &mut ends);
            tests.iter().all(|test| holds(test, &ends))
        }
    })
}

/// What stands at a dotted path: one value, or several where arrays are on the way. An array at
/// the end is one value.
pub fn values<'d>(document: &'d Value, path: &str) -> Vec<&'d Value> {
    let path = Path(path.split('.').map(SmolStr::new).collect());
    let mut ends = Vec::new();
    follow(document, &path.0, &mut ends);
    ends.into_iter().flatten().collect()
}

/// Every end of the path; `None` where a document on the way lacks the next step.
fn follow<'d>(value: &'d Value, steps: &[SmolStr], ends: &mut Vec<Option<&'d Value>>) {
    let Some((step, rest)) = steps.split_first() else {
        ends.push(Some(value));
        return;
    };
    match value {
        Value::Object(fields) => match fields.get(step.as_str()) {
            Some(value) => follow(value, rest, ends),
            None => ends.push(None),
        },
        Value::Array(items) => {
            // A number is a place in the array, and may be a name in its documents as well.
            if let Some(item) = step.parse::<usize>().ok().and_then(|at| items.get(at)) {
                follow(item, rest, ends);
            }
            items.iter().filter(|item| item.is_object()).for_each(|item| follow(item, steps, ends));
        }
        _ => ends.push(None),
    }
}

fn holds(test: &Test, ends: &[Option<&Value>]) -> bool {
    match test {
        Test::Equal(wanted) => equals(ends, wanted),
        Test::NotEqual(wanted) => !equals(ends, wanted),
        Test::Order(order, limit) => any_item(ends, |v| in_order(v, *order, limit)) || both_null(ends, *order, limit),
        Test::In(wanted) => wanted.iter().any(|w| equals(ends, w)),
        Test::NotIn(wanted) => !wanted.iter().any(|w| equals(ends, w)),
        Test::Exists(wanted) => ends.iter().any(Option::is_some) == *wanted,
        Test::Regex(regex) => any_item(ends, |v| v.as_str().is_some_and(|text| regex.is_match(text))),
        Test::All(wanted) => !wanted.is_empty() && wanted.iter().all(|w| equals(ends, w)),
        Test::Size(size) => any_array(ends, |items| items.len() == *size),
        Test::ItemTests(tests) => {
            any_array(ends, |items| items.iter().any(|item| tests.iter().all(|test| holds(test, &[Some(item)]))))
        }
        Test::Item(wanted) => {
            any_array(ends, |items| items.iter().any(|item| item.is_object() && wanted.matches(item)))
        }
        Test::Type(kind) => any_item(ends, |v| is_of(v, *kind)),
        Test::Not(tests) => !tests.iter().all(|test| holds(test, ends)),
    }
}

/// Null equals what is not there.
fn equals(ends: &[Option<&Value>], wanted: &Value) -> bool {
    (wanted.is_null() && ends.iter().any(Option::is_none)) || any_item(ends, |v| same(v, wanted))
}

/// Each end, and each item of an end that is an array.
fn any_item(ends: &[Option<&Value>], test: impl Fn(&Value) -> bool) -> bool {
    ends.iter().flatten().any(|end| test(end) || end.as_array().is_some_and(|items| items.iter().any(&test)))
}

fn any_array(ends: &[Option<&Value>], test: impl Fn(&[Value]) -> bool) -> bool {
    ends.iter().flatten().any(|end| end.as_array().is_some_and(|items| test(items)))
}

fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        _ => a == b || compare(a, b) == Some(Ordering::Equal),
    }
}

/// The order of two values of one type; others are in none.
fn compare(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => match (a.as_i64(), b.as_i64()) {
            (Some(a), Some(b)) => Some(a.cmp(&b)),
            _ => a.as_f64()?.partial_cmp(&b.as_f64()?),
        },
        (Value::String(a), Value::String(b)) => match (instant(a), instant(b)) {
            (Some(a), Some(b)) => Some(a.cmp(&b)),
            _ => Some(a.cmp(b)),
        },
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        _ => None,
    }
}

fn in_order(value: &Value, order: Order, limit: &Value) -> bool {
    compare(value, limit).is_some_and(|found| match order {
        Order::Greater => found.is_gt(),
        Order::GreaterOrEqual => found.is_ge(),
        Order::Less => found.is_lt(),
        Order::LessOrEqual => found.is_le(),
    })
}

/// Null is neither more nor less than null or than what is not there, but equals it.
fn both_null(ends: &[Option<&Value>], order: Order, limit: &Value) -> bool {
    limit.is_null() && matches!(order, Order::GreaterOrEqual | Order::LessOrEqual) && equals(ends, limit)
}

fn is_of(value: &Value, kind: Type) -> bool {
    match kind {
        Type::String => value.is_string(),
        Type::Number => value.is_number(),
        Type::Bool => value.is_boolean(),
        Type::Object => value.is_object(),
        Type::Array => value.is_array(),
        Type::Null => value.is_null(),
        Type::Date => value.as_str().and_then(instant).is_some(),
    }
}

/// The instant that a text stands for: RFC 3339, a date alone (its first moment in UTC), or
/// generalizedTime (RFC 4517 3.3.13).
pub fn instant(text: &str) -> Option<Timestamp> {
    // A look at the form first: most texts are no times, and each comparison comes this way.
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    match (digits, text.as_bytes().get(4)) {
        (4, Some(b'-')) if text.len() == DATE => {
            let date: jiff::civil::Date = text.parse().ok()?;
            let midnight = date.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
            Some(Timestamp(midnight.timestamp().as_microsecond()))
        }
        (4, Some(b'-')) => text.parse::<jiff::Timestamp>().ok().map(|t| Timestamp(t.as_microsecond())),
        (10 | 12 | 14, _) => Timestamp::parse_generalized_time(text),
        _ => None,
    }
}

/// The length of a date of RFC 3339.
const DATE: usize = "YYYY-MM-DD".len();
