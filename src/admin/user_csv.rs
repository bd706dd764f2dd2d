//! Reads a list of users as CSV (RFC 4180): a header `sip[,name]`, then one line for each user.
//!
//! The file is read twice: first to check every line, so that no code is issued if the list has an error, then line by
//! line while the codes are issued. The list is never in memory as a whole.

use std::fs::File;
use std::io::{BufReader, Read as _, Seek as _, SeekFrom};

use csv::{Position, Reader, ReaderBuilder, StringRecord};

use super::rollouts::{MAX_USERS, User, Users};
use super::{AdminError, Result};
use crate::core::protocol::csv::unguarded;

/// Longest SIP name or displayed name, in characters.
pub const MAX_NAME: usize = 128;

/// Longest header, in bytes.
const LONGEST_HEADER: usize = 1024;

/// A checked list of users.
#[derive(Debug)]
pub struct Sheet {
    reader: Reader<BufReader<File>>,
    first: Position,
    columns: Columns,
    count: u64,
}

#[derive(Debug, Clone, Copy)]
struct Columns {
    sip: usize,
    name: Option<usize>,
}

impl Sheet {
    /// Checks a file. The error names line and column.
    pub fn check(mut file: File) -> Result<Self> {
        let (start, separator) = beginning(&mut file).map_err(|e| unreadable(&e))?;
        if !quotes_close(&mut file).map_err(|e| unreadable(&e))? {
            return Err(AdminError::invalid("the last line", "a quoted cell does not end; is the list whole?"));
        }
        file.seek(SeekFrom::Start(start)).map_err(|e| unreadable(&e))?;
        let mut reader = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(separator)
            .from_reader(BufReader::new(file));
        let mut record = StringRecord::new();
        if !read(&mut reader, &mut record)? {
            return Err(AdminError::invalid("line 1", "the head line is missing: sip, or sip,name"));
        }
        let columns = Columns::of(&record)?;
        let first = reader.position().clone();
        let mut count = 0;
        while read(&mut reader, &mut record)? {
            columns.user(&record)?;
            count += 1;
            if count > MAX_USERS {
                return Err(AdminError::invalid(line(&record), format!("more than {MAX_USERS} users in one roll-out")));
            }
        }
        if count == 0 {
            return Err(AdminError::invalid("line 2", "there are no users"));
        }
        // The reader counts bytes from the position at which it was created.
        Self { reader, first, columns, count }.rewound(start)
    }

    fn rewound(mut self, start: u64) -> Result<Self> {
        let position = SeekFrom::Start(start + self.first.byte());
        self.reader.seek_raw(position, self.first.clone()).map_err(|e| wrong(&e))?;
        Ok(self)
    }

    /// The number of users, and the users.
    pub fn users(self) -> (u64, Users) {
        let Self { reader, columns, count, .. } = self;
        let users = reader.into_records().map(move |record| columns.user(&record.map_err(|e| wrong(&e))?));
        (count, Box::new(users))
    }
}

/// Checks users that are already in memory by the same rules.
pub fn checked(users: Vec<User>) -> Result<(u64, Users)> {
    if users.is_empty() {
        return Err(AdminError::invalid("users", "there are no users"));
    }
    for (number, user) in users.iter().enumerate() {
        let invalid = |member: &str, why| AdminError::invalid(format!("users.{number}.{member}"), why);
        fault(&user.sip, true).map_or(Ok(()), |why| Err(invalid("sip", why)))?;
        user.name.as_deref().and_then(|name| fault(name, false)).map_or(Ok(()), |why| Err(invalid("name", why)))?;
    }
    Ok((users.len() as u64, Box::new(users.into_iter().map(Ok))))
}

/// Where the text begins (after a byte order mark), and the separator of the columns.
fn beginning(file: &mut File) -> std::io::Result<(u64, u8)> {
    let mut head = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.take(LONGEST_HEADER as u64).read_to_end(&mut head)?;
    let start = if head.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
    let first_line = head.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
    Ok((start, if first_line.contains(&b';') { b';' } else { b',' }))
}

/// Whether every quoted cell ends, that is, the number of quotes is even. The reader itself accepts an open cell at the
/// end of a truncated list.
fn quotes_close(file: &mut File) -> std::io::Result<bool> {
    file.seek(SeekFrom::Start(0))?;
    let mut odd = false;
    for byte in BufReader::new(file).bytes() {
        odd ^= byte? == b'"';
    }
    Ok(!odd)
}

fn read(reader: &mut Reader<BufReader<File>>, record: &mut StringRecord) -> Result<bool> {
    reader.read_record(record).map_err(|e| wrong(&e))
}

impl Columns {
    fn of(head: &StringRecord) -> Result<Self> {
        let (mut sip, mut name) = (None, None);
        for (number, title) in head.iter().enumerate() {
            let column = match title.trim().to_ascii_lowercase().as_str() {
                "sip" => &mut sip,
                "name" => &mut name,
                _ => return Err(AdminError::invalid(cell(head, number, None), "the columns are sip and name")),
            };
            if column.replace(number).is_some() {
                return Err(AdminError::invalid(cell(head, number, None), "this column is there twice"));
            }
        }
        let sip = sip.ok_or_else(|| AdminError::invalid(line(head), "the column sip is missing"))?;
        Ok(Self { sip, name })
    }

    fn user(self, record: &StringRecord) -> Result<User> {
        let invalid = |column, title, why: &str| Err(AdminError::invalid(cell(record, column, Some(title)), why));
        let columns = 1 + usize::from(self.name.is_some());
        if record.len() > columns {
            return invalid(columns, "", "the head line has less columns");
        }
        // Our own exports mark what a spreadsheet would take for a formula.
        let cell_of = |column| unguarded(record.get(column).unwrap_or_default().trim());
        let sip = cell_of(self.sip);
        let sip = sip.trim();
        if let Some(why) = fault(sip, true) {
            return invalid(self.sip, "sip", why);
        }
        let name = self.name.map(|column| (column, cell_of(column)));
        if let Some((column, name)) = &name
            && let Some(why) = fault(name, false)
        {
            return invalid(*column, "name", why);
        }
        let name = name.map(|(_, name)| Box::<str>::from(name.trim())).filter(|name| !name.is_empty());
        Ok(User { sip: sip.into(), name })
    }
}

fn fault(text: &str, needed: bool) -> Option<&'static str> {
    if needed && text.trim().is_empty() {
        Some("it is empty")
    } else if text.chars().count() > MAX_NAME {
        Some("it is longer than 128 characters")
    } else if text.chars().any(char::is_control) {
        Some("it contains control characters")
    } else {
        None
    }
}

fn line(record: &StringRecord) -> String {
    format!("line {}", record.position().map_or(0, Position::line))
}

/// Columns are counted from 1, as spreadsheets do.
fn cell(record: &StringRecord, column: usize, title: Option<&str>) -> String {
    let title = title.filter(|title| !title.is_empty()).map(|title| format!(" ({title})")).unwrap_or_default();
    format!("{}, column {}{title}", line(record), column + 1)
}

fn wrong(error: &csv::Error) -> AdminError {
    let line = error.position().map_or_else(|| "file".into(), |at| format!("line {}", at.line()));
    match error.kind() {
        csv::ErrorKind::Utf8 { err, .. } => {
            AdminError::invalid(format!("{line}, column {}", err.field() + 1), "this is not UTF-8")
        }
        csv::ErrorKind::Io(error) => unreadable(error),
        _ => AdminError::invalid(line, "this is not CSV"),
    }
}

fn unreadable(error: &std::io::Error) -> AdminError {
    tracing::warn!(%error, "list of users not read from its temporary file");
    AdminError::Unavailable("the list could not be stored temporarily; try again later".into())
}

#[cfg(test)]
#[path = "user_csv_tests.rs"]
mod tests;
