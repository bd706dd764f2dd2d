//! Writes CSV as a stream (RFC 4180, UTF-8).

use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};

use crate::core::model::time::UnixMillis;
use crate::core::protocol::csv::guarded;

/// Media type of the answers.
pub const CSV: &str = "text/csv; charset=utf-8";

/// A buffer of CSV lines.
#[derive(Debug, Default)]
pub struct Lines(Vec<u8>);

impl Lines {
    /// Adds a line. What a spreadsheet of any language would interpret as a formula is prefixed with an apostrophe.
    pub fn add<'a>(&mut self, cells: impl IntoIterator<Item = &'a str>) {
        let mut writer =
            csv::WriterBuilder::new().flexible(true).terminator(csv::Terminator::CRLF).from_writer(&mut self.0);
        for cell in cells {
            // Writing to memory does not fail.
            let _ = writer.write_field(guarded(cell).as_bytes());
        }
        let _ = writer.write_record(None::<&[u8]>);
    }

    /// The bytes.
    pub fn take(self) -> Bytes {
        self.0.into()
    }
}

/// Formats a time in UTC.
pub fn time(at: UnixMillis) -> String {
    let since = std::time::Duration::from_secs(at.seconds());
    humantime::format_rfc3339_seconds(std::time::UNIX_EPOCH + since).to_string()
}

/// Streams an answer. The first piece is made before the status is sent, so errors up to then become an error status.
/// An error in a later piece aborts the connection, so that the client notices the incomplete answer.
pub async fn answer<E: std::error::Error + 'static>(
    mut response: actix_web::HttpResponseBuilder,
    name: &str,
    pieces: impl Stream<Item = Result<Bytes, E>> + 'static,
) -> Result<HttpResponse, E> {
    let mut pieces = Box::pin(pieces);
    let first = pieces.next().await.transpose()?.unwrap_or_default();
    let whole = futures_util::stream::iter([Ok(first)]).chain(pieces);
    response
        .insert_header((CONTENT_TYPE, CSV))
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")));
    Ok(response.streaming(whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_formula_is_not_executed() {
        let mut lines = Lines::default();
        lines.add(["=1+1", "+49", "-2", "@SUM(A1)", "\tx", "\rx", "a=b", ""]);
        lines.add(["a;b", "c,d", "say \"e\""]);
        lines.add(["a;=1", "c,@d"]);
        let text = String::from_utf8(lines.take().to_vec()).unwrap();
        let first = "'=1+1,'+49,'-2,'@SUM(A1),'\tx,\"'\rx\",a=b,\r\n";
        assert_eq!(text, format!("{first}a;b,\"c,d\",\"say \"\"e\"\"\"\r\na;'=1,\"c,'@d\"\r\n"));
    }

    #[test]
    fn times_are_readable() {
        assert_eq!(time(UnixMillis(1_767_225_600_999)), "2026-01-01T00:00:00Z");
    }
}
