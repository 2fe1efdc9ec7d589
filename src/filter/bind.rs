//! Binding of a filter to the schema: names to attribute types, assertions to normal forms.

use super::{Ast, Filter, Target};
use crate::schema::{Attribute, Form, Rule, Schema, rule};

impl Filter {
    pub fn bind(ast: &Ast, schema: &Schema) -> Filter {
        match ast {
            Ast::And(list) => Filter::And(list.iter().map(|f| Filter::bind(f, schema)).collect()),
            Ast::Or(list) => Filter::Or(list.iter().map(|f| Filter::bind(f, schema)).collect()),
            Ast::Not(inner) => Filter::Not(Box::new(Filter::bind(inner, schema))),
            Ast::Present(attr) => match target(attr, schema) {
                Some(target) => Filter::Present(target),
                None => Filter::Undefined,
            },
            // Approximate match is equality where no better rule is known (RFC 4511 4.5.1.7.6).
            Ast::Equal(attr, value) | Ast::Approx(attr, value) => {
                assertion(attr, value, schema, |a| a.equality, Filter::Equal)
            }
            Ast::GreaterOrEqual(attr, value) => {
                assertion(attr, value, schema, |a| a.ordering_rule(), Filter::GreaterOrEqual)
            }
            Ast::LessOrEqual(attr, value) => assertion(attr, value, schema, |a| a.ordering_rule(), Filter::LessOrEqual),
            Ast::Substring { attr, initial, any, last } => {
                let bound = target(attr, schema).and_then(|mut target| {
                    let rule = schema.attribute(*target.attrs.first()?).substr?;
                    target.rule = Some(rule);
                    let parts = rule.normalize_parts(initial.as_deref(), any, last.as_deref(), schema)?;
                    Some(Filter::Substring(target, parts))
                });
                bound.unwrap_or(Filter::Undefined)
            }
            Ast::Extensible { rule: name, attr, value, dn } => {
                extensible(name.as_deref(), attr.as_deref(), value, *dn, schema).unwrap_or(Filter::Undefined)
            }
        }
    }
}

/// `None` if the schema does not know the attribute: the assertion is Undefined.
fn target(description: &str, schema: &Schema) -> Option<Target> {
    let desc = schema.describe(description)?;
    Some(Target {
        attrs: schema.with_subtypes(desc.id).to_vec(),
        options: desc.options,
        rule: schema.attribute(desc.id).equality,
    })
}

fn assertion(
    attr: &str,
    value: &[u8],
    schema: &Schema,
    pick: impl Fn(&Attribute) -> Option<&'static Rule>,
    make: impl Fn(Target, Vec<u8>) -> Filter,
) -> Filter {
    let bound = target(attr, schema).and_then(|mut target| {
        let rule = pick(schema.attribute(*target.attrs.first()?))?;
        target.rule = Some(rule);
        let key = rule.assertion(value, schema)?.into_owned();
        Some(make(target, key))
    });
    bound.unwrap_or(Filter::Undefined)
}

/// `attr:dn:rule:=value` (RFC 4511 4.5.1.7.7). Without a rule the attribute's equality rule is
/// used; without an attribute every attribute that the rule applies to is looked at.
fn extensible(name: Option<&str>, attr: Option<&str>, value: &[u8], dn: bool, schema: &Schema) -> Option<Filter> {
    let bound = match attr {
        Some(attr) => Some(target(attr, schema)?),
        None => None,
    };
    let rule = match (name, &bound) {
        (Some(name), _) => rule(name).filter(|r| r.is_for_values())?,
        (None, Some(target)) => target.rule?,
        (None, None) => return None,
    };
    let key = rule.assertion(value, schema)?.into_owned();
    match bound {
        // A rule that is not for values of this syntax makes the assertion Undefined (RFC 4511 4.5.1.7.7).
        Some(target) if !rule.applies_to(first(&target, schema)?) => None,
        Some(target) if rule.form == Form::InChain => Some(Filter::InChain(target, key)),
        // A chain needs an attribute to follow.
        None if rule.form == Form::InChain => None,
        // The same as a plain assertion, which an index can serve.
        Some(target) if !dn && target.rule == Some(rule) => Some(Filter::Equal(target, key)),
        Some(target) => {
            let target = Target { rule: Some(rule), ..target };
            Some(Filter::Extensible { target: Some(target), rule, key, dn })
        }
        None => Some(Filter::Extensible { target: None, rule, key, dn }),
    }
}

fn first<'s>(target: &Target, schema: &'s Schema) -> Option<&'s Attribute> {
    target.attrs.first().map(|id| schema.attribute(*id))
}
