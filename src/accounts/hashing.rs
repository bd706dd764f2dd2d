//! Password hashing with Argon2id. A hash takes 19 MiB and some tens of milliseconds, so hashes run on blocking threads
//! and their number is limited.

use std::sync::Arc;
use std::time::Duration;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::core::model::ids::Secret;
use crate::random;

/// Concurrent hashes.
const CONCURRENT: usize = 2;

/// Longest wait for a turn; after it the request is refused.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Longest password, in bytes. A longer one is wrong without being hashed.
const LONGEST: usize = 1024;

/// Hashes and compares passwords.
pub struct Hashing {
    turns: Arc<Semaphore>,
    params: Params,
    /// Hash of no password. It is verified for unknown accounts, so that the response time does not reveal them.
    nobody: Secret,
}

impl std::fmt::Debug for Hashing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hashing(…)")
    }
}

/// Too many passwords are being hashed; the wait would be too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Busy;

impl Hashing {
    /// Hashing with the minimum that OWASP recommends: 19 MiB, two passes, one lane.
    pub fn new() -> Self {
        Self::with(Params::default())
    }

    /// Hashing with the weakest parameters, for tests of other parts.
    pub fn weak() -> Self {
        Self::with(Params::new(Params::MIN_M_COST, 1, 1, None).unwrap_or_default())
    }

    fn with(params: Params) -> Self {
        let nobody = hash(&params, &random::letters_and_digits(32));
        Self { turns: Arc::new(Semaphore::new(CONCURRENT)), params, nobody }
    }

    /// The hash of a password, in PHC form.
    pub async fn hash(&self, password: &Secret) -> Result<Secret, Busy> {
        let (params, password) = (self.params.clone(), password.clone());
        self.in_turn(move || hash(&params, &password)).await
    }

    /// Whether this is the password of the hash. Without a hash the answer is no, after the same time.
    pub async fn verify(&self, password: &Secret, hash: Option<&Secret>) -> Result<bool, Busy> {
        let known = hash.is_some();
        let (hash, password) = (hash.unwrap_or(&self.nobody).clone(), password.clone());
        let right = self.in_turn(move || {
            let parsed = PasswordHash::new(hash.expose());
            let short = password.expose().len() <= LONGEST;
            let tried = if short { password.expose().as_bytes() } else { b"too long" };
            // The hash contains its parameters.
            parsed.is_ok_and(|hash| Argon2::default().verify_password(tried, &hash).is_ok()) && short
        });
        Ok(right.await? && known)
    }

    async fn in_turn<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Busy> {
        let turn = timeout(LONGEST_WAIT, Arc::clone(&self.turns).acquire_owned()).await;
        let turn = turn.map_err(|_| Busy)?.map_err(|_| Busy)?;
        let work = move || {
            let done = work();
            drop(turn);
            done
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| Busy)
    }
}

impl Default for Hashing {
    fn default() -> Self {
        Self::new()
    }
}

fn hash(params: &Params, password: &Secret) -> Secret {
    let mut salt = [0; 16];
    random::fill(&mut salt);
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone());
    // Cannot fail with a salt of 16 bytes and a password below 4 GiB. An empty hash would match no password.
    let hash = argon.hash_password_with_salt(password.expose().as_bytes(), &salt);
    Secret::new(hash.map(|hash| hash.to_string()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Stopwatch;

    #[tokio::test]
    async fn a_password_fits_its_hash_only() {
        let hashing = Hashing::weak();
        let right = Secret::new("correct horse");
        let hash = hashing.hash(&right).await.unwrap();
        assert!(hash.expose().starts_with("$argon2id$v=19$"), "{}", hash.expose());
        assert_ne!(hashing.hash(&right).await.unwrap(), hash, "salted");
        assert_eq!(hashing.verify(&right, Some(&hash)).await, Ok(true));
        for wrong in ["correct horsE", "", &"x".repeat(2000)] {
            assert_eq!(hashing.verify(&Secret::new(wrong), Some(&hash)).await, Ok(false));
        }
        assert_eq!(hashing.verify(&right, None).await, Ok(false));
        assert_eq!(hashing.verify(&right, Some(&Secret::default())).await, Ok(false));
    }

    #[tokio::test]
    async fn delivered_strength_is_what_is_recommended() {
        let hash = Hashing::new().hash(&Secret::new("x")).await.unwrap();
        assert!(hash.expose().contains("$m=19456,t=2,p=1$"), "{}", hash.expose());
    }

    /// The same work is done for an unknown name. Compares a ratio of times, which does not depend on the machine.
    #[tokio::test]
    async fn an_unknown_name_takes_as_long() {
        let hashing = Hashing::new();
        let password = Secret::new("wrong");
        let hash = hashing.hash(&Secret::new("right")).await.unwrap();
        let mut least = [Duration::MAX; 2];
        for _ in 0..5 {
            for (known, least) in [Some(&hash), None].into_iter().zip(&mut least) {
                let watch = Stopwatch::start();
                hashing.verify(&password, known).await.unwrap();
                *least = (*least).min(watch.elapsed());
            }
        }
        let [known, unknown] = least.map(|time| time.as_secs_f64());
        assert!(unknown > known / 2.0 && unknown < known * 2.0, "{known} s, {unknown} s");
    }
}
