//! Rows of a CSV or TSV table as what they ask for, by a mapping.

use super::{
    Item,
    expression::Columns,
    mapping::{Mapping, MappingFile},
    rejects::{Form, REASON, Raw},
    wish::Wish,
};
use crate::schema::Schema;
use anyhow::Context;
use encoding_rs::Encoding;
use std::{io::Read, path::Path};

pub struct Table<R> {
    reader: csv::Reader<R>,
    encoding: &'static Encoding,
    mapping: Mapping,
    /// Cells of a row, where there is a header to count them by.
    width: Option<usize>,
    /// Whether it is a file of refused rows, with the reason behind the cells of each.
    came_back: bool,
    form: Form,
}

/// What a table is read by.
pub struct Reading<'a> {
    pub mapping: &'a MappingFile,
    pub path: &'a Path,
    pub table: &'a Path,
    pub suffix: &'a str,
    pub schema: &'a Schema,
}

impl<R: Read> Table<R> {
    pub fn open(input: R, reading: &Reading<'_>) -> anyhow::Result<Self> {
        let Reading { mapping, path, table, suffix, schema } = reading;
        let (delimiter, quote) = (mapping.delimiter(path, table)?, mapping.quote(path)?);
        let encoding = mapping.encoding(path)?;
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(delimiter)
            .quote(quote)
            .has_headers(mapping.format.header)
            .flexible(true)
            .from_reader(input);
        let mut header: Option<Vec<Vec<u8>>> = None;
        let mut came_back = false;
        let mut columns = Columns { names: None };
        if mapping.format.header {
            let cells = cells(reader.byte_headers().with_context(|| table.display().to_string())?);
            let names = cells.iter().map(|c| encoding.decode(c).0.trim().to_owned());
            came_back = cells.last().is_some_and(|last| last == REASON.as_bytes());
            columns.names = Some(names.filter(|name| name != REASON).collect());
            header = Some(cells.into_iter().filter(|c| c != REASON.as_bytes()).collect());
        }
        Ok(Table {
            reader,
            encoding,
            mapping: Mapping::bind(mapping, path, suffix, &columns, schema)?,
            came_back,
            width: header.as_ref().map(Vec::len),
            form: Form::Table { delimiter, quote, header },
        })
    }

    /// How refused rows are written.
    pub fn take_form(&mut self) -> Form {
        std::mem::replace(&mut self.form, Form::Ldif)
    }

    pub fn next_item(&mut self) -> anyhow::Result<Option<Item>> {
        let mut row = csv::ByteRecord::new();
        if !self.reader.read_byte_record(&mut row)? {
            return Ok(None);
        }
        let line = row.position().map_or(0, csv::Position::line);
        let mut raw = cells(&row);
        if self.came_back {
            raw.pop();
        }
        let wish = self.wish(&raw).map(Wish::Upsert);
        Ok(Some(Item { raw: Raw::Row(raw), wish: wish.map_err(|reason| format!("line {line}: {reason}")) }))
    }

    fn wish(&self, raw: &[Vec<u8>]) -> Result<super::wish::Upsert, String> {
        if let Some(width) = self.width
            && raw.len() != width
        {
            return Err(format!("the row has {} cells and the header {width}", raw.len()));
        }
        let decode = |cell: &Vec<u8>| {
            let text = self.encoding.decode_without_bom_handling_and_without_replacement(cell);
            text.map(|t| t.into_owned()).ok_or_else(|| format!("a cell is not {}", self.encoding.name()))
        };
        let row = raw.iter().map(decode).collect::<Result<Vec<_>, _>>()?;
        self.mapping.upsert(&row)
    }
}

fn cells(row: &csv::ByteRecord) -> Vec<Vec<u8>> {
    row.iter().map(<[u8]>::to_vec).collect()
}
