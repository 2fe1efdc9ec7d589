//! What a client certificate says of its owner (RFC 5280): the name of its subject as a DN, and the
//! values that filters can ask for. TLS has verified it before it comes here.

use crate::{dn::escape_value, entry::ber, schema::Schema};
use x509_parser::{
    certificate::X509Certificate,
    extensions::GeneralName,
    prelude::FromDer,
    x509::{AttributeTypeAndValue, RelativeDistinguishedName},
};

pub struct Certificate<'c>(X509Certificate<'c>);

/// Values by other names than those of attribute types.
const EMAIL: &str = "email";
const DNS: &str = "dns";
const URI: &str = "uri";
/// The user principal name of Active Directory.
const UPN: &str = "upn";

const EMAIL_OID: &str = "1.2.840.113549.1.9.1";
const UPN_OID: &str = "1.3.6.1.4.1.311.20.2.3";

impl<'c> Certificate<'c> {
    pub fn parse(der: &'c [u8]) -> Option<Self> {
        X509Certificate::from_der(der).ok().map(|(_, certificate)| Certificate(certificate))
    }

    /// The subject as text of RFC 4514, which begins at the other end; `None` if a value is no text.
    pub fn subject(&self, schema: &Schema) -> Option<String> {
        let rdns: Option<Vec<String>> = self.0.subject().iter().map(|rdn| relative(rdn, schema)).collect();
        let mut rdns = rdns?;
        rdns.reverse();
        Some(rdns.join(","))
    }

    /// True for the names of values that a certificate may have: those above, and attribute types
    /// for the parts of the subject.
    pub fn may_have(name: &str, schema: &Schema) -> bool {
        [EMAIL, DNS, URI, UPN].contains(&name) || schema.attr_id(name).is_some()
    }

    pub fn values(&self, name: &str, schema: &Schema) -> Vec<String> {
        let of_subject = |wanted: &dyn Fn(&str) -> bool| {
            let parts = self.0.subject().iter_attributes();
            let parts = parts.filter(|part| wanted(&part.attr_type().to_id_string()));
            parts.filter_map(text).collect::<Vec<_>>()
        };
        match name {
            EMAIL => {
                let mut found = of_subject(&|oid| oid == EMAIL_OID);
                found.extend(self.alternatives(|name| match name {
                    GeneralName::RFC822Name(mail) => Some((*mail).to_owned()),
                    _ => None,
                }));
                found
            }
            DNS => self.alternatives(|name| match name {
                GeneralName::DNSName(host) => Some((*host).to_owned()),
                _ => None,
            }),
            URI => self.alternatives(|name| match name {
                GeneralName::URI(uri) => Some((*uri).to_owned()),
                _ => None,
            }),
            UPN => self.alternatives(|name| match name {
                GeneralName::OtherName(oid, value) if oid.to_id_string() == UPN_OID => inner_text(value),
                _ => None,
            }),
            _ => {
                let wanted = schema.attr_id(name);
                of_subject(&|oid| wanted.is_some() && schema.attr_id(oid) == wanted)
            }
        }
    }

    fn alternatives(&self, pick: impl Fn(&GeneralName<'_>) -> Option<String>) -> Vec<String> {
        match self.0.subject_alternative_name() {
            Ok(Some(extension)) => extension.value.general_names.iter().filter_map(pick).collect(),
            _ => Vec::new(),
        }
    }
}

fn relative(rdn: &RelativeDistinguishedName<'_>, schema: &Schema) -> Option<String> {
    let part = |part: &AttributeTypeAndValue<'_>| {
        let oid = part.attr_type().to_id_string();
        let name = schema.attr_id(&oid).map_or(oid, |id| schema.attribute(id).name.to_string());
        text(part).map(|value| format!("{name}={}", escape_value(value.as_bytes())))
    };
    rdn.iter().map(part).collect::<Option<Vec<_>>>().map(|parts| parts.join("+"))
}

fn text(part: &AttributeTypeAndValue<'_>) -> Option<String> {
    part.as_str().ok().map(str::to_owned)
}

/// The value of an otherName: explicitly tagged text (RFC 5280 section 4.2.1.6).
fn inner_text(bytes: &[u8]) -> Option<String> {
    let outer = ber::Reader::new(bytes).next_element()??;
    let inner = ber::Reader::at(bytes, outer.content).next_element()??;
    String::from_utf8(bytes.get(inner.content)?.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Sources;
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, SanType};

    #[test]
    fn names_and_values_of_a_certificate() {
        let mut params = CertificateParams::default();
        let mut subject = DistinguishedName::new();
        subject.push(DnType::from_oid(&[0, 9, 2342, 19_200_300, 100, 1, 25]), "org");
        subject.push(DnType::OrganizationalUnitName, "people");
        subject.push(DnType::CommonName, "Martin, Anaïs");
        subject.push(DnType::from_oid(&[1, 2, 840, 113_549, 1, 9, 1]), "first@valmont.example");
        params.distinguished_name = subject;
        let upn = SanType::OtherName((vec![1, 3, 6, 1, 4, 1, 311, 20, 2, 3], "anais@valmont".into()));
        let mail = SanType::Rfc822Name("second@valmont.example".try_into().unwrap());
        params.subject_alt_names = vec![upn, mail, SanType::DnsName("pc.valmont.example".try_into().unwrap())];
        let made = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let schema = Schema::compile(&Sources::shipped()).unwrap();
        let certificate = Certificate::parse(made.der()).unwrap();

        let subject = certificate.subject(&schema).unwrap();
        let key = schema.dn_value_key(&subject).unwrap_or_else(|| panic!("{subject}"));
        let mail = r"1.2.840.113549.1.9.1=first@valmont.example";
        let expected = format!(r"{mail},cn=MARTIN\, Anaïs,ou=People,dc=org");
        assert_eq!(Some(key), schema.dn_value_key(&expected), "{subject}");
        for (name, expected) in [
            ("email", &["first@valmont.example", "second@valmont.example"][..]),
            ("upn", &["anais@valmont"]),
            ("dns", &["pc.valmont.example"]),
            ("cn", &["Martin, Anaïs"]),
            ("commonName", &["Martin, Anaïs"]),
            ("uri", &[]),
            ("uid", &[]),
            ("no such thing", &[]),
        ] {
            assert_eq!(certificate.values(name, &schema), expected, "{name}");
        }
        assert!(Certificate::parse(b"no certificate").is_none());
    }
}
