//! Expressions of a mapping file: how the cells of a row become the values of an attribute. Bound
//! once to the columns of the table, then evaluated row by row.

use super::mapping::Source;
use crate::expression::{Steps, filled};
use encoding_rs::Encoding;
use smol_str::SmolStr;

/// A source and the steps that its values go through, bound to the columns of one table.
pub struct Expression {
    origin: Origin,
    steps: Steps,
}

enum Origin {
    Column(usize),
    Constant(String),
    FirstOf(Vec<Expression>),
    Concat(Vec<Expression>),
}

/// The columns of a table, by name or by number from 1.
pub struct Columns {
    pub names: Option<Vec<String>>,
}

impl Columns {
    fn find(&self, column: &str) -> Result<usize, String> {
        match &self.names {
            Some(names) => {
                let mut found = names.iter().enumerate().filter(|(_, n)| n.as_str() == column).map(|(at, _)| at);
                match (found.next(), found.next()) {
                    (Some(at), None) => Ok(at),
                    (Some(_), Some(_)) => Err(format!("column '{column}' stands twice in the header")),
                    _ => Err(format!("the header has no column '{column}'; it has {}", names.join(", "))),
                }
            }
            None => match column.parse::<usize>() {
                Ok(number) if number > 0 => Ok(number - 1),
                _ => Err(format!("'{column}' is no column number; the table has no header")),
            },
        }
    }
}

impl Expression {
    /// `Err` says what is wrong with the definition.
    pub fn bind(source: &Source, columns: &Columns) -> Result<Self, String> {
        let parts = |list: &[Source]| list.iter().map(|s| Expression::bind(s, columns)).collect::<Result<Vec<_>, _>>();
        let origin = match (&source.column, &source.constant, &source.first_of, &source.concat) {
            (Some(column), None, None, None) => Origin::Column(columns.find(column)?),
            (None, Some(text), None, None) => Origin::Constant(text.to_string()),
            (None, None, Some(list), None) => Origin::FirstOf(parts(list)?),
            (None, None, None, Some(list)) => Origin::Concat(parts(list)?),
            _ => return Err("expected one of column, constant, first_of, concat".to_owned()),
        };
        Ok(Expression { origin, steps: Steps::bind(&source.then)? })
    }

    /// The values that a row gives. `Err` says which rule a cell breaks.
    pub fn values(&self, row: &[String], trim: bool) -> Result<Vec<String>, String> {
        let values = match &self.origin {
            Origin::Column(at) => {
                let cell = row.get(*at).map(String::as_str).unwrap_or_default();
                filled(if trim { cell.trim() } else { cell })
            }
            Origin::Constant(text) => vec![text.clone()],
            Origin::FirstOf(list) => {
                let mut found = Vec::new();
                for one in list {
                    found = one.values(row, trim)?;
                    if !found.is_empty() {
                        break;
                    }
                }
                found
            }
            Origin::Concat(list) => concatenated(list, row, trim)?,
        };
        self.steps.apply(values)
    }

    fn is_constant(&self) -> bool {
        matches!(self.origin, Origin::Constant(_))
    }
}

/// Constants between empty cells are no value.
fn concatenated(list: &[Expression], row: &[String], trim: bool) -> Result<Vec<String>, String> {
    let (mut text, mut any) = (String::new(), false);
    for part in list {
        let values = part.values(row, trim)?;
        if values.len() > 1 {
            return Err("concat: a part has several values".to_owned());
        }
        any |= !part.is_constant() && !values.is_empty();
        values.iter().for_each(|v| text.push_str(v));
    }
    Ok(if any { filled(&text) } else { Vec::new() })
}

/// An encoding by its label. Only those in which ASCII is ASCII can be cut into cells first.
pub fn encoding(label: &str) -> Result<&'static Encoding, String> {
    Encoding::for_label(label.as_bytes())
        .filter(|encoding| encoding.is_ascii_compatible())
        .ok_or_else(|| format!("'{label}' is not an encoding such as utf-8, iso-8859-15, windows-1252"))
}

/// What stands for `{name}` in a template; `None` if one of them has no value.
pub fn filled_template(template: &str, value: impl Fn(&str) -> Option<SmolStr>) -> Option<String> {
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, behind)) = rest.split_once('{') {
        let (name, after) = behind.split_once('}')?;
        out.push_str(before);
        out.push_str(&value(name)?);
        rest = after;
    }
    out.push_str(rest);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values that `yaml` makes of a row with the columns A, B and C.
    fn check(yaml: &str, row: [&str; 3], expected: Result<&[&str], &str>) {
        let source: Source = serde_yaml::from_str(yaml).unwrap();
        let columns = Columns { names: Some(vec!["A".into(), "B".into(), "C".into()]) };
        let got = Expression::bind(&source, &columns).unwrap().values(&row.map(str::to_owned), true);
        let expected = expected.map(|v| v.iter().map(|s| s.to_string()).collect()).map_err(str::to_owned);
        assert_eq!(got, expected, "{yaml}");
    }

    #[test]
    fn values_of_a_row() {
        check("{column: A}", [" x ", "", ""], Ok(&["x"]));
        check("{column: A}", ["", "", ""], Ok(&[]));
        check("{constant: student}", ["", "", ""], Ok(&["student"]));
        check("{first_of: [{column: A}, {column: B}]}", ["", "b", "c"], Ok(&["b"]));
        let full = "{concat: [{column: A}, {constant: ' '}, {column: B, then: [upper]}]}";
        check(full, ["Zoé", "Petit", ""], Ok(&["Zoé PETIT"]));
        check(full, ["", "", ""], Ok(&[]));
        check("{column: A, then: [{split: '|'}, lower]}", ["X| Y |", "", ""], Ok(&["x", "y"]));
        let date = "{column: A, then: [{date: {from: '%d/%m/%Y', to: '%Y-%m-%d'}}]}";
        check(date, ["31/12/2001", "", ""], Ok(&["2001-12-31"]));
        check(date, ["2001", "", ""], Err("date: expected the form %d/%m/%Y"));
        let lookup = "{column: A, then: [{lookup: {table: {E: student}}}]}";
        check(lookup, ["E", "", ""], Ok(&["student"]));
        check(lookup, ["F", "", ""], Err("lookup: the value is not in the table"));
        check("{column: A, then: [{lookup: {table: {E: x}, otherwise: keep}}]}", ["F", "", ""], Ok(&["F"]));
        check("{column: A, then: [{lookup: {table: {E: x}, otherwise: drop}}]}", ["F", "", ""], Ok(&[]));
        check("{column: A, then: [{capture: '^([a-z]+)-'}]}", ["ab-12", "", ""], Ok(&["ab"]));
        check("{column: A, then: [{capture: '^x'}]}", ["ab", "", ""], Err("capture: the value does not match"));
        check("{column: A, then: [{default: none}]}", ["", "", ""], Ok(&["none"]));
    }

    #[test]
    fn what_is_no_expression() {
        let columns = Columns { names: Some(vec!["A".into(), "A".into()]) };
        for (yaml, reason) in [
            ("{}", "expected one of"),
            ("{column: A, constant: x}", "expected one of"),
            ("{column: B}", "no column 'B'"),
            ("{column: A}", "twice"),
            ("{constant: x, then: [{capture: '('}]}", "capture:"),
            ("{constant: x, then: [{split: ''}]}", "split:"),
        ] {
            let source: Source = serde_yaml::from_str(yaml).unwrap();
            let error = Expression::bind(&source, &columns).err().unwrap();
            assert!(error.contains(reason), "{yaml}: {error}");
        }
        for yaml in ["{colour: A}", "{column: A, then: [wash]}", "{column: A, then: [{date: {from: x}}]}"] {
            assert!(serde_yaml::from_str::<Source>(yaml).is_err(), "{yaml}");
        }
        assert!(encoding("utf-16").is_err() && encoding("latin1").is_ok());
    }
}
