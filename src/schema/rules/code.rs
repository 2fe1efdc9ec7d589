//! Codes that carry their own proof or a fixed form: UAI, SIRET, INE, telephone numbers.

use crate::schema::{Reason, Said};

/// An establishment's number: 7 digits and a letter, which is their remainder by 23 in the alphabet
/// without I, O and Q.
pub(super) fn uai(value: &str) -> Result<(), Reason> {
    const LETTERS: &[u8; 23] = b"ABCDEFGHJKLMNPRSTUVWXYZ";
    let form = || Reason::new(Said::UaiForm);
    let (digits, letter) = value.split_at_checked(7).ok_or_else(form)?;
    let &[letter] = letter.as_bytes() else { return Err(form()) };
    if !digits.bytes().all(|b| b.is_ascii_digit()) || !letter.is_ascii_alphabetic() {
        return Err(form());
    }
    let number: usize = digits.parse().map_err(|_| form())?;
    match LETTERS.get(number % LETTERS.len()) == Some(&letter.to_ascii_uppercase()) {
        true => Ok(()),
        false => Err(Reason::new(Said::UaiLetter)),
    }
}

/// 7 digits and a letter, whatever the letter proves.
pub(super) fn looks_like_uai(value: &str) -> bool {
    let digits = value.bytes().take_while(u8::is_ascii_digit).count();
    value.len() == 8 && digits == 7 && value.ends_with(|c: char| c.is_ascii_alphabetic())
}

pub(super) fn looks_like_siret(value: &str) -> bool {
    value.len() == 14 && value.bytes().all(|b| b.is_ascii_digit())
}

/// A place of business: 14 digits with Luhn's sum (ISO/IEC 7812-1). The post office has more places
/// than that sum has numbers, so that a plain sum by 5 serves for it.
pub(super) fn siret(value: &str) -> Result<(), Reason> {
    const POST_OFFICE: &str = "356000000";
    if !looks_like_siret(value) {
        return Err(Reason::new(Said::SiretForm));
    }
    let digits = || value.bytes().rev().map(|b| u32::from(b - b'0'));
    let luhn: u32 = digits().enumerate().map(|(at, d)| if at % 2 == 1 { 2 * d / 10 + 2 * d % 10 } else { d }).sum();
    let plain: u32 = digits().sum();
    let proven = luhn.is_multiple_of(10) || value.starts_with(POST_OFFICE) && plain.is_multiple_of(5);
    if proven { Ok(()) } else { Err(Reason::new(Said::SiretSum)) }
}

/// A national student number in one of its three forms: 10 digits and a letter (schools), 9 digits
/// and 2 letters (the national register), letters and digits with a digit at the end (universities).
pub(super) fn ine(value: &str) -> Result<(), Reason> {
    let digits = value.bytes().take_while(u8::is_ascii_digit).count();
    let rest_is_letters = value.bytes().skip(digits).all(|b| b.is_ascii_alphabetic());
    let mixed = value.bytes().all(|b| b.is_ascii_alphanumeric()) && value.ends_with(|c: char| c.is_ascii_digit());
    let has_form = matches!(digits, 9 | 10) && rest_is_letters || mixed;
    if value.len() == 11 && has_form { Ok(()) } else { Err(Reason::new(Said::Ine)) }
}

/// A telephone number as the network has it (ITU-T E.164): a plus sign and at most 15 digits.
pub(super) fn e164(value: &str) -> Result<(), Reason> {
    let digits = value.strip_prefix('+').unwrap_or_default();
    let has_form =
        (2..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0');
    if has_form { Ok(()) } else { Err(Reason::new(Said::E164)) }
}
