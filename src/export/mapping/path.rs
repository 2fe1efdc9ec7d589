//! Where a line of a map writes: the paths of SCIM (RFC 7644 section 3.10), as far as documents have
//! them, and plain columns.

use smol_str::SmolStr;
use std::fmt;

/// A place in a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// The URN of the extension that it is in.
    pub extension: Option<SmolStr>,
    pub name: SmolStr,
    pub inner: Inner,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inner {
    /// `name`
    Whole,
    /// `name.sub`
    Part(SmolStr),
    /// `name[].sub`, or `name[key eq "value"].sub`
    Element { of: Option<(SmolStr, SmolStr)>, sub: SmolStr },
}

impl Path {
    /// A column of this name, whatever characters are in it.
    pub fn column(name: &str) -> Result<Self, String> {
        if name.trim().is_empty() {
            return Err("expected the name of a column".to_owned());
        }
        Ok(Path { extension: None, name: SmolStr::new(name), inner: Inner::Whole })
    }

    pub fn parse(text: &str) -> Result<Self, String> {
        let expected = || {
            "expected a path such as title, name.givenName, emails[type eq \"work\"].value, entitlements[].value or urn:...:User:division"
                .to_owned()
        };
        let (extension, rest) = extension_of(text);
        let (name, inner) = match rest.split_once('[') {
            Some((name, rest)) => {
                let (of, sub) = rest.split_once("].").ok_or_else(expected)?;
                let of = match of.trim() {
                    "" => None,
                    of => Some(filter(of).ok_or_else(expected)?),
                };
                (name, Inner::Element { of, sub: attribute(sub).ok_or_else(expected)? })
            }
            None => match rest.split_once('.') {
                Some((name, sub)) => (name, Inner::Part(attribute(sub).ok_or_else(expected)?)),
                None => (rest, Inner::Whole),
            },
        };
        let name = attribute(name).ok_or_else(expected)?;
        Ok(Path { extension: extension.map(SmolStr::new), name, inner })
    }
}

impl Path {
    /// Without what is in brackets and without the extension.
    pub fn plain(&self) -> SmolStr {
        match &self.inner {
            Inner::Whole => self.name.clone(),
            Inner::Part(sub) | Inner::Element { sub, .. } => SmolStr::new(format!("{}.{sub}", self.name)),
        }
    }
}

/// URNs hold dots, so they go first: all to the last colon before a filter.
fn extension_of(text: &str) -> (Option<&str>, &str) {
    let head = text.split('[').next().unwrap_or(text);
    match head.rfind(':').and_then(|at| text.split_at_checked(at)) {
        Some((urn, rest)) if urn.to_ascii_lowercase().starts_with("urn:") => (Some(urn), rest.trim_start_matches(':')),
        _ => (None, text),
    }
}

/// `ATTRNAME` of RFC 7643 section 2.1, and `$ref`.
fn attribute(text: &str) -> Option<SmolStr> {
    let mut letters = text.chars();
    let first = letters.next().is_some_and(|c| c.is_ascii_alphabetic() || matches!(c, '$' | '_'));
    let rest = letters.all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
    (first && rest).then(|| SmolStr::new(text))
}

/// `key eq "value"`
fn filter(text: &str) -> Option<(SmolStr, SmolStr)> {
    let mut words = text.splitn(3, ' ');
    let (key, eq, value) = (words.next()?, words.next()?, words.next()?);
    let value: String = serde_json::from_str(value.trim()).ok()?;
    eq.eq_ignore_ascii_case("eq").then_some((attribute(key)?, SmolStr::new(value)))
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(urn) = &self.extension {
            write!(f, "{urn}:")?;
        }
        f.write_str(&self.name)?;
        match &self.inner {
            Inner::Whole => Ok(()),
            Inner::Part(sub) => write!(f, ".{sub}"),
            Inner::Element { of: None, sub } => write!(f, "[].{sub}"),
            Inner::Element { of: Some((key, value)), sub } => {
                write!(f, "[{key} eq {}].{sub}", serde_json::Value::from(value.as_str()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_come_back_as_they_were_written() {
        for text in [
            "title",
            "name.givenName",
            "emails[type eq \"work\"].value",
            "userTypes[].departmentExternalId",
            "members[].$ref",
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:division",
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value",
            "urn:x:y:1.0:User:places[kind eq \"a:b.c\"].code",
        ] {
            assert_eq!(Path::parse(text).map(|p| p.to_string()), Ok(text.to_owned()));
        }
        let path = Path::parse("urn:x:2.0:User:manager.value").unwrap();
        assert_eq!((path.extension.as_deref(), path.name.as_str()), (Some("urn:x:2.0:User"), "manager"));
    }

    #[test]
    fn what_is_no_path() {
        for text in ["", "a b", "a.b.c", "a[", "a[]", "a[type eq work].b", "a[type ne \"x\"].b", "1a", "urn:x:", "a."] {
            assert!(Path::parse(text).is_err(), "{text}");
        }
        assert!(Path::column(" ").is_err());
        assert_eq!(Path::column("Primary Email").unwrap().name, "Primary Email");
    }
}
