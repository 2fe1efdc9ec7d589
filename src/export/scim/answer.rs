//! What an answer of a SCIM server means: status, scimType and Retry-After to a fault.

use crate::{
    clock::Timestamp,
    export::{
        http::retry_after,
        target::{Document, Fault, Remote},
    },
};
use serde_json::Value;

/// An answer, read to its end.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    pub status: u16,
    pub etag: Option<String>,
    pub retry_after: Option<String>,
    /// `None` if the body is no JSON object.
    pub body: Option<Document>,
}

impl Answer {
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    pub fn scim_type(&self) -> Option<&str> {
        self.body.as_ref()?.get("scimType")?.as_str()
    }

    /// Whether this says that the form of a PATCH is not known there, rather than its content.
    pub fn refuses_patch(&self) -> bool {
        match self.status {
            405 | 501 => true,
            400 => matches!(self.scim_type(), Some("noTarget" | "invalidPath")),
            _ => false,
        }
    }

    /// Whether this says that the path means nothing there.
    pub fn is_invalid_path(&self) -> bool {
        self.scim_type() == Some("invalidPath")
    }

    /// The fault that an answer without success stands for.
    pub fn fault(&self, now: Timestamp) -> Fault {
        match self.status {
            401 | 403 => Fault::Closed(format!("the target refuses our token ({})", self.status)),
            300..=399 => Fault::Closed(format!("the target redirects elsewhere ({}): check base_url", self.status)),
            404 => Fault::NotFound,
            409 => Fault::Conflict(self.detail()),
            501 => Fault::Refused(self.detail()),
            408 | 425 | 429 | 500..=599 => {
                let retry_after = self.retry_after.as_deref().and_then(|text| retry_after(text, now));
                Fault::Busy { status: self.status, retry_after }
            }
            _ => Fault::Refused(self.detail()),
        }
    }

    /// What the server says of it, cut to a length that fits a status line.
    fn detail(&self) -> String {
        let detail = self.body.as_ref().and_then(|b| b.get("detail")).and_then(Value::as_str).unwrap_or_default();
        let detail: String = detail.chars().filter(|c| !c.is_control()).take(DETAIL_CHARS).collect();
        let parts = [self.status.to_string(), self.scim_type().unwrap_or_default().to_owned(), detail];
        parts.into_iter().filter(|p| !p.is_empty()).collect::<Vec<_>>().join(" ")
    }

    /// The object in the body.
    pub fn remote(&self) -> Option<Remote> {
        remote(self.body.as_ref()?, self.etag.clone())
    }
}

/// An object of a body or a list. Without an id it is none.
pub fn remote(document: &Document, etag: Option<String>) -> Option<Remote> {
    let id = match document.get("id")? {
        Value::String(id) if !id.is_empty() => id.clone(),
        Value::Number(id) => id.to_string(),
        _ => return None,
    };
    let version = document.get("meta").and_then(|m| m.get("version")).and_then(Value::as_str);
    Some(Remote {
        id,
        etag: etag.or_else(|| version.map(str::to_owned)),
        document: document.clone(),
        dropped: Vec::new(),
    })
}

const DETAIL_CHARS: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn answer(status: u16, body: Value) -> Answer {
        Answer { status, body: serde_json::from_value(body).ok(), ..Answer::default() }
    }

    #[test]
    fn statuses_become_faults() {
        let now = Timestamp::default();
        let busy = |status| Fault::Busy { status, retry_after: None };
        for (status, body, expected) in [
            (401, json!({}), Fault::Closed("the target refuses our token (401)".into())),
            (302, json!({}), Fault::Closed("the target redirects elsewhere (302): check base_url".into())),
            (404, json!(null), Fault::NotFound),
            (409, json!({"scimType": "uniqueness", "detail": "taken"}), Fault::Conflict("409 uniqueness taken".into())),
            (400, json!({"detail": "a\nb"}), Fault::Refused("400 ab".into())),
            (413, json!(null), Fault::Refused("413".into())),
            (501, json!(null), Fault::Refused("501".into())),
            (425, json!(null), busy(425)),
            (500, json!(null), busy(500)),
        ] {
            assert_eq!(answer(status, body).fault(now), expected, "{status}");
        }
    }

    #[test]
    fn the_form_of_a_patch_can_be_refused() {
        for (status, kind, expected) in
            [(501, "", true), (405, "", true), (400, "noTarget", true), (400, "invalidValue", false), (500, "", false)]
        {
            assert_eq!(answer(status, json!({ "scimType": kind })).refuses_patch(), expected, "{status} {kind}");
        }
    }

    #[test]
    fn ids_are_read_from_the_body() {
        let id = |v: Value| answer(201, v).remote().map(|r| r.id);
        assert_eq!(id(json!({"id": "a"})), Some("a".to_owned()));
        assert_eq!(id(json!({"id": 7})), Some("7".to_owned()));
        assert_eq!(id(json!({"id": ""})), None);
        assert_eq!(id(json!({})), None);
    }
}
