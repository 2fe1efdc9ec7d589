//! The text form of filters (RFC 4515), for configuration files and the command line.

use super::Ast;
use smol_str::SmolStr;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at character {at} of the filter: {reason}")]
pub struct ParseError {
    pub at: usize,
    pub reason: &'static str,
}

pub fn parse(text: &str) -> Result<Ast, ParseError> {
    let mut reader = Reader { text, at: 0, depth: 0 };
    reader.spaces();
    let ast = if reader.peek() == Some(b'(') { reader.group()? } else { reader.item()? };
    reader.spaces();
    match reader.peek() {
        None => Ok(ast),
        Some(_) => Err(reader.error("expected the end")),
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

const MAX_DEPTH: usize = 64;

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn spaces(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\t')) {
            self.at += 1;
        }
    }

    fn error(&self, reason: &'static str) -> ParseError {
        ParseError { at: self.at, reason }
    }

    fn expect(&mut self, byte: u8, reason: &'static str) -> Result<(), ParseError> {
        if self.peek() != Some(byte) {
            return Err(self.error(reason));
        }
        self.at += 1;
        Ok(())
    }

    fn group(&mut self) -> Result<Ast, ParseError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.error("nested too deeply"));
        }
        self.expect(b'(', "expected '('")?;
        self.spaces();
        let ast = match self.peek() {
            Some(b'&') => Ast::And(self.list()?),
            Some(b'|') => Ast::Or(self.list()?),
            Some(b'!') => {
                self.at += 1;
                self.spaces();
                Ast::Not(Box::new(self.group()?))
            }
            _ => self.item()?,
        };
        self.spaces();
        self.expect(b')', "expected ')'")?;
        self.depth -= 1;
        Ok(ast)
    }

    fn list(&mut self) -> Result<Vec<Ast>, ParseError> {
        self.at += 1;
        let mut list = Vec::new();
        loop {
            self.spaces();
            if self.peek() != Some(b'(') {
                return Ok(list);
            }
            list.push(self.group()?);
        }
    }

    fn item(&mut self) -> Result<Ast, ParseError> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let stop = rest.find(')').unwrap_or(rest.len());
        let item = rest.get(..stop).unwrap_or_default();
        let (left, value) = item.split_once('=').ok_or_else(|| self.error("expected '='"))?;
        if left.is_empty() {
            return Err(self.error("expected an attribute before '='"));
        }
        let ast = match left.as_bytes().last() {
            Some(b'>') => Ast::GreaterOrEqual(self.attr(left, '>')?, self.value(value)?),
            Some(b'<') => Ast::LessOrEqual(self.attr(left, '<')?, self.value(value)?),
            Some(b'~') => Ast::Approx(self.attr(left, '~')?, self.value(value)?),
            Some(b':') => self.extensible(left, value)?,
            _ if value == "*" => Ast::Present(self.attr(left, ' ')?),
            _ if value.contains('*') => self.substring(left, value)?,
            _ => Ast::Equal(self.attr(left, ' ')?, self.value(value)?),
        };
        self.at += stop;
        Ok(ast)
    }

    fn attr(&self, left: &str, suffix: char) -> Result<SmolStr, ParseError> {
        let name = left.trim_end_matches(suffix).trim();
        let ok = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.;_".contains(&b));
        if ok { Ok(SmolStr::new(name)) } else { Err(self.error("expected an attribute description")) }
    }

    fn substring(&self, left: &str, value: &str) -> Result<Ast, ParseError> {
        let mut parts: Vec<&str> = value.split('*').collect();
        let last = parts.pop().unwrap_or_default();
        let initial = if parts.is_empty() { "" } else { parts.remove(0) };
        let part = |text: &str| if text.is_empty() { Ok(None) } else { self.value(text).map(Some) };
        Ok(Ast::Substring {
            attr: self.attr(left, ' ')?,
            initial: part(initial)?,
            any: parts.into_iter().filter(|p| !p.is_empty()).map(|p| self.value(p)).collect::<Result<_, _>>()?,
            last: part(last)?,
        })
    }

    fn extensible(&self, left: &str, value: &str) -> Result<Ast, ParseError> {
        let mut parts = left.trim_end_matches(':').split(':');
        let attr = parts.next().filter(|a| !a.is_empty()).map(SmolStr::new);
        let mut dn = false;
        let mut rule = None;
        for part in parts {
            if part.eq_ignore_ascii_case("dn") && !dn && rule.is_none() {
                dn = true;
            } else if rule.is_none() && !part.is_empty() {
                rule = Some(SmolStr::new(part));
            } else {
                return Err(self.error("expected attr:dn:rule:=value"));
            }
        }
        if attr.is_none() && rule.is_none() {
            return Err(self.error("an extensible match needs an attribute or a rule"));
        }
        Ok(Ast::Extensible { rule, attr, value: self.value(value)?, dn })
    }

    /// Undoes `\XX` escapes.
    fn value(&self, text: &str) -> Result<Vec<u8>, ParseError> {
        let mut out = Vec::with_capacity(text.len());
        let mut bytes = text.bytes();
        while let Some(b) = bytes.next() {
            if b != b'\\' {
                out.push(b);
                continue;
            }
            let mut digit = || bytes.next().and_then(|b| (b as char).to_digit(16));
            match (digit(), digit()) {
                (Some(high), Some(low)) => out.push((high * 16 + low) as u8),
                _ => return Err(self.error("expected two hexadecimal digits after '\\'")),
            }
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_of_every_kind_are_read() {
        for (text, expected) in [
            ("(uid=a)", Ast::Equal("uid".into(), b"a".to_vec())),
            ("uid=a", Ast::Equal("uid".into(), b"a".to_vec())),
            ("(uid=*)", Ast::Present("uid".into())),
            ("(n>=5)", Ast::GreaterOrEqual("n".into(), b"5".to_vec())),
            ("(n<=5)", Ast::LessOrEqual("n".into(), b"5".to_vec())),
            ("(n~=5)", Ast::Approx("n".into(), b"5".to_vec())),
            (r"(cn=a\2a\29)", Ast::Equal("cn".into(), b"a*)".to_vec())),
            (
                "(cn=a*b*c)",
                Ast::Substring {
                    attr: "cn".into(),
                    initial: Some(b"a".to_vec()),
                    any: vec![b"b".to_vec()],
                    last: Some(b"c".to_vec()),
                },
            ),
            ("(&)", Ast::And(vec![])),
            ("(|)", Ast::Or(vec![])),
            (
                "(&(a=1)(!(b=2)))",
                Ast::And(vec![
                    Ast::Equal("a".into(), b"1".to_vec()),
                    Ast::Not(Box::new(Ast::Equal("b".into(), b"2".to_vec()))),
                ]),
            ),
            (
                "(ou:dn:2.5.13.2:=x)",
                Ast::Extensible {
                    rule: Some("2.5.13.2".into()),
                    attr: Some("ou".into()),
                    value: b"x".to_vec(),
                    dn: true,
                },
            ),
            (
                "(:caseIgnoreMatch:=x)",
                Ast::Extensible { rule: Some("caseIgnoreMatch".into()), attr: None, value: b"x".to_vec(), dn: false },
            ),
            (
                "(supannRessourceEtat={COMPTE}A*)",
                Ast::Substring {
                    attr: "supannRessourceEtat".into(),
                    initial: Some(b"{COMPTE}A".to_vec()),
                    any: vec![],
                    last: None,
                },
            ),
        ] {
            assert_eq!(parse(text).as_ref(), Ok(&expected), "{text}");
        }
    }

    #[test]
    fn broken_filters_say_where() {
        for bad in ["", "(", "(uid)", "(uid=a", "(uid=a))", "(=a)", "(!)", r"(a=\2)", "(&(a=1)", "(:=x)"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
