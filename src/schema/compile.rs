//! From the definitions in the files to one [`Schema`]: superiors resolved, what is inherited
//! filled in, conflicts refused. All faults are found before the first is reported.

#![expect(clippy::indexing_slicing, reason = "every index is made from the very list that it indexes")]

use super::{
    AttrId, Attribute, Class, ClassId, Known, Language, Schema,
    attribute::Own,
    define,
    fault::{Error, Fault},
    load::{AttributeDef, ClassDef, LdapFile, Sources, yaml},
    matching::{self, Rule},
    names,
    rules::Rules,
    syntax::{self, Syntax},
};
use arc_swap::ArcSwap;
use smol_str::SmolStr;
use std::{
    collections::{BTreeSet, HashMap},
    path::{Path, PathBuf},
    sync::Arc,
};

impl Schema {
    pub fn compile(sources: &Sources) -> Result<Self, Error> {
        let mut compiler = Compiler::default();
        for (path, text) in &sources.ldap {
            let file: LdapFile = yaml(path, text)?;
            compiler.attributes.extend(file.attributes.into_iter().map(|d| (path.clone(), d)));
            compiler.classes.extend(file.classes.into_iter().map(|d| (path.clone(), d)));
        }
        let (defined, faults) = define::complete(&sources.classes, &mut compiler.attributes, &mut compiler.classes);
        compiler.faults.extend(faults);
        let mut schema = compiler.schema()?;
        schema.language = sources.language;
        schema.ldap = sources.ldap.iter().map(|(_, text)| text.clone()).collect();
        schema.defined = defined.definitions;
        let rules = Rules::load(&schema, sources, defined.notes)?;
        schema.rules.store(Arc::new(rules));
        Ok(schema)
    }

    /// Takes other class rules into use, all or none. Ids of attribute types and classes are all
    /// over the server, so that what defines new ones waits for a restart.
    pub fn reload_rules(&self, sources: &Sources) -> Result<Arc<Rules>, Error> {
        let fresh = Schema::compile(sources)?;
        if fresh.ldap != self.ldap {
            return Err(Error::NeedsRestart("an LDAP schema file (ldap/*.yml) has changed".to_owned()));
        }
        if let Some(news) = fresh.defined.iter().find(|d| !self.defined.contains(d)) {
            return Err(Error::NeedsRestart(news.to_string()));
        }
        // Read anew, since ids of attribute types hold for the schema that made them only.
        let mut rules = Rules::load(self, sources, Vec::new())?;
        rules.notes = fresh.rules().notes.clone();
        let rules = Arc::new(rules);
        self.rules.store(Arc::clone(&rules));
        Ok(rules)
    }
}

#[derive(Default)]
struct Compiler {
    attributes: Vec<(PathBuf, AttributeDef)>,
    classes: Vec<(PathBuf, ClassDef)>,
    faults: Vec<Fault>,
}

impl Compiler {
    fn fault(&mut self, file: &Path, place: impl Into<String>, reason: impl Into<String>) {
        self.faults.push(Fault::whole(file, &place.into(), reason));
    }

    fn schema(mut self) -> Result<Schema, Error> {
        if self.attributes.len() > usize::from(u16::MAX) || self.classes.len() > usize::from(u16::MAX) {
            self.fault(Path::new("schemas"), "attributes", "at most 65535 attribute types and classes");
            return Err(Error::Faults(self.faults));
        }
        let attribute_names = self.attribute_names();
        let class_names = self.class_names();
        let attributes = self.build_attributes(&attribute_names);
        let classes = self.build_classes(&attribute_names, &class_names);
        let known = self.known(&attribute_names, &class_names);
        match known {
            Some(known) if self.faults.is_empty() => Ok(Schema {
                attributes,
                attribute_names,
                classes,
                class_names,
                rules: ArcSwap::default(),
                ldap: Vec::new(),
                language: Language::default(),
                defined: BTreeSet::new(),
                known,
            }),
            _ => Err(Error::Faults(self.faults)),
        }
    }

    fn attribute_names(&mut self) -> HashMap<SmolStr, AttrId> {
        let mut known = HashMap::new();
        let list: Vec<_> =
            self.attributes.iter().map(|(p, d)| (p.clone(), all_names(&d.name, &d.aliases, &d.oid))).collect();
        for (i, (path, names)) in list.into_iter().enumerate() {
            self.enter(&mut known, &path, names, AttrId::new(i));
        }
        known
    }

    fn class_names(&mut self) -> HashMap<SmolStr, ClassId> {
        let mut known = HashMap::new();
        let list: Vec<_> =
            self.classes.iter().map(|(p, d)| (p.clone(), all_names(&d.name, &d.aliases, &d.oid))).collect();
        for (i, (path, names)) in list.into_iter().enumerate() {
            self.enter(&mut known, &path, names, ClassId::new(i));
        }
        known
    }

    fn enter<T>(&mut self, known: &mut HashMap<SmolStr, T>, path: &Path, names: Vec<SmolStr>, id: T)
    where
        T: Copy,
    {
        let first = names.first().cloned().unwrap_or_default();
        for name in names {
            if name.len() > names::MAX_NAME || !(syntax::is_descr(&name) || syntax::is_oid(&name)) {
                self.fault(path, first.as_str(), format!("'{name}' is neither a name nor an OID (RFC 4512 1.4)"));
            }
            if known.insert(names::key(&name), id).is_some() {
                self.fault(path, first.as_str(), format!("'{name}' is defined twice"));
            }
        }
    }

    fn build_attributes(&mut self, known: &HashMap<SmolStr, AttrId>) -> Vec<Attribute> {
        let count = self.attributes.len();
        let named: Vec<_> = self.attributes.iter().map(|(p, d)| (p.clone(), d.name.clone(), d.sup.clone())).collect();
        let mut sups = vec![None; count];
        for (place, (path, name, sup)) in sups.iter_mut().zip(named) {
            let Some(sup) = sup else { continue };
            match known.get(&names::key(&sup)) {
                Some(id) => *place = Some(*id),
                None => self.fault(&path, name, format!("superior '{sup}' is not defined")),
            }
        }
        let chains: Vec<Vec<usize>> = (0..count).map(|i| self.chain(i, &sups)).collect();
        let mut built: Vec<Attribute> = (0..count).map(|i| self.build_attribute(i, &chains[i], sups[i])).collect();
        for (i, chain) in chains.iter().enumerate() {
            for above in chain.iter().skip(1) {
                built[*above].with_subtypes.push(AttrId::new(i));
            }
        }
        built
    }

    /// The attribute and its superiors, nearest first.
    fn chain(&mut self, start: usize, sups: &[Option<AttrId>]) -> Vec<usize> {
        let mut chain = vec![start];
        let mut at = start;
        while let Some(sup) = sups[at] {
            at = sup.index();
            if chain.contains(&at) {
                let (path, def) = &self.attributes[start];
                let (path, name) = (path.clone(), def.name.clone());
                self.fault(&path, name, "its superiors form a circle");
                break;
            }
            chain.push(at);
        }
        chain
    }

    fn build_attribute(&mut self, i: usize, chain: &[usize], sup: Option<AttrId>) -> Attribute {
        let inherited =
            |get: fn(&AttributeDef) -> Option<SmolStr>| chain.iter().find_map(|j| get(&self.attributes[*j].1));
        let (equality, ordering, substr) =
            (inherited(|d| d.equality.clone()), inherited(|d| d.ordering.clone()), inherited(|d| d.substr.clone()));
        let syntax = inherited(|d| d.syntax.clone());
        let (path, name) = (self.attributes[i].0.clone(), self.attributes[i].1.name.clone());
        let equality = self.rule(&path, &name, "equality", equality, matching::Use::Equality);
        let ordering = self.rule(&path, &name, "ordering", ordering, matching::Use::Ordering);
        let substr = self.rule(&path, &name, "substr", substr, matching::Use::Substrings);
        let syntax = match syntax {
            None => {
                self.fault(&path, name.as_str(), "neither it nor a superior names a syntax");
                Syntax::OctetString
            }
            Some(oid) => Syntax::by_oid(&oid).unwrap_or_else(|| {
                self.fault(&path, format!("{name}.syntax"), format!("syntax '{oid}' is not known"));
                Syntax::OctetString
            }),
        };
        let def = &self.attributes[i].1;
        Attribute {
            name: def.name.clone(),
            aliases: def.aliases.clone(),
            oid: def.oid.clone(),
            desc: def.desc.clone(),
            obsolete: def.obsolete,
            sup,
            equality,
            ordering,
            substr,
            syntax,
            length: def.length,
            single_value: def.single_value,
            no_user_modification: def.no_user_modification,
            usage: def.usage,
            with_subtypes: vec![AttrId::new(i)],
            own: Own {
                equality: def.equality.is_some(),
                ordering: def.ordering.is_some(),
                substr: def.substr.is_some(),
                syntax: def.syntax.is_some(),
            },
        }
    }

    fn rule(
        &mut self,
        path: &Path,
        name: &str,
        key: &str,
        rule: Option<SmolStr>,
        usage: matching::Use,
    ) -> Option<&'static Rule> {
        let wanted = rule?;
        let found = matching::rule(&wanted).filter(|r| r.usage == usage);
        if found.is_none() {
            self.fault(path, format!("{name}.{key}"), format!("'{wanted}' is not a known {key} rule"));
        }
        found
    }

    fn build_classes(&mut self, attrs: &HashMap<SmolStr, AttrId>, known: &HashMap<SmolStr, ClassId>) -> Vec<Class> {
        let defs = std::mem::take(&mut self.classes);
        let mut built: Vec<Class> = Vec::with_capacity(defs.len());
        for (path, def) in &defs {
            let sup = self.resolve(path, &def.name, "sup", &def.sup, known);
            let must = self.resolve(path, &def.name, "must", &def.must, attrs);
            let may = self.resolve(path, &def.name, "may", &def.may, attrs);
            built.push(Class {
                name: def.name.clone(),
                aliases: def.aliases.clone(),
                oid: def.oid.clone(),
                desc: def.desc.clone(),
                obsolete: def.obsolete,
                kind: def.kind,
                sup,
                superclasses: Vec::new(),
                must,
                may,
                all_must: Vec::new(),
                all_allowed: Vec::new(),
            });
        }
        for i in 0..built.len() {
            let superclasses = superclasses(&built, i);
            if superclasses.contains(&ClassId::new(i)) {
                self.fault(&defs[i].0, built[i].name.clone(), "its superclasses form a circle");
            }
            let with_self = || std::iter::once(ClassId::new(i)).chain(superclasses.iter().copied());
            let mut must: Vec<AttrId> = with_self().flat_map(|c| built[c.index()].must.clone()).collect();
            let mut allowed: Vec<AttrId> =
                with_self().flat_map(|c| built[c.index()].may.clone()).chain(must.clone()).collect();
            for attrs in [&mut must, &mut allowed] {
                attrs.sort_unstable();
                attrs.dedup();
            }
            built[i].all_must = must;
            built[i].all_allowed = allowed;
            built[i].superclasses = superclasses;
        }
        built
    }

    fn resolve<T: Copy>(
        &mut self,
        path: &Path,
        name: &str,
        key: &str,
        list: &[SmolStr],
        known: &HashMap<SmolStr, T>,
    ) -> Vec<T> {
        let mut out = Vec::with_capacity(list.len());
        for item in list {
            match known.get(&names::key(item)) {
                Some(id) => out.push(*id),
                None => self.fault(path, format!("{name}.{key}"), format!("'{item}' is not defined")),
            }
        }
        out
    }

    fn known(&mut self, attrs: &HashMap<SmolStr, AttrId>, classes: &HashMap<SmolStr, ClassId>) -> Option<Known> {
        let mut missing = Vec::new();
        let mut attr = |name: &str| {
            let id = attrs.get(&names::key(name)).copied();
            if id.is_none() {
                missing.push(name.to_owned());
            }
            id.unwrap_or(AttrId::new(0))
        };
        let mut known = Known {
            object_class: attr("objectClass"),
            user_password: attr("userPassword"),
            entry_uuid: attr("entryUUID"),
            entry_dn: attr("entryDN"),
            create_timestamp: attr("createTimestamp"),
            modify_timestamp: attr("modifyTimestamp"),
            creators_name: attr("creatorsName"),
            modifiers_name: attr("modifiersName"),
            structural_object_class: attr("structuralObjectClass"),
            subschema_subentry: attr("subschemaSubentry"),
            has_subordinates: attr("hasSubordinates"),
            num_subordinates: attr("numSubordinates"),
            member_of: attr("memberOf"),
            state: attr("vestibuleState"),
            lifecycle: attr("vestibuleLifecycle"),
            data_status: attr("vestibuleDataStatus"),
            init_state: attr("vestibuleInitState"),
            missing: attr("vestibuleMissing"),
            last_sync: attr("vestibuleLastSync"),
            last_backend_sync: attr("vestibuleLastBackendSync"),
            last_lifecycle_update: attr("vestibuleLastLifecycleUpdate"),
            ignore_lifecycle: attr("vestibuleIgnoreLifecycle"),
            deleted: attr("vestibuleDeleted"),
            former_name: attr("vestibuleFormerName"),
            deleted_time: attr("vestibuleDeletedTime"),
            init_date: attr("vestibuleInitDate"),
            sent_date: attr("vestibuleSentDate"),
            primary_employee_number: attr("vestibulePrimaryEmployeeNumber"),
            fused_from: attr("vestibuleFusedFrom"),
            fused_into: attr("vestibuleFusedInto"),
            ignore_fusion: attr("vestibuleIgnoreFusion"),
            history: attr("vestibuleHistory"),
            reason: attr("vestibuleReason"),
            custom_fields: attr("vestibuleCustomFields"),
            entry_csn: attr("entryCSN"),
            context_csn: attr("contextCSN"),
            cn: attr("cn"),
            sn: attr("sn"),
            uid: attr("uid"),
            reference: attr("ref"),
            subtree_specification: attr("subtreeSpecification"),
            aliased_object_name: attr("aliasedObjectName"),
            top: ClassId::new(0),
            extensible_object: ClassId::new(0),
            alias: ClassId::new(0),
            referral: ClassId::new(0),
            subentry: ClassId::new(0),
            inet_org_person: ClassId::new(0),
        };
        let mut class = |name: &str| {
            let id = classes.get(&names::key(name)).copied();
            if id.is_none() {
                missing.push(name.to_owned());
            }
            id.unwrap_or(ClassId::new(0))
        };
        known.top = class("top");
        known.extensible_object = class("extensibleObject");
        known.inet_org_person = class("inetOrgPerson");
        known.alias = class("alias");
        known.referral = class("referral");
        known.subentry = class("subentry");
        for name in &missing {
            self.fault(Path::new("schemas/ldap"), name.as_str(), "must be defined: the server itself uses it");
        }
        missing.is_empty().then_some(known)
    }
}

fn all_names(name: &SmolStr, aliases: &[SmolStr], oid: &SmolStr) -> Vec<SmolStr> {
    std::iter::once(name).chain(aliases).chain([oid]).cloned().collect()
}

fn superclasses(classes: &[Class], start: usize) -> Vec<ClassId> {
    let mut found: Vec<ClassId> = Vec::new();
    let mut next: Vec<ClassId> = classes[start].sup.clone();
    while let Some(id) = next.first().copied() {
        next.remove(0);
        if !found.contains(&id) {
            found.push(id);
            next.extend(&classes[id.index()].sup);
        }
    }
    found
}
