//! Collects the log of this process at every level, and every secret that a peer has held, and checks that no secret
//! is in the log.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Mutex, Once, PoisonError};

static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());
static SECRETS: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

struct Capture;

impl io::Write for Capture {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOG.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Collects the log of the broker from now on.
pub fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let subscriber =
            tracing_subscriber::fmt().with_env_filter("provbroker=trace").with_ansi(false).with_writer(|| Capture);
        tracing::subscriber::set_global_default(subscriber.finish()).expect("nobody else listens");
    });
}

/// Remembers a secret.
pub fn note(secret: &str) {
    // A shorter text could be in a line by chance.
    assert!(secret.len() >= 10, "no secret to look for: {secret}");
    SECRETS.lock().unwrap_or_else(PoisonError::into_inner).insert(secret.to_owned());
}

/// How many secrets were remembered.
pub fn noted() -> usize {
    SECRETS.lock().unwrap_or_else(PoisonError::into_inner).len()
}

/// The log so far.
pub fn log() -> String {
    String::from_utf8(LOG.lock().unwrap_or_else(PoisonError::into_inner).clone()).expect("the log is UTF-8")
}

/// Fails if a secret remembered so far is in the log from byte `start` on.
pub fn none_in_log(start: usize) {
    let log = log();
    let secrets = SECRETS.lock().unwrap_or_else(PoisonError::into_inner).clone();
    for secret in &secrets {
        if let Some(at) = log[start..].find(secret.as_str()) {
            let line = log[start..][..at].rfind('\n').map_or(0, |n| n + 1);
            panic!("a secret is in the log: {}", log[start..][line..].lines().next().unwrap_or_default());
        }
    }
}

/// How long the log is.
pub fn log_length() -> usize {
    LOG.lock().unwrap_or_else(PoisonError::into_inner).len()
}
