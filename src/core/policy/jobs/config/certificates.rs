//! The trust list: certificates in PEM form, and the variables that carry them.
//!
//! A certificate does not fit into a line of 2000 bytes, so its DER bytes are sent as hex in several variables with
//! the flags that deployed servers use for certificates, `pb` (`docs/protocol/update-script.md` 3.1):
//! `X509/TRUSTED-1-1`, `X509/TRUSTED-1-2`, … The option `/trusted` of module `X509` gives the number of certificates.
//! The names are ours.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::schema::Problem;
use crate::core::model::hex;
use crate::core::protocol::script::{Command, Setting};

/// Longest text, in bytes.
pub const TEXT_MAX: usize = 40 * 1024;
/// Most certificates.
const CERTIFICATES_MAX: usize = 16;
/// Longest certificate, in bytes.
const DER_MAX: usize = 8 * 1024;
/// Bytes of a certificate that go into one variable; twice as many characters.
const PIECE: usize = 900;

/// Checks that the text holds certificates in PEM form. Signatures are not checked.
pub(super) fn check(text: &str) -> Result<(), Problem> {
    if text.contains("PRIVATE KEY-----") {
        return Err(Problem::Form("certificates only; there is a private key in it, which nobody should have seen"));
    }
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    match read {
        Err(_) => Err(Problem::Form("certificates in PEM form")),
        Ok(read) if read.is_empty() => Err(Problem::Form("certificates in PEM form")),
        Ok(read) if read.len() > CERTIFICATES_MAX => Err(Problem::Form("at most 16 certificates")),
        Ok(read) if !read.iter().all(|der| is_certificate(der)) => Err(Problem::Form("certificates in PEM form")),
        Ok(_) => Ok(()),
    }
}

/// One DER sequence and nothing after it.
fn is_certificate(der: &[u8]) -> bool {
    let length = match der {
        [0x30, 0x82, high, low, ..] => 4 + usize::from(*high) * 256 + usize::from(*low),
        [0x30, 0x81, length, ..] => 3 + usize::from(*length),
        [0x30, length @ 0..=0x7f, ..] => 2 + usize::from(*length),
        _ => return false,
    };
    der.len() == length && length <= DER_MAX
}

/// The lines for a checked text.
pub(super) fn commands(text: &str) -> Vec<Command> {
    let list: Vec<_> = CertificateDer::pem_slice_iter(text.as_bytes()).filter_map(Result::ok).collect();
    let mut commands = Vec::new();
    for (number, der) in (1..).zip(&list) {
        for (piece, bytes) in (1..).zip(der.chunks(PIECE)) {
            let name = format!("X509/TRUSTED-{number}-{piece}");
            commands.push(Command::vars_create(&name, "pb", &hex::encode(bytes)));
        }
        // Pieces left by an earlier, longer certificate would be read as a part of this one.
        let next = der.len().div_ceil(PIECE) + 1;
        commands.push(Command::VarsDel { name: format!("X509/TRUSTED-{number}-{next}").into() });
    }
    let options = vec![Setting::new("/trusted", &list.len().to_string())];
    commands.push(Command::ConfigChange { module: "X509".into(), options });
    commands
}
