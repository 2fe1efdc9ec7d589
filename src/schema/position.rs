//! The line on which a key of a YAML file stands, for diagnostics. The YAML reader knows the place
//! of what it refuses, so that the key sought is refused on purpose, and the place read off.

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// The line of the last of `keys`, or of the nearest above it that is there. List items are named
/// by their number from 0.
pub fn line_of(text: &str, keys: &[&str]) -> Option<usize> {
    (1..=keys.len()).rev().find_map(|length| exact(text, keys.get(..length)?))
}

fn exact(text: &str, keys: &[&str]) -> Option<usize> {
    let error = Seek(keys).deserialize(serde_yaml::Deserializer::from_str(text)).err()?;
    error.to_string().contains(FOUND).then(|| error.location().map(|l| l.line())).flatten()
}

const FOUND: &str = "this is the key sought";

/// Walks down the keys; without any left, this is the place.
struct Seek<'a>(&'a [&'a str]);

impl<'de> DeserializeSeed<'de> for Seek<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seek<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Some((first, rest)) = self.0.split_first() else { return Err(A::Error::custom(FOUND)) };
        while let Some(is_it) = map.next_key_seed(Key { sought: first, last: rest.is_empty() })? {
            match is_it {
                true => map.next_value_seed(Seek(rest))?,
                false => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let Some((first, rest)) = self.0.split_first() else { return Err(A::Error::custom(FOUND)) };
        let sought = first.parse::<usize>().ok();
        let mut at = 0;
        loop {
            let more = match sought == Some(at) {
                true => list.next_element_seed(Seek(rest))?.is_some(),
                false => list.next_element::<IgnoredAny>()?.is_some(),
            };
            if !more {
                return Ok(());
            }
            at += 1;
        }
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        self.here()
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        self.here()
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        self.here()
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        self.here()
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        self.here()
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.here()
    }
}

impl Seek<'_> {
    fn here<E: Error>(&self) -> Result<(), E> {
        if self.0.is_empty() { Err(E::custom(FOUND)) } else { Ok(()) }
    }
}

/// A key of a mapping: whether it is the one sought, which is refused if it is the last.
struct Key<'a> {
    sought: &'a str,
    last: bool,
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<bool, E> {
        match key == self.sought {
            true if self.last => Err(E::custom(FOUND)),
            is_it => Ok(is_it),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_on_their_line() {
        let text = "# first\ntype: object\nproperties:\n  a: {type: string, format: date}\n  b:\n    type: array\n    items:\n      type: string\nrequired:\n  - a\n  - b\nlist: [x, y]\n";
        for (keys, line) in [
            (&["type"][..], Some(2)),
            (&["properties"], Some(3)),
            (&["properties", "a"], Some(4)),
            (&["properties", "a", "format"], Some(4)),
            (&["properties", "b", "items", "type"], Some(8)),
            (&["required", "1"], Some(11)),
            (&["list", "0"], Some(12)),
            // The nearest above.
            (&["properties", "b", "pattern"], Some(5)),
            (&["nowhere"], None),
        ] {
            assert_eq!(line_of(text, keys), line, "{keys:?}");
        }
        assert_eq!(line_of("a: [", &["a", "b"]), Some(1));
        assert_eq!(line_of(": : :", &["a"]), None);
    }
}
