//! Escaping of attribute values in names (RFC 4514 section 2.4).

/// The value as it stands in a DN. Bytes that are not UTF-8 become `\XX`.
pub fn escape_value(value: &[u8]) -> String {
    let mut out = String::with_capacity(value.len());
    for chunk in value.utf8_chunks() {
        let at_start = out.is_empty();
        for (i, c) in chunk.valid().char_indices() {
            let first = at_start && i == 0;
            match c {
                '"' | '+' | ',' | ';' | '<' | '>' | '\\' => {
                    out.push('\\');
                    out.push(c);
                }
                ' ' | '#' if first => {
                    out.push('\\');
                    out.push(c);
                }
                '\0'..='\x1f' | '\x7f' => out.push_str(&format!("\\{:02X}", c as u32)),
                _ => out.push(c),
            }
        }
        for byte in chunk.invalid() {
            out.push_str(&format!("\\{byte:02X}"));
        }
    }
    // A space at the end would be taken for padding.
    if out.len() > 1 && out.ends_with(' ') && value.len() > 1 {
        out.pop();
        out.push_str("\\ ");
    }
    out
}
