//! Reading of filter documents.

use super::{Clause, Fault, Order, Path, Query, Test, Type};
use crate::limits;
use regex::RegexBuilder;
use serde_json::{Map, Value};
use smol_str::SmolStr;

pub(super) fn query(document: &Value, at: &str, depth: usize) -> Result<Query, Fault> {
    if depth > limits::QUERY_DEPTH {
        return Err(fault(at, "nested too deeply"));
    }
    let Value::Object(fields) = document else {
        return Err(fault(at, "expected a document such as {employeeType: student}"));
    };
    let clause = |(key, value): (&String, &Value)| {
        let at = below(at, key);
        match key.as_str() {
            "$and" => Ok(Clause::And(list(value, &at, depth)?)),
            "$or" => Ok(Clause::Or(list(value, &at, depth)?)),
            "$nor" => Ok(Clause::Nor(list(value, &at, depth)?)),
            operator if operator.starts_with('$') => {
                Err(fault(&at, "is no operator that is known here; expected $and, $or, $nor or a path"))
            }
            path => Ok(Clause::Path(steps(path, &at)?, tests(value, &at, depth + 1)?)),
        }
    };
    fields.iter().map(clause).collect::<Result<_, _>>().map(Query)
}

/// The queries of a logical operator.
fn list(value: &Value, at: &str, depth: usize) -> Result<Vec<Query>, Fault> {
    match value {
        Value::Array(items) if !items.is_empty() => items
            .iter()
            .enumerate()
            .map(|(number, item)| query(item, &below(at, &number.to_string()), depth + 1))
            .collect(),
        _ => Err(fault(at, "expected a list of at least one document")),
    }
}

fn steps(path: &str, at: &str) -> Result<Path, Fault> {
    let steps: Vec<SmolStr> = path.split('.').map(SmolStr::new).collect();
    if steps.iter().any(SmolStr::is_empty) {
        return Err(fault(at, "expected a path such as inetOrgPerson.uid"));
    }
    Ok(Path(steps))
}

/// What a path is tested for: a document of operators, or else a value that it must equal.
fn tests(value: &Value, at: &str, depth: usize) -> Result<Vec<Test>, Fault> {
    match operators(value, at)? {
        Some(fields) => operator_tests(fields, at, depth),
        None => Ok(vec![Test::Equal(plain(value))]),
    }
}

/// The document, if it is one of operators. Names and operators do not mix.
fn operators<'v>(value: &'v Value, at: &str) -> Result<Option<&'v Map<String, Value>>, Fault> {
    let Value::Object(fields) = value else { return Ok(None) };
    let count = fields.keys().filter(|k| k.starts_with('$')).count();
    if count == 0 || is_extended(fields) {
        return Ok(None);
    }
    if count < fields.len() {
        return Err(fault(at, "holds both operators and names"));
    }
    Ok(Some(fields))
}

fn operator_tests(fields: &Map<String, Value>, at: &str, depth: usize) -> Result<Vec<Test>, Fault> {
    if depth > limits::QUERY_DEPTH {
        return Err(fault(at, "nested too deeply"));
    }
    let mut tests = Vec::with_capacity(fields.len());
    for (operator, value) in fields {
        let at = below(at, operator);
        let order = |order| Ok(Test::Order(order, plain(value)));
        let test = match operator.as_str() {
            "$eq" => Ok(Test::Equal(plain(value))),
            "$ne" => Ok(Test::NotEqual(plain(value))),
            "$gt" => order(Order::Greater),
            "$gte" => order(Order::GreaterOrEqual),
            "$lt" => order(Order::Less),
            "$lte" => order(Order::LessOrEqual),
            "$in" => values(value, &at).map(Test::In),
            "$nin" => values(value, &at).map(Test::NotIn),
            "$all" => values(value, &at).map(Test::All),
            "$exists" => truth(value, &at).map(Test::Exists),
            "$size" => size(value, &at).map(Test::Size),
            "$type" => kind(value, &at).map(Test::Type),
            "$regex" => regex(value, fields.get("$options"), &at),
            "$options" if fields.contains_key("$regex") => continue,
            "$elemMatch" => item(value, &at, depth),
            "$not" => match operators(value, &at)? {
                Some(fields) => operator_tests(fields, &at, depth + 1).map(Test::Not),
                None => Err(fault(&at, "expected a document of operators such as {$gt: 5}")),
            },
            _ => Err(fault(&at, "is no operator that is known here")),
        };
        tests.push(test?);
    }
    Ok(tests)
}

fn item(value: &Value, at: &str, depth: usize) -> Result<Test, Fault> {
    let logical = |fields: &Map<String, Value>| fields.keys().any(|k| matches!(k.as_str(), "$and" | "$or" | "$nor"));
    match value {
        Value::Object(fields) if logical(fields) => query(value, at, depth + 1).map(Test::Item),
        _ => match operators(value, at)? {
            Some(fields) => operator_tests(fields, at, depth + 1).map(Test::ItemTests),
            None => query(value, at, depth + 1).map(Test::Item),
        },
    }
}

fn values(value: &Value, at: &str) -> Result<Vec<Value>, Fault> {
    match value {
        Value::Array(items) => Ok(items.iter().map(plain).collect()),
        _ => Err(fault(at, "expected a list")),
    }
}

fn truth(value: &Value, at: &str) -> Result<bool, Fault> {
    match value {
        Value::Bool(truth) => Ok(*truth),
        Value::Number(number) => Ok(number.as_f64() != Some(0.0)),
        _ => Err(fault(at, "expected true or false")),
    }
}

fn size(value: &Value, at: &str) -> Result<usize, Fault> {
    let size = value.as_u64().and_then(|n| usize::try_from(n).ok());
    size.ok_or_else(|| fault(at, "expected a number of items, 0 or more"))
}

fn kind(value: &Value, at: &str) -> Result<Type, Fault> {
    match value.as_str() {
        Some("string") => Ok(Type::String),
        Some("number" | "int" | "long" | "double" | "decimal") => Ok(Type::Number),
        Some("bool") => Ok(Type::Bool),
        Some("object") => Ok(Type::Object),
        Some("array") => Ok(Type::Array),
        Some("null") => Ok(Type::Null),
        Some("date") => Ok(Type::Date),
        _ => Err(fault(at, "expected string, number, bool, object, array, null or date")),
    }
}

fn regex(value: &Value, options: Option<&Value>, at: &str) -> Result<Test, Fault> {
    let Value::String(pattern) = value else { return Err(fault(at, "expected a regular expression as text")) };
    let mut builder = RegexBuilder::new(pattern);
    builder.size_limit(limits::QUERY_REGEX_BYTES);
    let options = match options {
        None => "",
        Some(Value::String(options)) => options,
        Some(_) => return Err(fault(at, "expected $options as text, some of i, m, s and x")),
    };
    for option in options.chars() {
        match option {
            'i' => builder.case_insensitive(true),
            'm' => builder.multi_line(true),
            's' => builder.dot_matches_new_line(true),
            'x' => builder.ignore_whitespace(true),
            _ => return Err(fault(at, "expected of $options some of i, m, s and x")),
        };
    }
    match builder.build() {
        Ok(regex) => Ok(Test::Regex(regex)),
        Err(regex::Error::CompiledTooBig(_)) => Err(fault(at, "the regular expression is too large")),
        // Its last line says what is wrong; those before show where.
        Err(error) => Err(fault(at, error.to_string().lines().last().unwrap_or("is no regular expression").trim())),
    }
}

/// A value as it is compared: the wrappers that MongoDB's JSON has for times and ids are taken off.
fn plain(value: &Value) -> Value {
    match value {
        Value::Object(fields) if is_extended(fields) => fields.values().next().cloned().unwrap_or_default(),
        other => other.clone(),
    }
}

fn is_extended(fields: &Map<String, Value>) -> bool {
    fields.len() == 1 && fields.iter().all(|(k, v)| matches!(k.as_str(), "$date" | "$oid") && v.is_string())
}

fn below(at: &str, key: &str) -> String {
    if at.is_empty() { key.to_owned() } else { format!("{at}.{key}") }
}

fn fault(at: &str, reason: &str) -> Fault {
    let path = if at.is_empty() { "the filter" } else { at };
    Fault { path: path.to_owned(), reason: reason.to_owned() }
}
