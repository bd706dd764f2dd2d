//! Strangers who send what is malformed, or wrong, again and again: the log does not grow with them.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use super::broker::Keep;
use super::{LOOK, run};

const TIMES: usize = 10_000;

/// Lines of one kind in ten seconds, and kinds that such requests can cause.
const LINES: usize = 20;
const KINDS: usize = 10;

/// The log is written by a thread of its own.
const SOON: Duration = Duration::from_secs(5);

#[test]
#[ignore = "takes seconds, and all cores"]
fn ten_thousand_malformed_requests() {
    let keep = Keep::embedded();
    let broker = keep.start(&[]);
    run(async {
        let malformed: [&[u8]; 4] = [
            b"GET / HTTP/1.1\r\n: no name\r\n\r\n",
            b"GET /example.com/devices/sysclients HTTP/9.9\r\n\r\n",
            b"POST /api/v1/token HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        ];
        let begun = Instant::now();
        for number in 0..TIMES {
            let to = if number % 8 == 7 { broker.ops } else { broker.addr };
            let Ok(mut stream) = TcpStream::connect(to).await else { continue };
            // The broker may have ended the connection already.
            let _ = stream.write_all(malformed[number % malformed.len()]).await;
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
        let windows = usize::try_from(begun.elapsed().as_secs()).unwrap() / 10 + 2;
        let (waited, mut lines) = (Instant::now(), Vec::new());
        while waited.elapsed() < SOON && lines.is_empty() {
            sleep(LOOK).await;
            lines = broker.log().into_iter().filter(|line| line.contains("ERROR") || line.contains("WARN")).collect();
        }
        println!("{TIMES} malformed requests in {:?}: {} lines of warnings and errors", begun.elapsed(), lines.len());
        assert!(lines.len() <= LINES * windows * KINDS, "{} lines", lines.len());
        assert!(lines.len() < TIMES / 20, "{} lines", lines.len());
    });
}
