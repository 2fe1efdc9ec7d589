//! Password storage schemes by their `{PREFIX}` (RFC 3112 and the forms that directories use).

use super::argon;
use crate::limits::HASH_COST;
use base64::{Engine, engine::general_purpose::STANDARD};
use secrecy::{ExposeSecret, SecretString};
use sha_crypt::{PasswordVerifier, ShaCrypt};
use sha1::{Digest, Sha1};
use sha2::{Sha256, Sha512};
use subtle::ConstantTimeEq;

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("a password must not be empty")]
    Empty,
    #[error(
        "password scheme {{{0}}} is not supported; send the password itself, or {{ARGON2}}, {{SSHA}}, {{SSHA256}}, {{SSHA512}}, {{SHA}}, {{SHA256}}, {{SHA512}} or {{CRYPT}}$5$/$6$"
    )]
    Scheme(String),
    #[error("the hash behind {{{0}}} is malformed, or costs more to verify than is allowed")]
    Malformed(String),
    #[error("hashing failed")]
    Hashing,
}

/// True if the value is a hash that [`verify`] can check; an error if it looks like one that it
/// cannot, since hashing a hash would lock its owner out.
pub fn is_hashed(value: &[u8]) -> Result<bool, Error> {
    let Some((scheme, rest)) = split(value) else { return Ok(false) };
    let malformed = || Error::Malformed(scheme.clone());
    let salted = |length: usize| STANDARD.decode(rest).is_ok_and(|b| b.len() > length);
    let plain = |length: usize| STANDARD.decode(rest).is_ok_and(|b| b.len() == length);
    let text = std::str::from_utf8(rest).unwrap_or_default();
    let ok = match scheme.as_str() {
        "ARGON2" => argon::is_hash(text),
        "SSHA" => salted(20),
        "SSHA256" => salted(32),
        "SSHA512" => salted(64),
        "SHA" => plain(20),
        "SHA256" => plain(32),
        "SHA512" => plain(64),
        "CRYPT" if text.starts_with("$5$") || text.starts_with("$6$") => is_crypt(text),
        "CRYPT" | "MD5" | "SMD5" | "PBKDF2" | "PBKDF2-SHA1" | "PBKDF2-SHA256" | "PBKDF2-SHA512" | "PBKDF2_SHA256"
        | "BCRYPT" | "SASL" | "KERBEROS" | "NS-MTA-MD5" | "CRYPT-MD5" | "CRYPT-SHA256" | "CRYPT-SHA512" => {
            return Err(Error::Scheme(scheme));
        }
        // A password that happens to begin with a brace.
        _ => return Ok(false),
    };
    if ok { Ok(true) } else { Err(malformed()) }
}

/// `{ARGON2}$argon2id$...` with a random salt. Takes tens of milliseconds of one core.
pub fn hash(password: &[u8]) -> Result<Vec<u8>, Error> {
    if password.is_empty() {
        return Err(Error::Empty);
    }
    Ok(format!("{{ARGON2}}{}", argon::hash(password)?).into_bytes())
}

/// Compares in constant time. False for a scheme that is not known.
pub fn verify(password: &[u8], stored: &[u8]) -> bool {
    let Some((scheme, rest)) = split(stored) else { return false };
    let text = std::str::from_utf8(rest).unwrap_or_default();
    match scheme.as_str() {
        "ARGON2" => argon::verify(password, text),
        "SSHA" | "SHA" => digest::<Sha1>(password, rest, 20),
        "SSHA256" | "SHA256" => digest::<Sha256>(password, rest, 32),
        "SSHA512" | "SHA512" => digest::<Sha512>(password, rest, 64),
        "CRYPT" if !is_crypt(text) => false,
        "CRYPT" => sha_crypt::PasswordHashRef::new(text)
            .is_ok_and(|h| ShaCrypt::default().verify_password(password, h).is_ok()),
        _ => false,
    }
}

/// A random password for one to be handed over, 20 characters without look-alikes.
pub fn generate() -> SecretString {
    const LETTERS: &[u8] = b"ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnpqrstuvwxyz23456789";
    // Each UUID carries 122 random bits of the operating system's generator.
    let random = (0..2).flat_map(|_| uuid::Uuid::new_v4().into_bytes());
    let letters = random.filter_map(|b| LETTERS.get(usize::from(b) % LETTERS.len())).take(20);
    SecretString::from(letters.map(|b| char::from(*b)).collect::<String>())
}

/// Hash, then salt; an empty salt for the unsalted schemes.
fn digest<D: Digest>(password: &[u8], encoded: &[u8], length: usize) -> bool {
    let Ok(bytes) = STANDARD.decode(encoded) else { return false };
    let Some((hash, salt)) = bytes.split_at_checked(length) else { return false };
    let computed = D::new().chain_update(password).chain_update(salt).finalize();
    computed.as_slice().ct_eq(hash).into()
}

/// `$5$` or `$6$`, perhaps `rounds=N$`, salt, `$`, hash; at a bearable cost.
fn is_crypt(text: &str) -> bool {
    let mut parts = text.split('$').skip(1);
    let length = match parts.next() {
        Some("5") => 43,
        Some("6") => 86,
        _ => return false,
    };
    let mut salt = parts.next();
    if let Some(rounds) = salt.and_then(|s| s.strip_prefix("rounds=")) {
        if !rounds.parse().is_ok_and(|n: u32| n <= HASH_COST.crypt_rounds) {
            return false;
        }
        salt = parts.next();
    }
    let hash = parts.next();
    salt.is_some_and(|s| s.len() <= 16) && hash.is_some_and(|h| h.len() == length) && parts.next().is_none()
}

/// `{SCHEME}rest`, the scheme in capitals.
fn split(value: &[u8]) -> Option<(String, &[u8])> {
    let inner = value.strip_prefix(b"{")?;
    let end = inner.iter().position(|b| *b == b'}')?;
    let (scheme, rest) = inner.split_at_checked(end)?;
    let scheme = std::str::from_utf8(scheme).ok()?.to_ascii_uppercase();
    Some((scheme, rest.get(1..)?))
}

/// Compares a configured secret, such as the administrator's password, in constant time.
pub fn same_secret(given: &[u8], secret: &SecretString) -> bool {
    // Digests first: comparing them leaks no length.
    let digest = |bytes: &[u8]| Sha256::digest(bytes);
    digest(given).ct_eq(&digest(secret.expose_secret().as_bytes())).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_hashes_are_argon2id_and_verify() {
        let stored = hash("sésame".as_bytes()).unwrap();
        assert!(stored.starts_with(b"{ARGON2}$argon2id$v=19$"));
        assert!(is_hashed(&stored).unwrap());
        assert!(verify("sésame".as_bytes(), &stored));
        assert!(!verify(b"sesame", &stored));
        assert_eq!(hash(b""), Err(Error::Empty));
    }

    #[test]
    fn imported_hashes_verify() {
        for stored in [
            "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=",
            "{SSHA}hbY+ss3UB6A8eNV2FZgzN2cHF4hzYWx0",
            "{SHA256}XohImNooBHFR0OVvjcYpJ3NgPQ1qq73WKhHvch0VQtg=",
            "{ARGON2}$argon2id$v=19$m=64,t=1,p=1$DDD7U8GEqF0$ut3rbc6KKvw9Lfp3i+JKZA",
            "{CRYPT}$6$saltsalt$qFmFH.bQmmtXzyBY0s9v7Oicd2z4XSIecDzlB5KiA2/jctKu9YterLp8wwnSq.qc.eoxqOmSuNp2xS0ktL3nh/",
        ] {
            assert_eq!(is_hashed(stored.as_bytes()), Ok(true), "{stored}");
            assert!(!verify(b"wrong", stored.as_bytes()), "{stored}");
        }
        assert!(verify(b"password", b"{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g="));
        assert!(verify(b"password", b"{ARGON2}$argon2id$v=19$m=64,t=1,p=1$DDD7U8GEqF0$ut3rbc6KKvw9Lfp3i+JKZA"));
        assert!(verify(b"password", b"{SHA256}XohImNooBHFR0OVvjcYpJ3NgPQ1qq73WKhHvch0VQtg="));
        assert!(verify(b"password", b"{CRYPT}$6$saltsalt$qFmFH.bQmmtXzyBY0s9v7Oicd2z4XSIecDzlB5KiA2/jctKu9YterLp8wwnSq.qc.eoxqOmSuNp2xS0ktL3nh/"));
    }

    #[test]
    fn unknown_schemes_are_refused_not_hashed_again() {
        assert_eq!(is_hashed(b"{MD5}X03MO1qnZdYdgyfeuILPmQ=="), Err(Error::Scheme("MD5".into())));
        assert_eq!(is_hashed(b"{SSHA}short"), Err(Error::Malformed("SSHA".into())));
        for dear in [
            "{ARGON2}$argon2id$v=19$m=4294967295,t=1,p=1$DDD7U8GEqF0$ut3rbc6KKvw9Lfp3i+JKZA",
            "{ARGON2}$argon2id$v=19$m=64,t=4294967295,p=1$DDD7U8GEqF0$ut3rbc6KKvw9Lfp3i+JKZA",
            "{CRYPT}$6$rounds=999999999$saltsalt$qFmFH.bQmmtXzyBY0s9v7Oicd2z4XSIecDzlB5KiA2/jctKu9YterLp8wwnSq.qc.eoxqOmSuNp2xS0ktL3nh/",
            "{CRYPT}$6$saltsalt",
        ] {
            assert!(matches!(is_hashed(dear.as_bytes()), Err(Error::Malformed(_))), "{dear}");
            assert!(!verify(b"x", dear.as_bytes()));
        }
        assert_eq!(is_hashed(b"{curly} password"), Ok(false));
        assert_eq!(is_hashed(b"password"), Ok(false));
    }
}
