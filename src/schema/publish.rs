//! The schema as values of the subschema entry (RFC 4512 section 4.2).

use super::{Attribute, Class, Kind, Schema, Syntax, Usage, matching::RULES};
use smol_str::SmolStr;

impl Schema {
    pub fn attribute_types(&self) -> Vec<String> {
        self.attributes.iter().map(|a| self.attribute_type(a)).collect()
    }

    pub fn object_classes(&self) -> Vec<String> {
        self.classes.iter().map(|c| self.object_class(c)).collect()
    }

    pub fn ldap_syntaxes() -> Vec<String> {
        Syntax::ALL.iter().map(|s| format!("( {} DESC '{}' )", s.oid(), s.desc())).collect()
    }

    pub fn matching_rules() -> Vec<String> {
        RULES.iter().map(|r| format!("( {} NAME '{}' SYNTAX {} )", r.oid, r.name, r.syntax.oid())).collect()
    }

    /// For each rule the attribute types that it can be used with (RFC 4512 4.1.4).
    pub fn matching_rule_use(&self) -> Vec<String> {
        RULES
            .iter()
            .filter_map(|rule| {
                let applies: Vec<&str> =
                    self.attributes.iter().filter(|a| rule.applies_to(a)).map(|a| a.name.as_str()).collect();
                match applies.as_slice() {
                    [] => None,
                    [one] => Some(format!("( {} NAME '{}' APPLIES {one} )", rule.oid, rule.name)),
                    many => Some(format!("( {} NAME '{}' APPLIES ( {} ) )", rule.oid, rule.name, many.join(" $ "))),
                }
            })
            .collect()
    }

    fn attribute_type(&self, a: &Attribute) -> String {
        let mut out = format!("( {}{}", a.oid, head(&a.name, &a.aliases, &a.desc, a.obsolete));
        if let Some(sup) = a.sup {
            out += &format!(" SUP {}", self.attribute(sup).name);
        }
        for (keyword, rule, own) in [
            ("EQUALITY", a.equality, a.own.equality),
            ("ORDERING", a.ordering, a.own.ordering),
            ("SUBSTR", a.substr, a.own.substr),
        ] {
            if let Some(rule) = rule.filter(|_| own) {
                out += &format!(" {keyword} {}", rule.name);
            }
        }
        if a.own.syntax {
            let length = a.length.map(|n| format!("{{{n}}}")).unwrap_or_default();
            out += &format!(" SYNTAX {}{length}", a.syntax.oid());
        }
        for (keyword, set) in [("SINGLE-VALUE", a.single_value), ("NO-USER-MODIFICATION", a.no_user_modification)] {
            if set {
                out += &format!(" {keyword}");
            }
        }
        match a.usage {
            Usage::UserApplications => {}
            Usage::DirectoryOperation => out += " USAGE directoryOperation",
            Usage::DistributedOperation => out += " USAGE distributedOperation",
            Usage::DsaOperation => out += " USAGE dSAOperation",
        }
        out + " )"
    }

    fn object_class(&self, c: &Class) -> String {
        let mut out = format!("( {}{}", c.oid, head(&c.name, &c.aliases, &c.desc, c.obsolete));
        out += &oids("SUP", c.sup.iter().map(|s| &self.class(*s).name));
        out += match c.kind {
            Kind::Abstract => " ABSTRACT",
            Kind::Structural => " STRUCTURAL",
            Kind::Auxiliary => " AUXILIARY",
        };
        out += &oids("MUST", c.must.iter().map(|a| &self.attribute(*a).name));
        out += &oids("MAY", c.may.iter().map(|a| &self.attribute(*a).name));
        out + " )"
    }
}

fn head(name: &SmolStr, aliases: &[SmolStr], desc: &str, obsolete: bool) -> String {
    let mut out = match aliases {
        [] => format!(" NAME '{name}'"),
        _ => {
            let quoted: Vec<String> = std::iter::once(name).chain(aliases).map(|n| format!("'{n}'")).collect();
            format!(" NAME ( {} )", quoted.join(" "))
        }
    };
    if !desc.is_empty() {
        // qdstring escapes (RFC 4512 section 4.1).
        out += &format!(" DESC '{}'", desc.replace('\\', "\\5C").replace('\'', "\\27"));
    }
    if obsolete {
        out += " OBSOLETE";
    }
    out
}

fn oids<'a>(keyword: &str, names: impl Iterator<Item = &'a SmolStr>) -> String {
    let names: Vec<&str> = names.map(SmolStr::as_str).collect();
    match names.as_slice() {
        [] => String::new(),
        [one] => format!(" {keyword} {one}"),
        many => format!(" {keyword} ( {} )", many.join(" $ ")),
    }
}
