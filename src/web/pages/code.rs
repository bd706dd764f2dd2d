//! Displays a code: in groups of digits, and as a QR code.

use std::fmt::Write as _;

use qrcode::{Color, EcLevel, QrCode};

use crate::core::model::ids::Code;

/// Width of the quiet zone around a QR code, in modules, which readers require (ISO/IEC 18004).
const QUIET: usize = 4;

/// The code in groups of four digits.
pub(super) fn grouped(code: Code) -> String {
    let digits = code.expose();
    [&digits[..4], &digits[4..8], &digits[8..]].join(" ")
}

/// A QR code of the twelve digits, as `viewBox` and path of an SVG image. It is dark on light in any color scheme, as
/// readers require.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Qr {
    /// Width and height in modules, the quiet zone included.
    pub side: usize,
    /// The dark modules.
    pub path: String,
}

impl Qr {
    pub fn of(code: Code) -> Option<Self> {
        let qr = QrCode::with_error_correction_level(code.expose(), EcLevel::M).ok()?;
        let width = qr.width();
        let mut path = String::new();
        for (y, row) in qr.to_colors().chunks(width).enumerate() {
            let mut x = 0;
            for run in row.chunk_by(|a, b| a == b) {
                if run[0] == Color::Dark {
                    // Writing to a string cannot fail.
                    let _ = write!(path, "M{} {}h{}v1h-{}z", x + QUIET, y + QUIET, run.len(), run.len());
                }
                x += run.len();
            }
        }
        Some(Self { side: width + 2 * QUIET, path })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_shown_in_groups() {
        assert_eq!(grouped(Code::parse("402817739164").unwrap()), "4028 1773 9164");
    }

    /// The finder patterns are in place: seven modules wide, and the rows begin and end dark.
    #[test]
    fn a_qr_code_has_its_finder_patterns() {
        let qr = Qr::of(Code::parse("402817739164").unwrap()).unwrap();
        // Twelve digits fit into the smallest version.
        assert_eq!(qr.side, 21 + 2 * QUIET);
        for corner in ["M4 4h7v1h-7z", "M18 4h7v1h-7z", "M4 18h7v1h-7z"] {
            assert!(qr.path.contains(corner), "{corner}: {}", qr.path);
        }
        assert_ne!(Qr::of(Code::parse("402817739165").unwrap()), Some(qr), "another code is another image");
    }
}
