//! String preparation for matching (RFC 4518): mapping, normalisation, case folding,
//! insignificant characters. Accents are kept.

use std::borrow::Cow;
use unicode_normalization::UnicodeNormalization;

/// What the prepared string is used for: it decides which spaces at the ends count.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Whole,
    Initial,
    Any,
    Final,
}

/// Prepares a string; inner runs of spaces become one, outer ones go where they cannot match.
/// A value of spaces alone becomes one space.
pub(super) fn string(value: &str, fold_case: bool, part: Part) -> Cow<'_, str> {
    if value.is_ascii() {
        if is_prepared(value, fold_case) {
            return Cow::Borrowed(value);
        }
        let lower = |c: char| if fold_case { c.to_ascii_lowercase() } else { c };
        return Cow::Owned(squeeze(value.chars().filter_map(map).map(lower), part));
    }
    let mapped = value.chars().filter_map(map);
    if fold_case {
        let folded: String = caseless::default_case_fold_str(&mapped.nfkc().collect::<String>());
        Cow::Owned(squeeze(folded.nfkc(), part))
    } else {
        Cow::Owned(squeeze(mapped.nfkc(), part))
    }
}

/// The common case: plain ASCII that preparation leaves as it is.
fn is_prepared(value: &str, fold_case: bool) -> bool {
    let bytes = value.as_bytes();
    let mut before = b' ';
    for &b in bytes {
        if (b == b' ' && before == b' ') || b < 0x20 || b == 0x7f || (fold_case && b.is_ascii_uppercase()) {
            return false;
        }
        before = b;
    }
    before != b' '
}

/// RFC 4518 section 2.2: controls and soft marks vanish, all spaces become SPACE.
fn map(c: char) -> Option<char> {
    match c {
        '\t' | '\n' | '\u{b}' | '\u{c}' | '\r' | '\u{85}' => Some(' '),
        '\u{ad}' | '\u{34f}' | '\u{1806}' | '\u{180b}'..='\u{180d}' | '\u{fe00}'..='\u{fe0f}' | '\u{fffc}' => None,
        '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' => None,
        c if c.is_control() => None,
        c if c != ' ' && c.is_whitespace() => Some(' '),
        c => Some(c),
    }
}

fn squeeze(chars: impl Iterator<Item = char>, part: Part) -> String {
    let mut out = String::new();
    let keep_lead = matches!(part, Part::Any | Part::Final);
    let keep_trail = matches!(part, Part::Any | Part::Initial);
    let mut any = false;
    for c in chars {
        any = true;
        if c == ' ' && (out.ends_with(' ') || (out.is_empty() && !keep_lead)) {
            continue;
        }
        out.push(c);
    }
    if out.ends_with(' ') && !keep_trail {
        out.pop();
    }
    if out.is_empty() && any {
        out.push(' ');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_strings_prepare_alike() {
        for (a, b) in [
            ("Dupont", "DUPONT"),
            ("  Jean   Paul ", "jean paul"),
            ("ÉLODIE", "élodie"),
            ("e\u{301}lodie", "Élodie"),
            ("straße", "STRASSE"),
            ("a\u{a0}b", "A B"),
            ("soft\u{ad}hyphen", "softhyphen"),
            ("ﬁn", "fin"),
            ("ΣΑΣ", "σας"),
        ] {
            assert_eq!(string(a, true, Part::Whole), string(b, true, Part::Whole), "{a} {b}");
        }
    }

    #[test]
    fn different_strings_stay_different() {
        for (a, b) in [("Elodie", "Élodie"), ("ab", "a b"), ("a", "")] {
            assert_ne!(string(a, true, Part::Whole), string(b, true, Part::Whole));
        }
        assert_ne!(string("Abc", false, Part::Whole), string("abc", false, Part::Whole));
    }

    #[test]
    fn substring_parts_keep_the_spaces_that_can_match() {
        assert_eq!(string("  Jean ", true, Part::Initial), "jean ");
        assert_eq!(string("  x  ", true, Part::Any), " x ");
        assert_eq!(string(" Paul  ", true, Part::Final), " paul");
    }
}
