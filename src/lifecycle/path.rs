//! Paths of filter documents: which of them can ever find something in the Sesame document of an
//! identity.

use crate::{filter::query::Query, schema::Schema};

/// What a document may hold beside its attributes.
const MEMBERS: [&str; 19] = [
    "_id",
    "state",
    "lifecycle",
    "dataStatus",
    "initState",
    "deletedFlag",
    "ignoreLifecycle",
    "ignoreFusion",
    "lastSync",
    "lastBackendSync",
    "lastLifecycleUpdate",
    "fingerprint",
    "initInfo",
    "primaryEmployeeNumber",
    "srcFusionId",
    "destFusionId",
    "customFields",
    "metadata",
    "inetOrgPerson",
];

/// Names the first path of the query that no identity has, and what is wrong with it.
pub fn check_paths(query: &Query, schema: &Schema) -> Result<(), (String, String)> {
    query.paths().into_iter().try_for_each(|path| check(&path, schema).map_err(|why| (path, why)))
}

fn check(path: &str, schema: &Schema) -> Result<(), String> {
    let steps: Vec<&str> = path.split('.').collect();
    let known = |name: &str| match schema.attr_id(name) {
        Some(_) => Ok(()),
        None => Err(format!("'{name}' is an attribute that the schema does not know")),
    };
    match steps.as_slice() {
        ["inetOrgPerson", name, ..] => known(name),
        ["additionalFields"] | ["additionalFields", "attributes"] => Ok(()),
        ["additionalFields", "objectClasses" | "validations", ..] => Ok(()),
        ["additionalFields", "attributes", class, rest @ ..] => match schema.class_id(class) {
            None => Err(format!("'{class}' is a class that the schema does not know")),
            Some(_) => rest.first().map_or(Ok(()), |name| known(name)),
        },
        [first, ..] if MEMBERS.contains(first) => Ok(()),
        _ => Err("identities have no such field".to_owned()),
    }
}
