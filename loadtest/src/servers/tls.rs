//! Certificate of our own brokers, created at start, and the TLS settings of devices.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::settings::Settings;
use crate::worker_commands::TlsOrder;

/// Name in the created certificate.
const NAME: &str = "localhost";

/// Certificate and key of our own brokers.
pub fn files(folder: &Path) -> [PathBuf; 2] {
    ["certificate.pem", "key.pem"].map(|name| folder.join(name))
}

/// TLS settings of devices; `None`: no TLS. Creates a certificate for our own brokers in this folder.
pub fn order(settings: &Settings, folder: &Path) -> anyhow::Result<Option<TlsOrder>> {
    if !settings.tls && !settings.tls_resume {
        return Ok(None);
    }
    let resume = settings.tls_resume;
    if let Some(url) = &settings.url {
        let file = settings.tls_ca.as_ref().context("--url with --tls needs --tls-ca")?;
        let certificate = CertificateDer::from_pem_file(file).map_err(|error| anyhow::anyhow!("{error}"));
        let certificate = certificate.with_context(|| file.display().to_string())?.to_vec();
        let authority = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest).split('/').next();
        let host = authority
            .unwrap_or_default()
            .rsplit_once(':')
            .map_or_else(|| authority.unwrap_or_default(), |(host, _)| host);
        ensure!(!host.is_empty(), "no name: {url}");
        return Ok(Some(TlsOrder { certificate, name: host.to_owned(), resume }));
    }
    let made = rcgen::generate_simple_self_signed(vec![NAME.to_owned()])?;
    let [certificate, key] = files(folder);
    std::fs::write(certificate, made.cert.pem())?;
    std::fs::write(key, made.signing_key.serialize_pem())?;
    Ok(Some(TlsOrder { certificate: made.cert.der().to_vec(), name: NAME.to_owned(), resume }))
}
