//! The certificate of the server and its key: two PEM files, read at start and again when they have changed.
//!
//! New connections get the certificate that was read last; open ones keep theirs. Files that do not match each other
//! change nothing. When the files are checked is decided by the caller.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use sha2::{Digest as _, Sha256};

/// Why the files cannot be used; the text names the place and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// A file cannot be read.
    #[error("{key}: {path} cannot be read ({why}); name a file that this program may read")]
    Unreadable {
        /// Key of the configuration.
        key: &'static str,
        /// The file.
        path: String,
        /// What happened.
        why: String,
    },
    /// The first file holds no certificate.
    #[error(
        "tls.certificate: {path} holds no certificate that can be read ({why}); it must be PEM, -----BEGIN CERTIFICATE-----"
    )]
    NoCertificate {
        /// The file.
        path: String,
        /// What happened.
        why: String,
    },
    /// The second file holds no key.
    #[error("tls.key: {path} holds no private key that can be read ({why}); it must be PEM, without a password")]
    NoKey {
        /// The file.
        path: String,
        /// What happened; contains nothing of the key.
        why: String,
    },
    /// Both are valid, but the key does not belong to the certificate.
    #[error("tls.key: {key} does not belong to the certificate in {certificate}; name the two that were made together")]
    PairMismatch {
        /// File of the certificate.
        certificate: String,
        /// File of the key.
        key: String,
    },
}

type Fingerprint = [u8; 32];

/// The result of the last check of the files: the hash of both, or why they could not be read.
type Seen = Result<Fingerprint, IdentityError>;

/// The certificate that new connections get.
pub struct Identity {
    certificate: PathBuf,
    key: PathBuf,
    current: RwLock<Arc<CertifiedKey>>,
    seen: Mutex<Seen>,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

impl Identity {
    /// Reads both files. Blocks for as long as the file system takes.
    pub fn read(certificate: &Path, key: &Path) -> Result<Self, IdentityError> {
        let files = Files::read(certificate, key)?;
        Ok(Self {
            certificate: certificate.into(),
            key: key.into(),
            current: RwLock::new(Arc::new(files.parse(certificate, key)?)),
            seen: Mutex::new(Ok(files.fingerprint())),
        })
    }

    /// Checks the files again: true if a new certificate is in use now, an error if they have changed since the last
    /// check and cannot be used. Blocks for as long as the file system takes.
    pub fn refresh(&self) -> Result<bool, IdentityError> {
        let files = Files::read(&self.certificate, &self.key);
        let now = files.as_ref().map(Files::fingerprint).map_err(Clone::clone);
        {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            if *seen == now {
                return Ok(false);
            }
            *seen = now;
        }
        let fresh = Arc::new(files?.parse(&self.certificate, &self.key)?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(true)
    }
}

impl ResolvesServerCert for Identity {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// The text of both files.
struct Files {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl Files {
    fn read(certificate: &Path, key: &Path) -> Result<Self, IdentityError> {
        let read = |name, path: &Path| {
            std::fs::read(path).map_err(|error| IdentityError::Unreadable {
                key: name,
                path: path.display().to_string(),
                why: error.to_string(),
            })
        };
        Ok(Self { certificate: read("tls.certificate", certificate)?, key: read("tls.key", key)? })
    }

    fn fingerprint(&self) -> Fingerprint {
        let mut hash = Sha256::new();
        hash.update(self.certificate.len().to_be_bytes());
        hash.update(&self.certificate);
        hash.update(&self.key);
        hash.finalize().into()
    }

    /// `certificate` and `key` name the files in errors.
    fn parse(&self, certificate: &Path, key: &Path) -> Result<CertifiedKey, IdentityError> {
        let (certificate, key) = (certificate.display().to_string(), key.display().to_string());
        let none = |path: &str, why: &str| IdentityError::NoCertificate { path: path.into(), why: why.into() };
        let chain = CertificateDer::pem_slice_iter(&self.certificate)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| none(&certificate, reason(&error)))?;
        if chain.is_empty() {
            return Err(none(&certificate, "there is none in it"));
        }
        let no_key = |why: &str| IdentityError::NoKey { path: key.clone(), why: why.into() };
        let private = PrivateKeyDer::from_pem_slice(&self.key).map_err(|error| no_key(reason(&error)))?;
        CertifiedKey::from_der(chain, private, &aws_lc_rs::default_provider()).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                IdentityError::PairMismatch { certificate: certificate.clone(), key: key.clone() }
            }
            rustls::Error::InvalidCertificate(_) => none(&certificate, "the first one is broken"),
            _ => no_key("of a kind that is not supported; use ECDSA P-256, P-384, Ed25519 or RSA"),
        })
    }
}

/// What is wrong with a PEM text, without quoting it.
fn reason(error: &pem::Error) -> &'static str {
    match error {
        pem::Error::NoItemsFound => "there is none in it",
        pem::Error::MissingSectionEnd { .. } => "its end is missing",
        pem::Error::Base64Decode(_) => "its base64 is broken",
        _ => "it is not PEM",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(dir: &Path, (certificate, key): (&str, &str)) -> (PathBuf, PathBuf) {
        let paths = (dir.join("chain.pem"), dir.join("key.pem"));
        std::fs::write(&paths.0, certificate).unwrap();
        std::fs::write(&paths.1, key).unwrap();
        paths
    }

    fn certificate_and_key() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    #[test]
    fn what_cannot_be_used_is_said_in_one_line() {
        let dir = tempfile::tempdir().unwrap();
        let ((certificate, key), (_, other)) = (certificate_and_key(), certificate_and_key());
        let cut = &key[..key.len() / 2];
        for (pair, expected) in [
            ((certificate.as_str(), "nothing"), "tls.key: "),
            ((certificate.as_str(), cut), "its end is missing"),
            ((certificate.as_str(), other.as_str()), "does not belong to the certificate"),
            (("nothing", key.as_str()), "tls.certificate: "),
            ((key.as_str(), key.as_str()), "holds no certificate"),
            ((&certificate.replace("MII", "MIIA"), &key), "holds no certificate"),
        ] {
            let (chain, private) = files(dir.path(), pair);
            let line = Identity::read(&chain, &private).unwrap_err().to_string();
            assert!(line.contains(expected) && line.contains(".pem"), "{expected}: {line}");
            assert!(!line.contains('\n') && !line.contains("MI"), "{line}");
        }
        let line = Identity::read(&dir.path().join("none"), &dir.path().join("key.pem")).unwrap_err().to_string();
        assert!(line.starts_with("tls.certificate: ") && line.contains("cannot be read"), "{line}");
    }

    #[test]
    fn new_files_are_taken_when_they_go_together() {
        let dir = tempfile::tempdir().unwrap();
        let (first, second) = (certificate_and_key(), certificate_and_key());
        let (chain, private) = files(dir.path(), (&first.0, &first.1));
        let identity = Identity::read(&chain, &private).unwrap();
        let current = || identity.current.read().unwrap().cert[0].clone();
        let before = current();
        assert_eq!(identity.refresh(), Ok(false));

        std::fs::write(&chain, &second.0).unwrap();
        assert!(matches!(identity.refresh(), Err(IdentityError::PairMismatch { .. })), "half of it is there");
        assert_eq!(identity.refresh(), Ok(false), "said once per change");
        assert_eq!(current(), before);
        std::fs::remove_file(&private).unwrap();
        assert!(matches!(identity.refresh(), Err(IdentityError::Unreadable { .. })));
        assert_eq!(identity.refresh(), Ok(false));

        std::fs::write(&private, &second.1).unwrap();
        assert_eq!(identity.refresh(), Ok(true));
        assert_ne!(current(), before);
    }
}
