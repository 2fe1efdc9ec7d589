//! Sesame's filter syntax: `filters[<operator><path>]=value`, read into a query on documents and,
//! where an index can help, an LDAP filter that finds no fewer.

use super::super::problem::Problem;
use crate::{
    filter::{Ast, query::Query},
    schema::Schema,
    sesame::{ADDITIONAL, ATTRIBUTES, PERSON},
};
use serde_json::{Map, Value, json};
use smol_str::SmolStr;

/// Which identities are asked for.
pub struct Wanted {
    pub query: Query,
    /// What an LDAP entry of them has at the least.
    pub narrow: Vec<Ast>,
    pub is_empty: bool,
    /// Frozen identities are hidden unless somebody asks for a state.
    pub names_state: bool,
    /// Without need it is not worked out for every identity.
    pub names_fingerprint: bool,
}

/// Operators; a longer one before those that it begins with.
const OPERATORS: [(&str, Operator); 10] = [
    ("!:", Operator::NotEqual),
    ("!#", Operator::NotNumber),
    (">|", Operator::Order("$gte")),
    ("<|", Operator::Order("$lte")),
    (":", Operator::Equal),
    ("#", Operator::Number),
    (">", Operator::Order("$gt")),
    ("<", Operator::Order("$lt")),
    ("^", Operator::Regex),
    ("@", Operator::In),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Number,
    NotNumber,
    Order(&'static str),
    Regex,
    In,
}

pub fn wanted(parameters: &[(String, String)], schema: &Schema) -> Result<Wanted, Problem> {
    let mut clauses: Vec<Value> = Vec::new();
    let mut lists: Map<String, Value> = Map::new();
    let mut narrow = Vec::new();
    let mut names_state = false;
    for (name, value) in parameters {
        let Some(rest) = name.strip_prefix("filters[") else { continue };
        let wrong = |what: &str| Problem::bad_request(format!("{name}: {what}"));
        let Some((key, tail)) = rest.split_once(']') else { return Err(wrong("expected filters[path]")) };
        let (operator, path) = OPERATORS
            .iter()
            .find_map(|(sign, operator)| key.strip_prefix(sign).map(|path| (*operator, path)))
            .unwrap_or((Operator::Equal, key));
        if !path.starts_with(|c: char| c.is_alphabetic() || c == '_') {
            return Err(wrong("expected an operator and a path; the operators are : # !: !# > >| < <| ^ @"));
        }
        if !(tail.is_empty() || operator == Operator::In && tail.starts_with('[')) {
            return Err(wrong("expected filters[path]"));
        }
        names_state |= path == "state";
        let test = match operator {
            Operator::In => {
                let list = lists.entry(path).or_insert_with(|| json!([]));
                list.as_array_mut().into_iter().for_each(|l| l.extend(either(value)));
                continue;
            }
            Operator::Equal => {
                narrow.extend(narrowing(path, value, schema));
                json!({"$in": either(value)})
            }
            Operator::NotEqual => json!({"$nin": either(value)}),
            Operator::Number => json!({"$eq": number(value).ok_or_else(|| wrong("expected a number"))?}),
            Operator::NotNumber => json!({"$ne": number(value).ok_or_else(|| wrong("expected a number"))?}),
            Operator::Order(word) => json!({word: number(value).unwrap_or_else(|| json!(value))}),
            Operator::Regex => regex(value),
        };
        clauses.push(json!({path: test}));
    }
    clauses.extend(lists.into_iter().map(|(path, list)| json!({path: {"$in": list}})));
    let is_empty = clauses.is_empty();
    let document = if is_empty { json!({}) } else { json!({"$and": clauses}) };
    let query = Query::parse(&document).map_err(|fault| Problem::bad_request(format!("filters: {}", fault.reason)))?;
    let names_fingerprint = parameters.iter().any(|(name, _)| name.contains("fingerprint"));
    Ok(Wanted { query, narrow, is_empty, names_state, names_fingerprint })
}

/// A text is written the same whether it means itself or a number or a truth value.
fn either(value: &str) -> Vec<Value> {
    let typed = match value {
        "true" => Some(json!(true)),
        "false" => Some(json!(false)),
        _ => number(value),
    };
    std::iter::once(json!(value)).chain(typed).collect()
}

fn number(value: &str) -> Option<Value> {
    let whole = value.parse::<i64>().ok().map(Value::from);
    whole.or_else(|| value.parse::<f64>().ok().filter(|n| n.is_finite()).map(Value::from))
}

/// `/pattern/flags`, or a pattern alone.
fn regex(value: &str) -> Value {
    let delimited = value.strip_prefix('/').and_then(|rest| rest.rsplit_once('/'));
    match delimited {
        Some((pattern, flags)) if !flags.is_empty() => json!({"$regex": pattern, "$options": flags}),
        Some((pattern, _)) => json!({"$regex": pattern}),
        None => json!({"$regex": value}),
    }
}

/// The equality that the entry satisfies if its document does, of attributes that LDAP can compare.
fn narrowing(path: &str, value: &str, schema: &Schema) -> Option<Ast> {
    let (block, name) = path.rsplit_once('.')?;
    let (class, parent) = block.rsplit_once('.').map_or((block, ""), |(parent, class)| (class, parent));
    let is_block = match parent {
        "" => class == PERSON,
        parent => parent.strip_prefix(ADDITIONAL).and_then(|p| p.strip_prefix('.')) == Some(ATTRIBUTES),
    };
    let attribute = schema.attribute(schema.attr_id(name)?);
    let class = schema.class(schema.class_id(class)?);
    let comparable = attribute.equality.is_some() && attribute.syntax.accepts(value.as_bytes(), schema);
    let declared = class.allows(schema.attr_id(name)?);
    (is_block && declared && comparable).then(|| Ast::Equal(SmolStr::new(name), value.as_bytes().to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Sources;

    #[test]
    fn operators_of_the_filter_syntax() {
        let schema = Schema::compile(&Sources::shipped()).unwrap();
        let document =
            json!({"state": 1, "lifecycle": "O", "inetOrgPerson": {"uid": "cnoir", "employeeNumber": ["12"]}});
        for (name, value, expected) in [
            ("filters[inetOrgPerson.employeeNumber]", "12", Some(true)),
            ("filters[:inetOrgPerson.uid]", "cnoir", Some(true)),
            ("filters[:inetOrgPerson.uid]", "CNOIR", Some(false)),
            ("filters[!:inetOrgPerson.uid]", "cnoir", Some(false)),
            ("filters[#state]", "1", Some(true)),
            ("filters[:state]", "1", Some(true)),
            ("filters[!#state]", "1", Some(false)),
            ("filters[>state]", "0", Some(true)),
            ("filters[>|state]", "1", Some(true)),
            ("filters[<state]", "1", Some(false)),
            ("filters[<|state]", "1", Some(true)),
            ("filters[^inetOrgPerson.uid]", "/^CNO/i", Some(true)),
            ("filters[^inetOrgPerson.uid]", "noir$", Some(true)),
            ("filters[@state][]", "1", Some(true)),
            ("filters[@lifecycle]", "I", Some(false)),
            ("filters[#state]", "x", None),
            ("filters[^inetOrgPerson.uid]", "(", None),
            ("filters[%state]", "1", None),
            ("filters[state", "1", None),
        ] {
            let wanted = wanted(&[(name.to_owned(), value.to_owned())], &schema).ok();
            assert_eq!(wanted.map(|w| w.query.matches(&document)), expected, "{name}={value}");
        }
    }

    #[test]
    fn equalities_that_an_index_can_answer() {
        let schema = Schema::compile(&Sources::shipped()).unwrap();
        for (path, expected) in [
            ("inetOrgPerson.uid", true),
            ("additionalFields.attributes.supannPerson.supannRefId", true),
            ("additionalFields.attributes.supannPerson.undeclared", false),
            ("inetOrgPerson.jpegPhoto", false),
            ("customFields.uid", false),
            ("state", false),
        ] {
            assert_eq!(narrowing(path, "x", &schema).is_some(), expected, "{path}");
        }
    }
}
