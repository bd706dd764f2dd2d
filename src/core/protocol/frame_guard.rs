//! Checks WebSocket frame headers (RFC 6455 section 5.2) before any payload is buffered.
//!
//! The codec after it buffers whatever a header announces. So the guard sees every byte first: it refuses a frame that
//! is too long, unmasked or of the wrong kind at its header, and reports where a frame ends, so that frames are passed
//! on one by one and many small ones do not pile up either. It does not unmask and decodes no payload.

use super::close::Close;

const LONGEST_HEADER: usize = 14;
const LONGEST_CONTROL: u64 = 125;

/// The kind of data frames on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataKind {
    /// Binary messages only: the device protocol.
    Binary,
    /// Text messages only: the app protocol.
    Text,
}

/// Result of a scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scan {
    /// How many of the bytes belong to the current frame.
    pub bytes: usize,
    /// Whether the frame ends with them.
    pub frame_ends: bool,
}

/// The guard of one connection.
#[derive(Debug)]
pub struct FrameGuard {
    kind: DataKind,
    header: [u8; LONGEST_HEADER],
    have: u8,
    /// Payload bytes of the current frame that are still missing.
    left: u64,
    /// Length so far of a fragmented message.
    fragments: Option<u64>,
}

impl FrameGuard {
    /// A guard at the start of a connection.
    pub const fn new(kind: DataKind) -> Self {
        Self { kind, header: [0; LONGEST_HEADER], have: 0, left: 0, fragments: None }
    }

    /// Scans `bytes`, the next ones of the connection. `longest` is the longest message allowed now, in bytes.
    ///
    /// After an error nothing more may be read.
    pub fn scan(&mut self, bytes: &[u8], longest: u64) -> Result<Scan, Close> {
        let mut at = 0;
        while self.left == 0 && at < bytes.len() {
            self.header[usize::from(self.have)] = bytes[at];
            self.have += 1;
            at += 1;
            if let Some(length) = self.check_header(longest)? {
                self.have = 0;
                self.left = length;
                if length == 0 {
                    return Ok(Scan { bytes: at, frame_ends: true });
                }
            }
        }
        let take = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len() - at);
        // `take` is at most `left`.
        self.left -= take as u64;
        Ok(Scan { bytes: at + take, frame_ends: take > 0 && self.left == 0 })
    }

    /// Checks the header once it is complete; returns the payload length.
    fn check_header(&mut self, longest: u64) -> Result<Option<u64>, Close> {
        let header = &self.header[..usize::from(self.have)];
        let &[first, second, ..] = header else {
            return Ok(None);
        };
        let (last, opcode, masked) = (first & 0x80 != 0, first & 0x0f, second & 0x80 != 0);
        if first & 0x70 != 0 || !masked {
            return Err(Close::Protocol);
        }
        match (opcode, self.kind) {
            (0, _) if self.fragments.is_none() => return Err(Close::Protocol),
            (1 | 2, _) if self.fragments.is_some() => return Err(Close::Protocol),
            (1, DataKind::Binary) | (2, DataKind::Text) => return Err(Close::WrongKind),
            (0..=2, _) => {}
            (8..=10, _) if last => {}
            _ => return Err(Close::Protocol),
        }
        let (length, size) = match second & 0x7f {
            126 => match header.get(2..4) {
                Some(&[a, b]) => (u64::from(u16::from_be_bytes([a, b])), 8),
                _ => return Ok(None),
            },
            127 => match header.get(2..10).and_then(|b| <[u8; 8]>::try_from(b).ok()) {
                Some(b) => (u64::from_be_bytes(b), LONGEST_HEADER),
                None => return Ok(None),
            },
            short => (u64::from(short), 6),
        };
        if opcode >= 8 {
            if length > LONGEST_CONTROL {
                return Err(Close::Protocol);
            }
        } else if self.fragments.unwrap_or(0).saturating_add(length) > longest {
            // Refused at the header, before the mask or the payload has arrived.
            return Err(Close::TooLong);
        }
        if header.len() < size {
            return Ok(None);
        }
        if opcode < 8 {
            let so_far = self.fragments.unwrap_or(0) + length;
            self.fragments = (!last).then_some(so_far);
        }
        Ok(Some(length))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(first: u8, length: usize) -> Vec<u8> {
        let mut out = vec![first];
        match length {
            0..=125 => out.push(0x80 | u8::try_from(length).unwrap()),
            126..=65535 => {
                out.push(0x80 | 0x7e);
                out.extend(u16::try_from(length).unwrap().to_be_bytes());
            }
            _ => {
                out.push(0x80 | 0x7f);
                out.extend((length as u64).to_be_bytes());
            }
        }
        out.extend([1, 2, 3, 4]);
        out.resize(out.len() + length, 0x55);
        out
    }

    fn scan(kind: DataKind, bytes: &[u8]) -> Result<Scan, Close> {
        FrameGuard::new(kind).scan(bytes, 1000)
    }

    #[test]
    fn frame_ends_are_found() {
        let two = [frame(0x82, 5), frame(0x82, 300)].concat();
        let mut guard = FrameGuard::new(DataKind::Binary);
        let seen = guard.scan(&two, 1000).unwrap();
        assert_eq!(seen, Scan { bytes: 11, frame_ends: true });
        let seen = guard.scan(&two[11..], 1000).unwrap();
        assert_eq!(seen, Scan { bytes: 308, frame_ends: true });
    }

    #[test]
    fn refusals() {
        assert_eq!(scan(DataKind::Binary, &[0x82, 0x05]), Err(Close::Protocol), "unmasked");
        assert_eq!(scan(DataKind::Binary, &[0xC2, 0x85]), Err(Close::Protocol), "reserved bit");
        assert_eq!(scan(DataKind::Binary, &[0x83, 0x85]), Err(Close::Protocol), "unknown opcode");
        assert_eq!(scan(DataKind::Binary, &[0x80, 0x85]), Err(Close::Protocol), "continuation of nothing");
        assert_eq!(scan(DataKind::Binary, &[0x09, 0x80]), Err(Close::Protocol), "fragmented ping");
        assert_eq!(scan(DataKind::Binary, &[0x89, 0xfe, 0, 126]), Err(Close::Protocol), "long ping");
        assert_eq!(scan(DataKind::Binary, &[0x81, 0x85]), Err(Close::WrongKind));
        assert_eq!(scan(DataKind::Text, &[0x82, 0x85]), Err(Close::WrongKind));
        assert_eq!(scan(DataKind::Binary, &[0x82, 0xfe, 0x03, 0xe9]), Err(Close::TooLong));
        assert_eq!(scan(DataKind::Binary, &[0x82, 0xff, 0, 0, 0, 0, 0x40, 0, 0, 0]), Err(Close::TooLong));
        let mut guard = FrameGuard::new(DataKind::Binary);
        guard.scan(&frame(0x02, 600), 1000).unwrap();
        assert_eq!(guard.scan(&frame(0x80, 401), 1000), Err(Close::TooLong), "fragments add up");
        let mut guard = FrameGuard::new(DataKind::Binary);
        guard.scan(&frame(0x02, 6), 1000).unwrap();
        assert_eq!(guard.scan(&frame(0x82, 1), 1000), Err(Close::Protocol), "message inside a message");
    }

    #[test]
    fn a_control_frame_may_stand_between_fragments() {
        let mut guard = FrameGuard::new(DataKind::Text);
        for bytes in [frame(0x01, 600), frame(0x89, 3), frame(0x80, 400), frame(0x81, 1000)] {
            assert!(guard.scan(&bytes, 1000).unwrap().frame_ends);
        }
    }

    proptest! {
        /// The guard finds the same frame ends, however the bytes are split.
        #[test]
        fn splits_make_no_difference(lengths in prop::collection::vec(0..400_usize, 1..12), cut in 1..40_usize) {
            let frames: Vec<_> = lengths.iter().map(|&n| frame(0x82, n)).collect();
            let ends: Vec<usize> = frames.iter().scan(0, |at, f| { *at += f.len(); Some(*at) }).collect();
            let all = frames.concat();
            let mut guard = FrameGuard::new(DataKind::Binary);
            let (mut at, mut found) = (0, Vec::new());
            for piece in all.chunks(cut) {
                let mut rest = piece;
                while !rest.is_empty() {
                    let seen = guard.scan(rest, 1000).unwrap();
                    at += seen.bytes;
                    rest = &rest[seen.bytes..];
                    if seen.frame_ends {
                        found.push(at);
                    }
                }
            }
            prop_assert_eq!(found, ends);
        }

        #[test]
        fn no_bytes_cause_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut guard = FrameGuard::new(DataKind::Binary);
            let mut rest = &bytes[..];
            while let (false, Ok(seen)) = (rest.is_empty(), guard.scan(rest, 50)) {
                prop_assert!(seen.bytes > 0);
                rest = &rest[seen.bytes..];
            }
        }
    }
}
