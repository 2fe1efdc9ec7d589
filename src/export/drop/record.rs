//! What a file says of one object, in each of the forms.

use super::{Form, ldif};
use crate::export::target::{Document, Resource};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use uuid::Uuid;

/// One object of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    pub object: Uuid,
    pub resource: Resource,
    /// The version of the entry, which grows with each change; 0 if it is gone.
    pub as_of: u64,
    /// What was said of it last, as far as that is known.
    pub before: Option<Document>,
    /// `None`: it is to be removed.
    pub after: Option<Document>,
}

impl Record {
    /// By what the consumer knows the object.
    pub fn id(&self, form: Form) -> String {
        let dn = |document: &Option<Document>| document.as_ref().and_then(ldif::dn).map(str::to_owned);
        match form {
            Form::Ldif => dn(&self.after).or_else(|| dn(&self.before)).unwrap_or_default(),
            Form::Jsonl | Form::Csv => self.object.to_string(),
        }
    }

    fn operation(&self) -> &'static str {
        if self.after.is_some() { "put" } else { "delete" }
    }

    /// A line of JSON.
    pub fn jsonl(&self, sequence: u64) -> String {
        let mut line = json!({
            "sequence": sequence,
            "operation": self.operation(),
            "resource": self.resource.name(),
            "id": self.object,
            "version": self.as_of,
            "document": self.after,
        })
        .to_string();
        line.push('\n');
        line
    }
}

/// Rows of a table by the id of their objects.
pub type Rows = BTreeMap<String, BTreeMap<String, String>>;

/// A table of changes: operation and id, then the columns of the map.
pub fn changes(records: &[&Record], columns: &[String], separator: &str) -> Result<Vec<u8>, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(["operation", ID].into_iter().chain(columns.iter().map(String::as_str)))?;
    for record in records {
        let id = record.object.to_string();
        let cells =
            columns.iter().map(|column| record.after.as_ref().map_or(String::new(), |d| cell(d, column, separator)));
        writer.write_record([record.operation().to_owned(), id].into_iter().chain(cells))?;
    }
    writer.into_inner().map_err(|e| csv::Error::from(e.into_error()))
}

/// Brings the rows of a whole table up to date.
pub fn apply(rows: &mut Rows, records: &[&Record], columns: &[String], separator: &str) {
    for record in records {
        let id = record.object.to_string();
        match &record.after {
            None => drop(rows.remove(&id)),
            Some(document) => {
                let cells = columns.iter().map(|column| (column.clone(), cell(document, column, separator)));
                rows.insert(id, cells.collect());
            }
        }
    }
}

/// A whole table: the id, then the columns of the map.
pub fn whole(rows: &Rows, columns: &[String]) -> Result<Vec<u8>, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record([ID].into_iter().chain(columns.iter().map(String::as_str)))?;
    for (id, row) in rows {
        let cells = columns.iter().map(|column| row.get(column).map_or("", String::as_str));
        writer.write_record([id.as_str()].into_iter().chain(cells))?;
    }
    writer.into_inner().map_err(|e| csv::Error::from(e.into_error()))
}

/// Reads what [`whole`] wrote, perhaps with other columns.
pub fn read_whole(text: &[u8]) -> Result<Rows, csv::Error> {
    let mut reader = csv::Reader::from_reader(text);
    let header = reader.headers()?.clone();
    let mut rows = Rows::new();
    for record in reader.records() {
        let record = record?;
        let mut row: BTreeMap<String, String> =
            header.iter().zip(record.iter()).map(|(column, cell)| (column.to_owned(), cell.to_owned())).collect();
        if let Some(id) = row.remove(ID) {
            rows.insert(id, row);
        }
    }
    Ok(rows)
}

fn cell(document: &Document, column: &str, separator: &str) -> String {
    fn text(value: &Value, separator: &str) -> String {
        match value {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            Value::Array(list) => list.iter().map(|v| text(v, separator)).collect::<Vec<_>>().join(separator),
            other => other.to_string(),
        }
    }
    document.get(column).map(|value| text(value, separator)).unwrap_or_default()
}

const ID: &str = "id";

#[cfg(test)]
mod tests {
    use super::*;

    fn record(object: u128, after: Value) -> Record {
        Record {
            object: Uuid::from_u128(object),
            resource: Resource::User,
            as_of: 3,
            before: None,
            after: serde_json::from_value(after).unwrap(),
        }
    }

    #[test]
    fn tables_of_changes_and_whole_ones() {
        let (put, gone) = (record(1, json!({"mail": ["a", "b"], "active": true})), record(2, Value::Null));
        let columns = ["mail".to_owned(), "active".to_owned()];
        let id = |n: u128| Uuid::from_u128(n).to_string();
        let text = String::from_utf8(changes(&[&put, &gone], &columns, "|").unwrap()).unwrap();
        assert_eq!(text, format!("operation,id,mail,active\nput,{},a|b,true\ndelete,{},,\n", id(1), id(2)));
        let mut rows = Rows::from([(id(2), BTreeMap::new())]);
        apply(&mut rows, &[&put, &gone], &columns, "|");
        let text = whole(&rows, &columns).unwrap();
        assert_eq!(String::from_utf8(text.clone()).unwrap(), format!("id,mail,active\n{},a|b,true\n", id(1)));
        assert_eq!(read_whole(&text).unwrap(), rows);
    }

    #[test]
    fn a_line_says_what_to_do_and_in_which_order() {
        let line = record(1, json!({"mail": "a"})).jsonl(7);
        let read: Value = serde_json::from_str(&line).unwrap();
        assert_eq!((read["operation"].clone(), read["sequence"].clone()), (json!("put"), json!(7)));
        assert_eq!((read["version"].clone(), read["document"]["mail"].clone()), (json!(3), json!("a")));
    }
}
