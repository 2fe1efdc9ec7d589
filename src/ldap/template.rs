//! Filters with places for values that come from a login, such as `(mail={email})`. The values are
//! put into the filter that was read, never into its text, so none of them can change its form.

use crate::{
    filter::{self, Ast},
    schema::Schema,
};

#[derive(Clone, Debug)]
pub struct Template(Ast);

/// What stands in a place: nothing, one value or several.
pub type Values<'v> = &'v dyn Fn(&str) -> Vec<String>;

impl Template {
    /// Reads a filter; `is_known` tells the names of places.
    pub fn parse(text: &str, schema: &Schema, is_known: &dyn Fn(&str) -> bool) -> Result<Self, String> {
        let ast = filter::parse(text).map_err(|e| format!("'{text}': {e}"))?;
        let mut places = 0;
        check(&ast, schema, is_known, &mut places).map_err(|what| format!("'{text}': {what}"))?;
        if places == 0 {
            return Err(format!(
                "'{text}': it has no place for a value, such as {{uid}}, and would find the same for all"
            ));
        }
        Ok(Template(ast))
    }

    /// The filter for these values, of which any may match; `None` if one is missing.
    pub fn fill(&self, values: Values<'_>) -> Option<Ast> {
        fill(&self.0, values)
    }
}

fn check(ast: &Ast, schema: &Schema, is_known: &dyn Fn(&str) -> bool, places: &mut usize) -> Result<(), String> {
    match ast {
        Ast::And(list) | Ast::Or(list) => list.iter().try_for_each(|one| check(one, schema, is_known, places)),
        Ast::Not(one) => check(one, schema, is_known, places),
        Ast::Equal(attr, value) => {
            if schema.describe(attr).is_none() {
                return Err(format!("'{attr}' is not an attribute type"));
            }
            let Some((before, name, after)) = place(value) else { return Ok(()) };
            if !is_known(name) {
                return Err(format!("there is no value '{{{name}}}' here"));
            }
            if before.contains(['{', '}']) || after.contains(['{', '}']) {
                return Err(format!("{attr}: more than one place in one value"));
            }
            *places += 1;
            Ok(())
        }
        _ => Ok(()),
    }
}

fn fill(ast: &Ast, values: Values<'_>) -> Option<Ast> {
    let all = |list: &[Ast]| list.iter().map(|one| fill(one, values)).collect::<Option<Vec<_>>>();
    Some(match ast {
        Ast::And(list) => Ast::And(all(list)?),
        Ast::Or(list) => Ast::Or(all(list)?),
        Ast::Not(one) => Ast::Not(Box::new(fill(one, values)?)),
        Ast::Equal(attr, value) => match place(value) {
            None => ast.clone(),
            Some((before, name, after)) => {
                let equal = |v: &String| Ast::Equal(attr.clone(), format!("{before}{v}{after}").into_bytes());
                let found: Vec<Ast> = values(name).iter().filter(|v| !v.trim().is_empty()).map(equal).collect();
                if found.is_empty() {
                    return None;
                }
                Ast::Or(found)
            }
        },
        other => other.clone(),
    })
}

/// The first `{name}` of a value, with what stands before and behind it.
fn place(value: &[u8]) -> Option<(&str, &str, &str)> {
    let (before, rest) = std::str::from_utf8(value).ok()?.split_once('{')?;
    let (name, after) = rest.split_once('}')?;
    Some((before, name, after))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Sources;

    fn template(text: &str) -> Result<Template, String> {
        let schema = Schema::compile(&Sources::shipped()).unwrap();
        Template::parse(text, &schema, &|name| ["uid", "email"].contains(&name))
    }

    #[test]
    fn values_fill_places_and_nothing_else() {
        let template = template("(&(objectClass=person)(|(uid={uid})(mail=x-{email}@a)))").unwrap();
        let filled = template.fill(&|name| match name {
            "uid" => vec!["*)(uid=a".to_owned()],
            _ => vec!["b".to_owned(), " ".to_owned(), "c".to_owned()],
        });
        let equal = |attr: &str, value: &str| Ast::Equal(attr.into(), value.as_bytes().to_vec());
        let expected = Ast::And(vec![
            equal("objectClass", "person"),
            Ast::Or(vec![
                Ast::Or(vec![equal("uid", "*)(uid=a")]),
                Ast::Or(vec![equal("mail", "x-b@a"), equal("mail", "x-c@a")]),
            ]),
        ]);
        assert_eq!(filled, Some(expected));
        assert_eq!(template.fill(&|_| Vec::new()), None);
    }

    #[test]
    fn faults_are_told() {
        for (text, what) in [
            ("(uid={name})", "no value '{name}'"),
            ("(uid={uid}{email})", "more than one place"),
            ("(nothing={uid})", "not an attribute type"),
            ("(uid=a)", "no place for a value"),
            ("(uid={uid}", "character"),
        ] {
            let fault = template(text).unwrap_err();
            assert!(fault.contains(what), "{text}: {fault}");
        }
    }
}
