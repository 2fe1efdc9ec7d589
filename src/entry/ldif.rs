//! LDIF (RFC 2849): content records in and out, change records in. A file is read record by
//! record, so that its size does not matter.

use base64::{Engine, engine::general_purpose::STANDARD};
use smol_str::SmolStr;
use std::io::{self, BufRead};

/// One record of a file, with the line it starts at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub line: u64,
    pub dn: String,
    pub kind: RecordKind,
    /// The lines as they stood, for a reject file.
    pub text: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordKind {
    /// Content, or `changetype: add`.
    Add(Vec<(SmolStr, Vec<Vec<u8>>)>),
    Delete,
    Modify(Vec<(super::ModKind, SmolStr, Vec<Vec<u8>>)>),
    Rename {
        new_rdn: String,
        delete_old: bool,
        new_superior: Option<String>,
    },
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("line {line}: {reason}")]
    Syntax { line: u64, reason: String, text: String },
}

/// Reads records one by one. After a syntax error the next record can still be read.
pub struct Reader<R> {
    input: R,
    line: u64,
}

/// A logical line: where it began, attribute description, value.
struct Line {
    at: u64,
    name: String,
    value: Vec<u8>,
}

impl<R: BufRead> Reader<R> {
    pub fn new(input: R) -> Self {
        Reader { input, line: 0 }
    }

    /// The next record, or `None` at the end.
    pub fn next_record(&mut self) -> Option<Result<Record, Error>> {
        loop {
            let (start, text) = match self.paragraph() {
                Ok(found) => found?,
                Err(e) => return Some(Err(e.into())),
            };
            match parse(start, &text).transpose() {
                // A paragraph of comments alone is no record.
                None => {}
                Some(Ok(record)) => return Some(Ok(record)),
                Some(Err((line, reason))) => return Some(Err(Error::Syntax { line, reason, text })),
            }
        }
    }

    /// The lines up to the next empty one.
    fn paragraph(&mut self) -> io::Result<Option<(u64, String)>> {
        let mut text = String::new();
        let mut start = 0;
        loop {
            let mut raw = Vec::new();
            if self.input.read_until(b'\n', &mut raw)? == 0 {
                return Ok((!text.is_empty()).then_some((start, text)));
            }
            self.line += 1;
            let line = String::from_utf8_lossy(&raw);
            let line = line.trim_end_matches(['\n', '\r']);
            if line.is_empty() {
                if text.is_empty() {
                    continue;
                }
                return Ok(Some((start, text)));
            }
            if text.is_empty() {
                start = self.line;
            }
            text.push_str(line);
            text.push('\n');
        }
    }
}

fn parse(start: u64, text: &str) -> Result<Option<Record>, (u64, String)> {
    let mut lines = unfold(start, text)?.into_iter().peekable();
    if lines.peek().is_some_and(|l| l.name.eq_ignore_ascii_case("version")) {
        lines.next();
    }
    let Some(first) = lines.next() else { return Ok(None) };
    if !first.name.eq_ignore_ascii_case("dn") {
        return Err((first.at, format!("expected 'dn:', found '{}:'", first.name)));
    }
    let dn = utf8(&first)?;
    if let Some(line) = lines.peek().filter(|l| l.name.eq_ignore_ascii_case("control")) {
        return Err((line.at, "controls in LDIF are not supported".to_owned()));
    }
    let change = match lines.peek().filter(|l| l.name.eq_ignore_ascii_case("changetype")) {
        Some(line) => {
            let kind = utf8(line)?.to_ascii_lowercase();
            let at = line.at;
            lines.next();
            Some((at, kind))
        }
        None => None,
    };
    let kind = match change.as_ref().map(|(at, kind)| (*at, kind.as_str())) {
        None | Some((_, "add")) => {
            let mut attrs: Vec<(SmolStr, Vec<Vec<u8>>)> = Vec::new();
            for line in lines {
                match attrs.iter_mut().find(|(n, _)| n.eq_ignore_ascii_case(&line.name)) {
                    Some((_, values)) => values.push(line.value),
                    None => attrs.push((SmolStr::new(&line.name), vec![line.value])),
                }
            }
            RecordKind::Add(attrs)
        }
        Some((_, "delete")) => RecordKind::Delete,
        Some((at, "modify")) => RecordKind::Modify(modifications(at, lines)?),
        Some((at, "modrdn" | "moddn")) => rename(at, lines)?,
        Some((at, other)) => return Err((at, format!("changetype '{other}' is not known"))),
    };
    Ok(Some(Record { line: start, dn, kind, text: text.to_owned() }))
}

type Changes = Vec<(super::ModKind, SmolStr, Vec<Vec<u8>>)>;

fn modifications(start: u64, lines: impl Iterator<Item = Line>) -> Result<Changes, (u64, String)> {
    use super::ModKind::*;
    let mut changes: Changes = Vec::new();
    let mut open = false;
    let mut last = start;
    for line in lines {
        last = line.at;
        if line.name == "-" {
            open = false;
            continue;
        }
        if open {
            match changes.last_mut() {
                Some((_, name, values)) if name.eq_ignore_ascii_case(&line.name) => values.push(line.value),
                _ => return Err((line.at, format!("'{}' does not belong to this change", line.name))),
            }
            continue;
        }
        let kind = match line.name.to_ascii_lowercase().as_str() {
            "add" => Add,
            "delete" => Delete,
            "replace" => Replace,
            "increment" => Increment,
            other => return Err((line.at, format!("expected add, delete, replace or increment, found '{other}'"))),
        };
        changes.push((kind, SmolStr::new(utf8(&line)?), Vec::new()));
        open = true;
    }
    if changes.is_empty() {
        return Err((last, "a modify without a change".to_owned()));
    }
    Ok(changes)
}

fn rename(start: u64, lines: impl Iterator<Item = Line>) -> Result<RecordKind, (u64, String)> {
    let (mut new_rdn, mut delete_old, mut new_superior) = (None, None, None);
    for line in lines {
        let value = utf8(&line)?;
        match line.name.to_ascii_lowercase().as_str() {
            "newrdn" => new_rdn = Some(value),
            "deleteoldrdn" => delete_old = Some(value == "1"),
            "newsuperior" => new_superior = Some(value),
            other => return Err((line.at, format!("'{other}' does not belong to a rename"))),
        }
    }
    match (new_rdn, delete_old) {
        (Some(new_rdn), Some(delete_old)) => Ok(RecordKind::Rename { new_rdn, delete_old, new_superior }),
        _ => Err((start, "a rename needs newrdn and deleteoldrdn".to_owned())),
    }
}

fn utf8(line: &Line) -> Result<String, (u64, String)> {
    String::from_utf8(line.value.clone()).map_err(|_| (line.at, format!("'{}' must be UTF-8", line.name)))
}

/// Joins folded lines, drops comments, decodes values.
fn unfold(start: u64, text: &str) -> Result<Vec<Line>, (u64, String)> {
    let mut joined: Vec<(u64, String)> = Vec::new();
    for (i, raw) in text.lines().enumerate() {
        match (raw.strip_prefix(' '), joined.last_mut()) {
            (Some(rest), Some((_, line))) => line.push_str(rest),
            (Some(_), None) => return Err((start, "a continuation without a line before it".to_owned())),
            (None, _) => joined.push((start + i as u64, raw.to_owned())),
        }
    }
    let mut lines = Vec::with_capacity(joined.len());
    for (at, line) in joined {
        if line.starts_with('#') {
            continue;
        }
        if line == "-" {
            lines.push(Line { at, name: line, value: Vec::new() });
            continue;
        }
        let (name, rest) = line.split_once(':').ok_or_else(|| (at, "expected 'attribute: value'".to_owned()))?;
        let value = if let Some(encoded) = rest.strip_prefix(':') {
            STANDARD.decode(encoded.trim().as_bytes()).map_err(|e| (at, format!("{name}: broken base64: {e}")))?
        } else if rest.starts_with('<') {
            return Err((at, format!("{name}: values from a URL are not read")));
        } else {
            rest.trim_start_matches(' ').as_bytes().to_vec()
        };
        lines.push(Line { at, name: name.to_owned(), value });
    }
    Ok(lines)
}

/// Appends `name: value`, as base64 where RFC 2849 asks for it, folded at 76 columns.
pub fn push_line(out: &mut String, name: &str, value: &[u8]) {
    let line = match std::str::from_utf8(value) {
        Ok(text) if is_safe(text) => format!("{name}: {text}"),
        _ => format!("{name}:: {}", STANDARD.encode(value)),
    };
    // Safe and encoded values are ASCII, so any column may be cut.
    let mut rest = line.as_str();
    let mut width = 76;
    while rest.len() > width {
        let (head, tail) = rest.split_at(width);
        out.push_str(head);
        out.push_str("\n ");
        rest = tail;
        width = 75;
    }
    out.push_str(rest);
    out.push('\n');
}

impl Record {
    /// As a change record for people to read, with the empty line that ends it.
    pub fn to_change(&self) -> String {
        let mut out = String::new();
        push_line(&mut out, "dn", self.dn.as_bytes());
        match &self.kind {
            RecordKind::Add(attrs) => {
                push_line(&mut out, "changetype", b"add");
                attrs.iter().for_each(|(name, values)| values.iter().for_each(|v| push_readable(&mut out, name, v)));
            }
            RecordKind::Delete => push_line(&mut out, "changetype", b"delete"),
            RecordKind::Modify(changes) => {
                push_line(&mut out, "changetype", b"modify");
                for (kind, name, values) in changes {
                    let verb = match kind {
                        super::ModKind::Add => "add",
                        super::ModKind::Delete => "delete",
                        super::ModKind::Replace => "replace",
                        super::ModKind::Increment => "increment",
                    };
                    push_line(&mut out, verb, name.as_bytes());
                    values.iter().for_each(|v| push_readable(&mut out, name, v));
                    out.push_str("-\n");
                }
            }
            RecordKind::Rename { new_rdn, delete_old, new_superior } => {
                push_line(&mut out, "changetype", b"modrdn");
                push_line(&mut out, "newrdn", new_rdn.as_bytes());
                push_line(&mut out, "deleteoldrdn", if *delete_old { b"1" } else { b"0" });
                new_superior.iter().for_each(|dn| push_line(&mut out, "newsuperior", dn.as_bytes()));
            }
        }
        out.push('\n');
        out
    }
}

/// [`push_line`], under a comment with the text where it is encoded.
fn push_readable(out: &mut String, name: &str, value: &[u8]) {
    if let Ok(text) = std::str::from_utf8(value)
        && !is_safe(text)
        && !text.chars().any(char::is_control)
    {
        out.push_str(&format!("# {name}: {text}\n"));
    }
    push_line(out, name, value);
}

fn is_safe(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.iter().all(|b| matches!(b, 1..=0x7f) && *b != b'\n' && *b != b'\r')
        && !matches!(bytes.first(), Some(b' ' | b':' | b'<'))
        && bytes.last() != Some(&b' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<Result<Record, Error>> {
        let mut reader = Reader::new(text.as_bytes());
        std::iter::from_fn(|| reader.next_record()).collect()
    }

    #[test]
    fn written_lines_read_back() {
        for value in ["plain", "", " lead", "trail ", ":x", "<x", "été", "a\nb", &"x".repeat(300), &"é".repeat(100)]
        {
            let mut out = "dn: cn=x\n".to_owned();
            push_line(&mut out, "cn", value.as_bytes());
            assert!(out.lines().all(|l| l.len() <= 76), "{out}");
            let records = read(&out);
            let record = records[0].as_ref().unwrap();
            let expected = RecordKind::Add(vec![("cn".into(), vec![value.as_bytes().to_vec()])]);
            assert_eq!(record.kind, expected, "{value:?}");
        }
    }

    #[test]
    fn change_records_and_errors() {
        let records = read(
            "version: 1\n# comment\ndn: uid=a\nchangetype: modify\nreplace: mail\nmail: x@y\n-\ndelete: sn\n-\n\ndn: uid=b\nchangetype: delete\n\nuid: no dn\n\ndn: uid=c\nchangetype: modrdn\nnewrdn: uid=d\ndeleteoldrdn: 1\n",
        );
        assert_eq!(records.len(), 4);
        let kinds: Vec<_> = records.iter().map(|r| r.as_ref().map(|r| r.kind.clone()).ok()).collect();
        assert_eq!(
            kinds[0],
            Some(RecordKind::Modify(vec![
                (super::super::ModKind::Replace, "mail".into(), vec![b"x@y".to_vec()]),
                (super::super::ModKind::Delete, "sn".into(), vec![]),
            ]))
        );
        assert_eq!(kinds[1], Some(RecordKind::Delete));
        assert!(records[2].as_ref().unwrap_err().to_string().starts_with("line 14: expected 'dn:'"));
        assert!(
            matches!(&kinds[3], Some(RecordKind::Rename { new_rdn, delete_old: true, new_superior: None }) if new_rdn == "uid=d")
        );
    }
}
