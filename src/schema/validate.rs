//! All violations of an entry at once: the LDAP schema (RFC 4512) and, for identities, the class
//! rules and what Sesame requires of inetOrgPerson.

use super::{
    Attr, AttrId, ClassId, ClassRule, Kind, Language, Reason, Rules, Said, Schema, document::document, rules::Broken,
};
use smol_str::SmolStr;
use std::{collections::BTreeSet, fmt};

/// Which rules hold for an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The LDAP schema, and the class rules as a part of it: what breaks them is refused, since only
    /// an identity can be kept until it is complete.
    Plain,
    /// The LDAP schema, the class rules, those between attributes, and cn, sn and uid.
    Identity,
}

/// What was found about an entry that satisfies the LDAP schema.
#[derive(Debug)]
pub struct Checked {
    pub structural: ClassId,
    /// Of an identity: violations of class rules; the caller refuses them or holds the identity back.
    pub class_faults: Vec<Violation>,
}

/// The kind of a violation; the protocol layers choose their code by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    UnknownClass,
    StructuralClass,
    UnknownAttribute,
    MissingAttribute,
    NotAllowed,
    InvalidSyntax,
    SingleValue,
    NoUserModification,
    ClassRule,
}

/// One rule that one attribute breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    pub fault: Fault,
    pub class: SmolStr,
    pub attr: SmolStr,
    pub rule: SmolStr,
    /// In the language of the configuration.
    pub message: String,
    /// What can be told in other languages as well.
    pub reason: Option<Box<Reason>>,
}

/// Every violation of one write, sorted; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violations(pub Vec<Violation>);

impl Violations {
    pub fn new(mut list: Vec<Violation>) -> Self {
        list.sort_by(|a, b| (a.fault, &a.class, &a.attr, &a.rule).cmp(&(b.fault, &b.class, &b.attr, &b.rule)));
        list.dedup();
        Violations(list)
    }

    /// The same in a client's language.
    #[must_use]
    pub fn told(&self, language: Language) -> Self {
        let told = |v: &Violation| Violation { message: v.text(language), ..v.clone() };
        Violations(self.0.iter().map(told).collect())
    }

    /// The gravest kind, which names the result code.
    pub fn gravest(&self) -> Option<Fault> {
        self.0.iter().map(|v| v.fault).min()
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.class.as_str(), self.attr.as_str()) {
            ("", attr) => write!(f, "{attr}")?,
            (class, "") => write!(f, "{class}")?,
            (class, attr) => write!(f, "{class}.{attr}")?,
        }
        write!(f, " ({}): {}", self.rule, self.message)
    }
}

impl fmt::Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [one] => write!(f, "{one}"),
            many => {
                write!(f, "{} violations", many.len())?;
                many.iter().enumerate().try_for_each(|(i, v)| write!(f, "{} {v}", if i == 0 { ":" } else { ";" }))
            }
        }
    }
}

impl Violation {
    pub fn new(fault: Fault, class: &str, attr: &str, rule: &str, message: impl Into<String>) -> Self {
        Violation {
            fault,
            class: SmolStr::new(class),
            attr: SmolStr::new(attr),
            rule: SmolStr::new(rule),
            message: message.into(),
            reason: None,
        }
    }

    /// The message in a client's language, where there is one in it.
    pub fn text(&self, language: Language) -> String {
        self.reason.as_ref().map_or_else(|| self.message.clone(), |reason| reason.text(language))
    }

    pub fn unknown_attribute(name: &str) -> Self {
        Violation::new(Fault::UnknownAttribute, "", name, "attribute type", "is not defined in the schema")
    }
}

impl Schema {
    /// Checks user attributes of one entry. `found` holds violations that the caller met before,
    /// such as names the schema does not know; they are reported with the rest.
    pub fn validate(&self, attrs: &[Attr], scope: Scope, found: Vec<Violation>) -> Result<Checked, Violations> {
        let mut list = found;
        let classes = self.entry_classes(attrs, &mut list);
        let structural = self.structural(&classes, &mut list);
        self.check_presence(attrs, &classes, &mut list);
        for attr in attrs {
            self.check_values(attr, &classes, &mut list);
        }
        let class_faults = match scope {
            Scope::Plain => self.class_faults(&self.rules.load(), attrs, &classes),
            Scope::Identity => self.identity_faults(attrs, &classes, &mut list),
        };
        let may_be_kept = class_faults.is_empty() || scope == Scope::Identity;
        match structural {
            Some(structural) if list.is_empty() && may_be_kept => Ok(Checked { structural, class_faults }),
            _ => {
                // What breaks the LDAP schema is not reported a second time for its form.
                let known: BTreeSet<SmolStr> = list.iter().map(|v| v.attr.clone()).collect();
                list.extend(class_faults.into_iter().filter(|v| !known.contains(&v.attr)));
                Err(Violations::new(list))
            }
        }
    }

    /// The classes that the entry names and all their superclasses.
    pub(super) fn entry_classes(&self, attrs: &[Attr], list: &mut Vec<Violation>) -> BTreeSet<ClassId> {
        let mut classes = BTreeSet::new();
        for value in self.object_class_values(attrs) {
            let name = String::from_utf8_lossy(value);
            match self.class_id(&name) {
                Some(id) => {
                    classes.insert(id);
                    classes.extend(&self.class(id).superclasses);
                }
                None => list.push(Violation::new(
                    Fault::UnknownClass,
                    &name.chars().take(64).collect::<String>(),
                    "objectClass",
                    "object class",
                    "is not defined in the schema",
                )),
            }
        }
        classes
    }

    fn object_class_values<'a>(&self, attrs: &'a [Attr]) -> impl Iterator<Item = &'a Vec<u8>> {
        let object_class = self.known.object_class;
        attrs.iter().filter(move |a| a.desc.id == object_class).flat_map(|a| &a.values)
    }

    /// The one most derived structural class; the chain must be one line (RFC 4512 2.4.2).
    fn structural(&self, classes: &BTreeSet<ClassId>, list: &mut Vec<Violation>) -> Option<ClassId> {
        let structural: Vec<ClassId> =
            classes.iter().copied().filter(|c| self.class(*c).kind == Kind::Structural).collect();
        let leaf = structural
            .iter()
            .copied()
            .find(|c| structural.iter().all(|other| other == c || self.class(*c).superclasses.contains(other)));
        if leaf.is_none() {
            let names: Vec<&str> = structural.iter().map(|c| self.class(*c).name.as_str()).collect();
            let message = match names.as_slice() {
                [] => "a structural object class is required".to_owned(),
                _ => format!("{} are not one chain of structural classes", names.join(", ")),
            };
            list.push(Violation::new(Fault::StructuralClass, "", "objectClass", "structural class", message));
        }
        leaf
    }

    fn check_presence(&self, attrs: &[Attr], classes: &BTreeSet<ClassId>, list: &mut Vec<Violation>) {
        let held = |id| attrs.iter().any(|a| a.desc.id == id && !a.values.is_empty());
        for class in classes.iter().map(|c| self.class(*c)) {
            for must in &class.must {
                let present = self.with_subtypes(*must).iter().any(|id| held(*id));
                if !present {
                    let name = &self.attribute(*must).name;
                    list.push(Violation::new(Fault::MissingAttribute, &class.name, name, "must", "is required"));
                }
            }
        }
    }

    /// The first class of the entry that allows the attribute.
    pub(super) fn allowing(&self, attr: AttrId, classes: &BTreeSet<ClassId>) -> Option<&SmolStr> {
        // The class that names the attribute itself tells a reader more than one that inherits it.
        let named = classes.iter().map(|c| self.class(*c)).find(|c| c.must.contains(&attr) || c.may.contains(&attr));
        let any = || classes.contains(&self.known.extensible_object).then(|| self.class(self.known.extensible_object));
        named.or_else(any).map(|c| &c.name)
    }

    fn check_values(&self, attr: &Attr, classes: &BTreeSet<ClassId>, list: &mut Vec<Violation>) {
        let attribute = self.attribute(attr.desc.id);
        let name = self.spell(&attr.desc);
        if self.is_kept_by_server(attr.desc.id) {
            list.push(Violation::new(Fault::NoUserModification, "", &name, "usage", "is kept by the server"));
            return;
        }
        if attr.desc.id == self.known.object_class {
            return;
        }
        if attr.desc.has_range() {
            let message = "stands for several languages in a search; a value has one";
            list.push(Violation::new(Fault::UnknownAttribute, "", &name, "language range", message));
        }
        let class = self.allowing(attr.desc.id, classes);
        if class.is_none() && attr.desc.id != self.known.object_class {
            list.push(Violation::new(Fault::NotAllowed, "", &name, "may", "no object class of the entry allows it"));
        }
        let class = class.map_or("", SmolStr::as_str);
        if attribute.single_value && attr.values.len() > 1 {
            let message = format!("one value at the most, {} given", attr.values.len());
            list.push(Violation::new(Fault::SingleValue, class, &name, "SINGLE-VALUE", message));
        }
        let wrong = attr.values.iter().filter(|v| !attribute.syntax.accepts(v, self)).count();
        if wrong > 0 && attr.desc.id != self.known.object_class {
            let message = format!("expected {}{}", attribute.syntax.desc(), of_values(wrong, attr.values.len()));
            list.push(Violation::new(Fault::InvalidSyntax, class, &name, "syntax", message));
        }
    }

    /// Sesame's rules: cn, sn and uid required (checked in code), then the class files.
    fn identity_faults(
        &self,
        attrs: &[Attr],
        classes: &BTreeSet<ClassId>,
        list: &mut Vec<Violation>,
    ) -> Vec<Violation> {
        let held = |id| attrs.iter().any(|a| a.desc.id == id && !a.values.is_empty());
        if classes.contains(&self.known.inet_org_person) && !held(self.known.uid) {
            let reason = Reason::new(Said::IdentityUid);
            list.push(self.because(Fault::MissingAttribute, "inetOrgPerson", "uid", "identity", reason));
        }
        let rules = self.rules.load();
        let mut faults = self.class_faults(&rules, attrs, classes);
        faults.extend(self.cross_faults(&rules.cross, attrs, classes));
        faults.sort_by(|a, b| (&a.class, &a.attr, &a.rule).cmp(&(&b.class, &b.attr, &b.rule)));
        faults.dedup();
        faults
    }

    fn class_faults(&self, rules: &Rules, attrs: &[Attr], classes: &BTreeSet<ClassId>) -> Vec<Violation> {
        classes.iter().filter_map(|c| rules.of(*c)).flat_map(|rule| self.rule_faults(rule, attrs)).collect()
    }

    fn rule_faults(&self, rule: &ClassRule, attrs: &[Attr]) -> Vec<Violation> {
        self.broken(rule, &document(rule, attrs))
    }

    /// What a document breaks of the rules of a class, be it an entry's or one that came as JSON.
    fn broken(&self, rule: &ClassRule, document: &serde_json::Value) -> Vec<Violation> {
        let class = &self.class(rule.class).name;
        let violation = |broken: Broken| {
            let attr = broken.attr.map_or(broken.property, |id| self.attribute(id).name.clone());
            self.because(Fault::ClassRule, class, &attr, &broken.keyword, broken.reason)
        };
        rule.broken(document).into_iter().map(violation).collect()
    }

    /// A violation in the language of the configuration, which can be told in others.
    pub(super) fn because(&self, fault: Fault, class: &str, attr: &str, rule: &str, reason: Reason) -> Violation {
        let message = reason.text(self.language);
        Violation { reason: Some(Box::new(reason)), ..Violation::new(fault, class, attr, rule, message) }
    }
}

fn of_values(wrong: usize, all: usize) -> String {
    if all == 1 { String::new() } else { format!(" ({wrong} of {all} values)") }
}

impl std::error::Error for Violations {}
