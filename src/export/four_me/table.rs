//! The two tables that 4me imports: people, and the contact details of people. Rows are made from
//! documents and checked against what the import would refuse, before anything is sent.

use crate::export::target::Document;
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};

/// One person as rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Person {
    /// The cells of the one row of people.
    pub cells: HashMap<String, String>,
    /// The rows of contact details.
    pub contacts: Vec<HashMap<String, String>>,
}

/// What the import needs to know beside the document.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// The fixed Source, whose Source IDs are ours.
    pub source: &'a str,
    /// Organizations that 4me has; `None` if that is not known.
    pub organizations: Option<&'a BTreeSet<String>>,
}

/// Columns of people that a map may name.
pub const PEOPLE: [&str; 27] = [
    "Primary Email",
    "Source",
    "Source ID",
    "Disabled",
    "Name",
    "Picture URI",
    "Organization",
    "Job Title",
    "Support ID",
    "Authentication ID",
    "Employee ID",
    "Cost Per Hour",
    "Manager",
    "Site",
    "Location",
    "Information",
    "Time Zone",
    "Time Format 24h",
    "Locale",
    "Auto Translation",
    "Do Not Translate Languages",
    "Work Hours",
    "VIP",
    "UI Extension",
    "Custom Data",
    "Custom Fields",
    "ID",
];

/// The most characters of a cell.
const SIZES: [(&str, usize); 10] = [
    ("Name", 128),
    ("Primary Email", 128),
    ("Job Title", 80),
    ("Location", 80),
    ("Employee ID", 128),
    ("Authentication ID", 128),
    ("Support ID", 50),
    ("Source", 30),
    ("Source ID", 128),
    ("Locale", 5),
];

pub const CONTACTS: [&str; 11] = [
    "Person",
    "Contact Protocol",
    "Contact Label",
    "Contact URI",
    "Address Label",
    "Address Address",
    "Address City",
    "Address State",
    "Address Zip",
    "Address Country",
    "Integration",
];

const PROTOCOLS: [&str; 4] = ["telephone", "email", "website", "chat"];
const ADDRESS_PARTS: [&str; 5] = ["Address", "City", "State", "Zip", "Country"];

/// The rows of a document, or which rule of the import they would break.
pub fn person(document: &Document, rules: Rules<'_>) -> Result<Person, String> {
    let mut person = Person::default();
    let mut addresses: Vec<(String, HashMap<String, String>)> = Vec::new();
    for (key, value) in document {
        let texts = texts(value);
        match key.split(' ').collect::<Vec<_>>().as_slice() {
            ["contact", protocol, label] if PROTOCOLS.contains(protocol) => {
                person.contacts.extend(texts.into_iter().map(|uri| contact(protocol, label, uri)));
            }
            ["address", label, part] if ADDRESS_PARTS.contains(part) => {
                let at = addresses.iter().position(|(known, _)| known == label).unwrap_or_else(|| {
                    addresses.push(((*label).to_owned(), HashMap::new()));
                    addresses.len() - 1
                });
                if let Some((_, cells)) = addresses.get_mut(at) {
                    cells.insert(format!("Address {part}"), texts.join("\n"));
                }
            }
            _ if key == "active" => drop(person.cells.insert("Disabled".to_owned(), disabled(value))),
            _ if PEOPLE.contains(&key.as_str()) => {
                // Several related records stand in one cell, each on a line of its own.
                person.cells.insert(key.clone(), texts.join("\n"));
            }
            _ => return Err(format!("'{key}' is no column of the import")),
        }
    }
    person.contacts.extend(addresses.into_iter().map(|(label, mut cells)| {
        cells.insert("Address Label".to_owned(), label);
        cells
    }));
    name_source(&mut person.cells, rules.source);
    check(&person, rules)?;
    let address = person.cells.get("Primary Email").cloned().unwrap_or_default();
    for row in &mut person.contacts {
        row.insert("Person".to_owned(), address.clone());
        // Rows of an integration replace the earlier ones, and leave those alone that people have made.
        row.insert("Integration".to_owned(), "true".to_owned());
    }
    Ok(person)
}

/// The row that closes someone, with no column that would clear anything.
pub fn leaver(source: &str, source_id: Option<&str>, address: Option<&str>) -> HashMap<String, String> {
    let by_source = source_id.map(|id| [("Source", source), ("Source ID", id)]).into_iter().flatten();
    let by_address = address.map(|address| ("Primary Email", address));
    let cells = [("Disabled", "1")].into_iter().chain(by_source).chain(by_address);
    cells.map(|(column, cell)| (column.to_owned(), cell.to_owned())).collect()
}

fn contact(protocol: &str, label: &str, uri: String) -> HashMap<String, String> {
    [("Contact Protocol", protocol.to_owned()), ("Contact Label", label.to_owned()), ("Contact URI", uri)]
        .map(|(column, cell)| (column.to_owned(), cell))
        .into()
}

/// Source and Source ID are both there or neither: one alone takes the other from the person.
fn name_source(cells: &mut HashMap<String, String>, source: &str) {
    match cells.get("Source ID").is_some_and(|id| !id.is_empty()) {
        true => drop(cells.insert("Source".to_owned(), source.to_owned())),
        false => {
            cells.remove("Source ID");
            cells.remove("Source");
        }
    }
}

fn check(person: &Person, rules: Rules<'_>) -> Result<(), String> {
    for column in ["Primary Email", "Name"] {
        if person.cells.get(column).is_none_or(|cell| cell.trim().is_empty()) {
            return Err(format!("{column} is required"));
        }
    }
    for (column, most) in SIZES {
        if person.cells.get(column).is_some_and(|cell| cell.chars().count() > most) {
            return Err(format!("{column} has more than {most} characters"));
        }
    }
    let organization = person.cells.get("Organization").filter(|name| !name.is_empty());
    if let (Some(name), Some(known)) = (organization, rules.organizations)
        && !known.contains(name)
    {
        return Err("Organization is none of those that the configuration lists".to_owned());
    }
    Ok(())
}

fn disabled(value: &Value) -> String {
    let is_open = match value {
        Value::Bool(open) => *open,
        Value::String(text) => !text.eq_ignore_ascii_case("false"),
        _ => true,
    };
    if is_open { "0" } else { "1" }.to_owned()
}

fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Null => Vec::new(),
        Value::Array(list) => list.iter().flat_map(texts).collect(),
        Value::String(text) => vec![text.clone()],
        Value::Bool(true) => vec!["1".to_owned()],
        Value::Bool(false) => vec!["0".to_owned()],
        other => vec![other.to_string()],
    }
}

/// A table as the import takes it: UTF-8, a header, commas. Columns stand in the order given.
pub fn write(columns: &[String], rows: &[&HashMap<String, String>]) -> Result<Vec<u8>, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(columns)?;
    for row in rows {
        writer.write_record(columns.iter().map(|column| row.get(column).map_or("", String::as_str)))?;
    }
    writer.into_inner().map_err(|e| csv::Error::from(e.into_error()))
}

/// Managers before those whom they manage, as far as both are among these.
pub fn managers_first<T>(people: Vec<T>, cells: impl Fn(&T) -> &HashMap<String, String>) -> Vec<T> {
    let cell = |person: &T, column: &str| cells(person).get(column).map(|c| c.to_lowercase()).unwrap_or_default();
    let managers: HashMap<String, String> =
        people.iter().map(|person| (cell(person, "Primary Email"), cell(person, "Manager"))).collect();
    let mut people = people;
    people.sort_by_cached_key(|person| {
        let (mut depth, mut at) = (0usize, cell(person, "Manager"));
        while depth < managers.len() {
            let Some(above) = managers.get(&at) else { break };
            depth += 1;
            at.clone_from(above);
        }
        depth
    });
    people
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn doc(value: Value) -> Document {
        serde_json::from_value(value).unwrap()
    }

    fn rules(organizations: Option<&BTreeSet<String>>) -> Rules<'_> {
        Rules { source: "vestibule", organizations }
    }

    #[test]
    fn a_document_becomes_a_row_and_its_contacts() {
        let document = doc(json!({
            "Primary Email": "a@x", "Name": "A", "Source ID": "7", "active": false,
            "contact telephone work": ["+1", "+2"], "address work Address": "1 rue\nParis", "address work City": "Paris",
        }));
        let made = person(&document, rules(None)).unwrap();
        let cell = |column: &str| made.cells.get(column).map(String::as_str);
        assert_eq!((cell("Source"), cell("Source ID"), cell("Disabled")), (Some("vestibule"), Some("7"), Some("1")));
        assert_eq!(made.contacts.len(), 3);
        let columns = CONTACTS.map(str::to_owned);
        let text = write(&columns, &made.contacts.iter().collect::<Vec<_>>()).unwrap();
        assert_eq!(
            String::from_utf8(text).unwrap(),
            "Person,Contact Protocol,Contact Label,Contact URI,Address Label,Address Address,Address City,\
             Address State,Address Zip,Address Country,Integration\n\
             a@x,telephone,work,+1,,,,,,,true\na@x,telephone,work,+2,,,,,,,true\n\
             a@x,,,,work,\"1 rue\nParis\",Paris,,,,true\n"
        );
    }

    #[test]
    fn one_half_of_a_source_is_none() {
        let made = person(&doc(json!({"Primary Email": "a@x", "Name": "A", "Source": "other"})), rules(None)).unwrap();
        assert!(!made.cells.contains_key("Source") && !made.cells.contains_key("Source ID"));
    }

    #[test]
    fn what_the_import_would_refuse_is_not_sent() {
        let known = BTreeSet::from(["Valmont".to_owned()]);
        for (more, expected) in [
            (json!({"Name": "x".repeat(129)}), "Name has more than 128 characters"),
            (json!({"Locale": "fr-CA-x"}), "Locale has more than 5 characters"),
            (json!({"Organization": "Elsewhere"}), "Organization is none of those that the configuration lists"),
            (json!({"Primary Email": ""}), "Primary Email is required"),
            (json!({"Titel": "x"}), "'Titel' is no column of the import"),
            (json!({"contact pigeon work": "x"}), "'contact pigeon work' is no column of the import"),
        ] {
            let mut document = doc(json!({"Primary Email": "a@x", "Name": "A"}));
            document.extend(doc(more));
            assert_eq!(person(&document, rules(Some(&known))).unwrap_err(), expected);
        }
    }

    #[test]
    fn managers_come_before_those_they_manage() {
        let row = |address: &str, manager: &str| {
            HashMap::from([
                ("Primary Email".to_owned(), address.to_owned()),
                ("Manager".to_owned(), manager.to_owned()),
            ])
        };
        let people =
            vec![row("c@x", "B@x"), row("b@x", "a@x"), row("x@x", "y@x"), row("y@x", "x@x"), row("a@x", "z@x")];
        let sorted = managers_first(people, |row| row);
        let order: Vec<&str> = sorted.iter().map(|row| row["Primary Email"].as_str()).collect();
        assert_eq!(order, ["a@x", "b@x", "c@x", "x@x", "y@x"]);
    }
}
