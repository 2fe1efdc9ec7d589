//! What a server says of itself (RFC 7644 section 4, RFC 7643 sections 5 and 6). Whatever it does not
//! say is left to the profile: discovery is a help, never a condition.

use crate::export::target::{Document, Resource};
use serde_json::Value;

/// What was announced; `None` where nothing was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Announced {
    pub patch: Option<bool>,
    pub bulk: Option<Bulk>,
    pub etag: Option<bool>,
    /// Results in one answer at most.
    pub max_results: Option<usize>,
    /// The extensions that a User may carry.
    pub user_extensions: Option<Vec<String>>,
    /// Those of a Group.
    pub group_extensions: Option<Vec<String>>,
}

/// Limits of one bulk request (RFC 7643 section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bulk {
    pub operations: usize,
    pub bytes: usize,
}

impl Announced {
    /// From the answers of /ServiceProviderConfig and /ResourceTypes, as far as there were any.
    pub fn read(config: Option<&Document>, types: Option<&Document>) -> Self {
        let mut announced = Announced::default();
        if let Some(config) = config {
            let supported = |name: &str| config.get(name)?.get("supported")?.as_bool();
            announced.patch = supported("patch");
            announced.etag = supported("etag");
            announced.max_results = size(config, "filter", "maxResults");
            if supported("bulk") == Some(true) {
                let limits = (size(config, "bulk", "maxOperations"), size(config, "bulk", "maxPayloadSize"));
                announced.bulk = match limits {
                    (Some(operations), Some(bytes)) => Some(Bulk { operations, bytes }),
                    _ => None,
                };
            }
        }
        let list = types.and_then(|t| t.get("Resources")).and_then(Value::as_array);
        for of in list.into_iter().flatten().filter_map(Value::as_object) {
            // A server of the tests spells the name in small letters, as Entra does.
            let name = of.get("name").and_then(Value::as_str).unwrap_or_default().to_lowercase();
            match name.as_str() {
                "user" => announced.user_extensions = Some(extensions(of)),
                "group" => announced.group_extensions = Some(extensions(of)),
                _ => {}
            }
        }
        announced
    }

    /// Whether an extension may be sent: unless the server lists others and not this one.
    pub fn takes(&self, resource: Resource, urn: &str) -> bool {
        let listed = match resource {
            Resource::User => &self.user_extensions,
            _ => &self.group_extensions,
        };
        listed.as_ref().is_none_or(|list| list.iter().any(|known| known.eq_ignore_ascii_case(urn)))
    }
}

/// A size above zero.
fn size(config: &Document, of: &str, name: &str) -> Option<usize> {
    let number = config.get(of)?.get(name)?.as_u64().filter(|number| *number > 0)?;
    usize::try_from(number).ok()
}

fn extensions(of: &Document) -> Vec<String> {
    let list = of.get("schemaExtensions").and_then(Value::as_array);
    list.into_iter().flatten().filter_map(|e| e.get("schema")?.as_str()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::mapping::ENTERPRISE;
    use serde_json::json;

    fn doc(value: Value) -> Document {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn what_is_announced_is_read_and_the_rest_is_open() {
        let config = doc(json!({
            "patch": {"supported": true}, "etag": {"supported": false}, "filter": {"maxResults": 200},
            "bulk": {"supported": true, "maxOperations": 1000, "maxPayloadSize": 1048576},
        }));
        let types = doc(json!({"Resources": [
            {"name": "user", "schemaExtensions": [{"schema": ENTERPRISE, "required": false}]}, {"name": "Group"},
        ]}));
        let announced = Announced::read(Some(&config), Some(&types));
        assert_eq!(announced.bulk, Some(Bulk { operations: 1000, bytes: 1_048_576 }));
        assert_eq!((announced.patch, announced.etag, announced.max_results), (Some(true), Some(false), Some(200)));
        assert!(announced.takes(Resource::User, ENTERPRISE));
        assert!(!announced.takes(Resource::User, "urn:other"));
        assert!(!announced.takes(Resource::Group, ENTERPRISE));
        let nothing = Announced::read(None, Some(&doc(json!({"Resources": "none"}))));
        assert_eq!(nothing, Announced::default());
        assert!(nothing.takes(Resource::User, "urn:other"));
    }

    #[test]
    fn limits_of_zero_are_none() {
        let config = doc(json!({"bulk": {"supported": true, "maxOperations": 0, "maxPayloadSize": 0}}));
        assert_eq!(Announced::read(Some(&config), None).bulk, None);
        let config = doc(json!({"bulk": {"supported": false, "maxOperations": 9, "maxPayloadSize": 9}}));
        assert_eq!(Announced::read(Some(&config), None).bulk, None);
    }
}
