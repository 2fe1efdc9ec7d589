//! Three-valued evaluation (RFC 4511 section 4.5.1.7).

use super::{Filter, Target};
use crate::schema::{AttrId, Rule, Schema};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth {
    True,
    False,
    Undefined,
}

/// What a filter is evaluated on: an entry in the tree as some identity may see it, or an entry
/// alone.
pub trait Subject {
    /// Calls `test` with the values of the attribute that hold the options, until one passes.
    fn any_value(&self, attr: AttrId, options: &str, test: &mut dyn FnMut(&[u8]) -> bool) -> bool;

    /// Whether a value of the attribute equals an assertion in normal form, where that is known
    /// without a look at each value; else `None`.
    fn holds(&self, _attr: AttrId, _options: &str, _rule: &Rule, _key: &[u8]) -> Option<bool> {
        None
    }

    /// True if a value of the attribute equals an assertion in normal form.
    fn equals(&self, attr: AttrId, options: &str, rule: &Rule, key: &[u8], schema: &Schema) -> bool {
        let known = self.holds(attr, options, rule, key);
        known.unwrap_or_else(|| self.any_value(attr, options, &mut |v| rule.matches(v, key, schema)))
    }

    /// True if the entry of this name (in normal form) is reached from the values of these
    /// attributes, from entry to entry. An entry alone reaches none.
    fn reaches(&self, _attrs: &[AttrId], _key: &[u8]) -> bool {
        false
    }

    /// True if the attribute has any value, secret ones included.
    fn is_present(&self, attr: AttrId, options: &str) -> bool;

    /// An attribute that may not be searched matches nothing: it is Undefined.
    fn may_search(&self, attr: AttrId) -> bool;

    /// The attribute types and values of the entry's own name.
    fn any_name_part(&self, test: &mut dyn FnMut(&str, &[u8]) -> bool) -> bool;

    /// Every attribute type the entry holds, for assertions that name none.
    fn held(&self) -> Vec<AttrId>;
}

impl Truth {
    fn of(found: bool) -> Self {
        if found { Truth::True } else { Truth::False }
    }
}

impl Filter {
    pub fn matches(&self, subject: &impl Subject, schema: &Schema) -> bool {
        self.eval(subject, schema) == Truth::True
    }

    pub fn eval(&self, subject: &impl Subject, schema: &Schema) -> Truth {
        match self {
            Filter::And(list) => {
                let mut all = Truth::True;
                for part in list {
                    match part.eval(subject, schema) {
                        Truth::False => return Truth::False,
                        Truth::Undefined => all = Truth::Undefined,
                        Truth::True => {}
                    }
                }
                all
            }
            Filter::Or(list) => {
                let mut any = Truth::False;
                for part in list {
                    match part.eval(subject, schema) {
                        Truth::True => return Truth::True,
                        Truth::Undefined => any = Truth::Undefined,
                        Truth::False => {}
                    }
                }
                any
            }
            Filter::Not(inner) => match inner.eval(subject, schema) {
                Truth::True => Truth::False,
                Truth::False => Truth::True,
                Truth::Undefined => Truth::Undefined,
            },
            Filter::Undefined => Truth::Undefined,
            Filter::Present(target) => each(target, subject, |attr| subject.is_present(attr, &target.options)),
            Filter::Equal(target, key) => equal(target, key, subject, schema),
            Filter::GreaterOrEqual(target, key) => {
                value_test(target, subject, schema, |normal| normal >= key.as_slice())
            }
            Filter::LessOrEqual(target, key) => value_test(target, subject, schema, |normal| normal <= key.as_slice()),
            Filter::Substring(target, parts) => value_test(target, subject, schema, |normal| parts.matches(normal)),
            Filter::InChain(target, key) => {
                let allowed: Vec<AttrId> = target.attrs.iter().copied().filter(|a| subject.may_search(*a)).collect();
                if allowed.is_empty() { Truth::Undefined } else { Truth::of(subject.reaches(&allowed, key)) }
            }
            Filter::Extensible { target, rule, key, dn } => {
                extensible(target.as_ref(), rule, key, *dn, subject, schema)
            }
        }
    }
}

/// True if one attribute passes, Undefined if none of them may be searched.
fn each(target: &Target, subject: &impl Subject, mut test: impl FnMut(AttrId) -> bool) -> Truth {
    let mut allowed = false;
    for attr in &target.attrs {
        if subject.may_search(*attr) {
            allowed = true;
            if test(*attr) {
                return Truth::True;
            }
        }
    }
    if allowed { Truth::False } else { Truth::Undefined }
}

fn equal(target: &Target, key: &[u8], subject: &impl Subject, schema: &Schema) -> Truth {
    let Some(rule) = target.rule else { return Truth::Undefined };
    each(target, subject, |attr| subject.equals(attr, &target.options, rule, key, schema))
}

fn value_test(target: &Target, subject: &impl Subject, schema: &Schema, test: impl Fn(&[u8]) -> bool) -> Truth {
    let Some(rule) = target.rule else { return Truth::Undefined };
    each(target, subject, |attr| {
        subject.any_value(attr, &target.options, &mut |value| rule.normalize(value, schema).is_some_and(|n| test(&n)))
    })
}

fn extensible(
    target: Option<&Target>,
    rule: &'static Rule,
    key: &[u8],
    dn: bool,
    subject: &impl Subject,
    schema: &Schema,
) -> Truth {
    let same = |value: &[u8]| rule.matches(value, key, schema);
    if dn {
        let named = subject.any_name_part(&mut |attr, value| {
            let Some(id) = schema.attr_id(attr) else { return false };
            let asked = match target {
                Some(t) => t.attrs.contains(&id),
                None => rule.applies_to(schema.attribute(id)),
            };
            asked && subject.may_search(id) && same(value)
        });
        if named {
            return Truth::True;
        }
    }
    match target {
        Some(target) => {
            each(target, subject, |attr| subject.any_value(attr, &target.options, &mut |value| same(value)))
        }
        None => {
            let applies = |id: &AttrId| rule.applies_to(schema.attribute(*id)) && subject.may_search(*id);
            Truth::of(
                subject.held().iter().filter(|id| applies(id)).any(|id| subject.any_value(*id, "", &mut |v| same(v))),
            )
        }
    }
}
