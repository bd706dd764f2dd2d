//! A minimal WebSocket client: the answer to an upgrade, and frames in both directions. Pure.
//!
//! The mask is zero, which leaves the payload unchanged at no cost.

/// Binary frame.
pub const BINARY: u8 = 2;
/// Close frame.
pub const CLOSE: u8 = 8;
/// Ping.
pub const PING: u8 = 9;
/// Pong.
pub const PONG: u8 = 10;

/// Longest head of an answer to an upgrade.
const HEAD_MAX: usize = 4096;

/// The upgrade request.
pub fn upgrade_request(host: &str, path: &str) -> Vec<u8> {
    format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    .into_bytes()
}

/// Parses the answer to an upgrade: status and length of the head. `None`: incomplete; `Err`: not an HTTP answer.
pub fn upgrade_answer(bytes: &[u8]) -> Result<Option<(u16, usize)>, ()> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return if bytes.len() > HEAD_MAX { Err(()) } else { Ok(None) };
    };
    let status = bytes.strip_prefix(b"HTTP/1.1 ").and_then(|rest| rest.first_chunk::<3>());
    let status = status.and_then(|digits| str::from_utf8(digits).ok()?.parse().ok());
    status.map(|status| Some((status, end + 4))).ok_or(())
}

/// Appends one whole message as a frame.
pub fn put_frame(out: &mut Vec<u8>, opcode: u8, payload: &[u8]) {
    put_any_frame(out, 0x80 | opcode, payload);
}

/// Appends a frame with this first byte: final or not, any opcode.
pub fn put_any_frame(out: &mut Vec<u8>, first: u8, payload: &[u8]) {
    out.push(first);
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(short @ 0..126), _) => out.push(0x80 | short),
        (_, Ok(long)) => {
            out.push(0xfe);
            out.extend(long.to_be_bytes());
        }
        _ => {
            out.push(0xff);
            out.extend((payload.len() as u64).to_be_bytes());
        }
    }
    out.extend([0; 4]);
    out.extend_from_slice(payload);
}

/// Parses one frame of a server: opcode, payload and rest. `None`: incomplete.
pub fn take_frame(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    take_any_frame(bytes).map(|(first, payload, rest)| (first & 15, payload, rest))
}

/// The same with the whole first byte.
pub fn take_any_frame(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[first, length], rest) = bytes.split_first_chunk::<2>()?;
    let (length, rest) = match length & 0x7f {
        126 => {
            let (long, rest) = rest.split_first_chunk()?;
            (usize::from(u16::from_be_bytes(*long)), rest)
        }
        127 => {
            let (long, rest) = rest.split_first_chunk()?;
            (usize::try_from(u64::from_be_bytes(*long)).ok()?, rest)
        }
        short => (usize::from(short), rest),
    };
    let (payload, rest) = rest.split_at_checked(length)?;
    Some((first, payload, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_when_they_are_whole() {
        assert_eq!(upgrade_answer(b"HTTP/1.1 101 Switching\r\nA: b\r\n"), Ok(None));
        assert_eq!(upgrade_answer(b"HTTP/1.1 101 Switching\r\n\r\nrest"), Ok(Some((101, 26))));
        assert_eq!(upgrade_answer(b"HTTP/1.1 503 Busy\r\nRetry-After: 2\r\n\r\n").unwrap().unwrap().0, 503);
        assert_eq!(upgrade_answer(b"SSH-2.0\r\n\r\n"), Err(()));
        assert_eq!(upgrade_answer(&[b'x'; 5000]), Err(()));
    }

    #[test]
    fn frames_of_every_length_are_read_once_they_are_whole() {
        for length in [0, 125, 126, 65_535, 65_536] {
            let payload = vec![7; length];
            let mut frame = Vec::new();
            put_frame(&mut frame, BINARY, &payload);
            // A server's frame: the same without the mask.
            let head = match length {
                0..126 => 2,
                126..65_536 => 4,
                _ => 10,
            };
            frame.drain(head..head + 4);
            frame[1] &= 0x7f;
            assert_eq!(take_frame(&frame[..frame.len() - 1]), None, "{length}");
            frame.extend(b"rest");
            assert_eq!(take_frame(&frame), Some((BINARY, &payload[..], &b"rest"[..])), "{length}");
        }
        assert_eq!(take_frame(&[0x82]), None);
    }
}
