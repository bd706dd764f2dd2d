//! Password hashing with Argon2id. A hash takes 19 MiB and some tens of milliseconds, so hashes run on blocking threads
//! and their number is limited. Who waits is served in turns by source, and browsers that have signed in before go
//! first, so that whoever sends many passwords mostly delays himself.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::clock;
use crate::core::model::ids::Secret;
use crate::core::policy::admission::queue::{FairQueue, Rank};
use crate::core::policy::limits::SourceKey;
use crate::random;

/// Concurrent hashes.
const CONCURRENT: usize = 2;

/// Longest wait for a turn; after it the request is refused.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Most requests that wait: about as many as get a turn within [`LONGEST_WAIT`].
const MOST_WAITING: usize = 256;

/// Longest password, in bytes. A longer one is wrong without being hashed.
const LONGEST: usize = 1024;

/// Hashes and compares passwords.
pub struct Hashing {
    turns: Arc<Turns>,
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

/// Whose password is hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HashFor {
    /// Somebody who is signed in, an operator or the configuration.
    SignedIn,
    /// Somebody who has signed in from there before.
    Known(SourceKey),
    /// Anybody else; `None`: nobody knows from where.
    Stranger(Option<SourceKey>),
}

impl HashFor {
    const fn lane(self) -> (Rank, Option<SourceKey>) {
        match self {
            Self::SignedIn => (Rank::Known, None),
            Self::Known(source) => (Rank::Known, Some(source)),
            Self::Stranger(source) => (Rank::Other, source),
        }
    }
}

/// The hashes under way, and who waits for a turn.
#[derive(Default)]
struct Turns(Mutex<TurnState>);

#[derive(Default)]
struct TurnState {
    under_way: usize,
    waiting: FairQueue<Option<SourceKey>, oneshot::Sender<Turn>>,
}

impl Turns {
    fn with<R>(&self, act: impl FnOnce(&mut TurnState) -> R) -> R {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn take(self: &Arc<Self>, whom: HashFor) -> Result<Turn, Busy> {
        let (rank, lane) = whom.lane();
        let (waiter, turn) = oneshot::channel();
        let position = self.with(|state| {
            if state.under_way < CONCURRENT {
                state.under_way += 1;
                return Ok(None);
            }
            if state.waiting.len() >= MOST_WAITING && state.waiting.evict(rank, &lane).is_none() {
                return Err(Busy);
            }
            Ok(Some(state.waiting.push(rank, &lane, waiter, clock::now())))
        });
        let Some(position) = position? else { return Ok(Turn(Arc::clone(self))) };
        let turn = timeout(LONGEST_WAIT, turn).await;
        self.with(|state| state.waiting.remove(position));
        turn.map_err(|_| Busy)?.map_err(|_| Busy)
    }
}

/// A turn, passed on when dropped.
struct Turn(Arc<Turns>);

impl Drop for Turn {
    fn drop(&mut self) {
        let next = self.0.with(|state| {
            let next = state.waiting.pop();
            if next.is_none() {
                state.under_way -= 1;
            }
            next
        });
        if let Some((waiter, _)) = next {
            // If that one has gone, the turn is dropped here and passed on again.
            drop(waiter.send(Self(Arc::clone(&self.0))));
        }
    }
}

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
        Self { turns: Arc::default(), params, nobody }
    }

    /// The hash of a password, in PHC form.
    pub async fn hash(&self, password: &Secret, whom: HashFor) -> Result<Secret, Busy> {
        let (params, password) = (self.params.clone(), password.clone());
        self.in_turn(whom, move || hash(&params, &password)).await
    }

    /// Whether this is the password of the hash. Without a hash the answer is no, after the same time.
    pub async fn verify(&self, password: &Secret, hash: Option<&Secret>, whom: HashFor) -> Result<bool, Busy> {
        let known = hash.is_some();
        let (hash, password) = (hash.unwrap_or(&self.nobody).clone(), password.clone());
        let right = self.in_turn(whom, move || {
            let parsed = PasswordHash::new(hash.expose());
            let short = password.expose().len() <= LONGEST;
            let tried = if short { password.expose().as_bytes() } else { b"too long" };
            // The hash contains its parameters.
            parsed.is_ok_and(|hash| Argon2::default().verify_password(tried, &hash).is_ok()) && short
        });
        Ok(right.await? && known)
    }

    async fn in_turn<T: Send + 'static>(
        &self,
        whom: HashFor,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Busy> {
        let turn = self.turns.take(whom).await?;
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

    const ANYBODY: HashFor = HashFor::Stranger(None);

    #[tokio::test]
    async fn a_password_fits_its_hash_only() {
        let hashing = Hashing::weak();
        let right = Secret::new("correct horse");
        let hash = hashing.hash(&right, HashFor::SignedIn).await.unwrap();
        assert!(hash.expose().starts_with("$argon2id$v=19$"), "{}", hash.expose());
        assert_ne!(hashing.hash(&right, HashFor::SignedIn).await.unwrap(), hash, "salted");
        assert_eq!(hashing.verify(&right, Some(&hash), ANYBODY).await, Ok(true));
        for wrong in ["correct horsE", "", &"x".repeat(2000)] {
            assert_eq!(hashing.verify(&Secret::new(wrong), Some(&hash), ANYBODY).await, Ok(false));
        }
        assert_eq!(hashing.verify(&right, None, ANYBODY).await, Ok(false));
        assert_eq!(hashing.verify(&right, Some(&Secret::default()), ANYBODY).await, Ok(false));
    }

    #[tokio::test]
    async fn delivered_strength_is_what_is_recommended() {
        let hash = Hashing::new().hash(&Secret::new("x"), HashFor::SignedIn).await.unwrap();
        assert!(hash.expose().contains("$m=19456,t=2,p=1$"), "{}", hash.expose());
    }

    /// The same work is done for an unknown name. Compares a ratio of times, which does not depend on the machine.
    #[tokio::test]
    async fn an_unknown_name_takes_as_long() {
        let hashing = Hashing::new();
        let password = Secret::new("wrong");
        let hash = hashing.hash(&Secret::new("right"), HashFor::SignedIn).await.unwrap();
        let mut least = [Duration::MAX; 2];
        for _ in 0..5 {
            for (known, least) in [Some(&hash), None].into_iter().zip(&mut least) {
                let watch = Stopwatch::start();
                hashing.verify(&password, known, ANYBODY).await.unwrap();
                *least = (*least).min(watch.elapsed());
            }
        }
        let [known, unknown] = least.map(|time| time.as_secs_f64());
        assert!(unknown > known / 2.0 && unknown < known * 2.0, "{known} s, {unknown} s");
    }

    fn source(last: u8) -> SourceKey {
        SourceKey::from(std::net::IpAddr::from([192, 0, 2, last]))
    }

    /// Takes all turns, has everybody wait in this order, and returns in which order they get their turns.
    async fn order_of(waiting: &[HashFor]) -> Vec<usize> {
        let turns = Arc::<Turns>::default();
        let mut taken: Vec<_> = Vec::new();
        for _ in 0..CONCURRENT {
            taken.push(turns.take(ANYBODY).await.unwrap());
        }
        let order = Arc::<Mutex<Vec<usize>>>::default();
        let mut tasks = tokio::task::JoinSet::new();
        for (number, whom) in waiting.iter().copied().enumerate() {
            let (turns, order) = (Arc::clone(&turns), Arc::clone(&order));
            tasks.spawn(async move {
                let turn = turns.take(whom).await;
                if turn.is_ok() {
                    order.lock().unwrap().push(number);
                }
            });
            // It stands in the queue, or was refused, before the next one comes.
            tokio::task::yield_now().await;
        }
        // The other turns stay taken, so that there is one after the other.
        taken.pop();
        while tasks.join_next().await.is_some() {}
        drop(taken);
        assert_eq!(turns.with(|state| state.under_way), 0, "all turns are given back");
        let order = order.lock().unwrap();
        order.clone()
    }

    #[tokio::test]
    async fn one_source_does_not_hold_up_another_and_known_browsers_go_first() {
        let (flood, other) = (HashFor::Stranger(Some(source(1))), HashFor::Stranger(Some(source(2))));
        assert_eq!(order_of(&[flood, flood, flood, other]).await, [0, 3, 1, 2]);
        assert_eq!(order_of(&[flood, flood, other, HashFor::Known(source(1))]).await, [3, 0, 2, 1]);
        assert_eq!(order_of(&[flood, HashFor::SignedIn]).await, [1, 0]);
    }

    #[tokio::test]
    async fn a_full_queue_makes_room_at_the_cost_of_the_longest_lane() {
        let flood = HashFor::Stranger(Some(source(1)));
        let mut all = vec![flood; MOST_WAITING];
        all.push(HashFor::Stranger(Some(source(2))));
        all.push(HashFor::Known(source(1)));
        all.push(flood);
        let order = order_of(&all).await;
        assert_eq!(order.len(), MOST_WAITING);
        assert_eq!(order[..3], [MOST_WAITING + 1, 0, MOST_WAITING]);
        assert!(
            !order.contains(&(MOST_WAITING - 1)) && !order.contains(&(MOST_WAITING + 2)),
            "the newest of the flood"
        );
    }

    #[tokio::test]
    async fn a_turn_passes_over_who_has_gone() {
        let turns = Arc::<Turns>::default();
        let taken = [turns.take(ANYBODY).await.unwrap(), turns.take(ANYBODY).await.unwrap()];
        for _ in 0..3 {
            let gone = turns.take(ANYBODY);
            assert!(futures_util::FutureExt::now_or_never(gone).is_none());
        }
        let waiting = tokio::spawn({
            let turns = Arc::clone(&turns);
            async move { turns.take(ANYBODY).await.map(drop) }
        });
        tokio::task::yield_now().await;
        drop(taken);
        assert_eq!(waiting.await.unwrap(), Ok(()));
        assert_eq!(turns.with(|state| (state.under_way, state.waiting.len())), (0, 0));
    }
}
