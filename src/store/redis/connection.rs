//! The client of Redis: pool, shared connections, deadline, retry, and the short reasons of errors.
//!
//! The pool pings a connection at each checkout, which would double the number of commands. So a few connections
//! (lanes) stay checked out for their life, and commands share them; commands of the same moment are sent as one
//! packet. Every thread uses one lane, which its own runtime drives: waking another thread for each command costs as
//! much as the command.
//!
//! A lane is given up after an error that makes it useless: connection broken, several time-outs in a row, or a
//! server that is loading or has become a replica. This module knows no keys.

use std::future::Future;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, FromRedisValue, Pipeline, RedisError, RedisResult, ScriptInvocation,
    ServerErrorKind,
};
use deadpool_redis::{Manager, Pool, PoolError};

use crate::clock;
use crate::core::model::time::Tick;
use crate::store::{Result, StoreError};

/// A connection must be open within this time. Longer than the deadline of a command: opening continues in the
/// background while the commands that wait for it fail.
pub(super) const CONNECT: Duration = Duration::from_secs(2);

/// A lane is given up after this many questions in a row without an answer; a batch counts as all its questions.
const UNANSWERED: u32 = 3;

/// Commands that wait in a lane to be written.
const LANE_QUEUE: usize = 1024;

struct Held {
    number: u64,
    wire: MultiplexedConnection,
    checkout: deadpool_redis::Connection,
}

#[derive(Default)]
struct Lane {
    held: Mutex<Option<Held>>,
    opening: Arc<tokio::sync::Mutex<()>>,
    unanswered: AtomicU32,
}

impl Lane {
    fn held(&self) -> MutexGuard<'_, Option<Held>> {
        // The slot is replaced in one piece.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wire(&self) -> Option<(u64, MultiplexedConnection)> {
        self.held().as_ref().map(|held| (held.number, held.wire.clone()))
    }

    /// Gives up the connection with this number; a newer one stays.
    fn give_up(&self, number: u64) {
        let gone = self.held().take_if(|held| held.number == number);
        if let Some(held) = gone {
            // Not back into the pool, which would use it again.
            drop(deadpool_redis::Connection::take(held.checkout));
            self.unanswered.store(0, Ordering::Relaxed);
        }
    }
}

/// Counts a command that never got its answer, also if its future was dropped.
struct Flight<'a> {
    lane: &'a Lane,
    number: u64,
    asked: u32,
    answered: bool,
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        if self.answered {
            self.lane.unanswered.store(0, Ordering::Relaxed);
        } else if self.lane.unanswered.fetch_add(self.asked, Ordering::Relaxed) + self.asked >= UNANSWERED {
            self.lane.give_up(self.number);
        }
    }
}

/// A command, several, or a script.
#[derive(Clone, Copy)]
pub(super) enum Request<'a> {
    Command(&'a Cmd),
    Pipeline(&'a Pipeline),
    Script(&'a ScriptInvocation<'a>),
}

impl Request<'_> {
    async fn send<T: FromRedisValue>(self, wire: &mut MultiplexedConnection) -> RedisResult<T> {
        match self {
            Self::Command(command) => command.query_async(wire).await,
            Self::Pipeline(pipeline) => pipeline.query_async(wire).await,
            Self::Script(script) => script.invoke_async(wire).await,
        }
    }
}

/// The client of one Redis server.
pub(super) struct RedisClient {
    pool: Pool,
    lanes: Box<[Arc<Lane>]>,
    opened: Arc<AtomicU64>,
    deadline: Duration,
    /// When the server last refused a write because it is full.
    full: Mutex<Option<Tick>>,
}

/// The number of this thread among those that have used a store.
pub(super) fn thread_number() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local!(static NUMBER: usize = NEXT.fetch_add(1, Ordering::Relaxed));
    NUMBER.with(|number| *number)
}

impl RedisClient {
    /// A client that connects when it is first used.
    pub fn new(client: &Client, deadline: Duration, lanes: usize) -> RedisResult<Self> {
        // The deadline is set here and includes the wait for a connection, so the time-out of the library is off.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(None)
            .set_pipeline_buffer_size(LANE_QUEUE);
        let manager = Manager::new_with_config(client.get_connection_info().clone(), config)?;
        let lanes: Box<[_]> = (0..lanes.max(1)).map(|_| Arc::default()).collect();
        // A lane that was given up has left the pool, so there is always room for its successor.
        let pool = Pool::builder(manager)
            .max_size(lanes.len())
            .build()
            .map_err(|e| RedisError::from((ErrorKind::InvalidClientConfig, "pool", e.to_string())))?;
        Ok(Self { pool, lanes, opened: Arc::default(), deadline, full: Mutex::default() })
    }

    /// Runs one operation of the store, with all its commands, within the deadline.
    pub async fn timed<T>(&self, operation: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::time::timeout(self.deadline, operation)
            .await
            .unwrap_or_else(|_| Err(StoreError::Unavailable("no answer in time".into())))
    }

    /// The server has refused a write because it is full.
    pub fn refused_as_full(&self) {
        *self.full.lock().unwrap_or_else(PoisonError::into_inner) = Some(clock::now());
    }

    /// Whether the server has refused a write within this time because it was full.
    pub fn was_full_within(&self, time: Duration) -> bool {
        let full = *self.full.lock().unwrap_or_else(PoisonError::into_inner);
        full.is_some_and(|at| clock::now().since(at) < time)
    }

    /// A command that may run twice.
    pub async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T> {
        self.send(Request::Command(command), 1, true).await
    }

    /// Commands that may run twice, in one packet.
    pub async fn ask_all<T: FromRedisValue>(&self, pipeline: &Pipeline) -> Result<T> {
        self.send(Request::Pipeline(pipeline), 1, true).await
    }

    /// A script that may run twice.
    pub async fn eval<T: FromRedisValue>(&self, script: &ScriptInvocation<'_>) -> Result<T> {
        self.send(Request::Script(script), 1, true).await
    }

    /// A script whose second run would give another answer.
    pub async fn eval_once<T: FromRedisValue>(&self, script: &ScriptInvocation<'_>) -> Result<T> {
        self.send(Request::Script(script), 1, false).await
    }

    /// One operation for `asked` callers, within the deadline. It may run twice.
    pub async fn ask_for<T: FromRedisValue>(&self, asked: usize, request: Request<'_>) -> Result<T> {
        let asked = u32::try_from(asked).unwrap_or(UNANSWERED);
        self.timed(self.send(request, asked, true)).await
    }

    async fn send<T: FromRedisValue>(&self, request: Request<'_>, asked: u32, twice: bool) -> Result<T> {
        let lane = &self.lanes[thread_number() % self.lanes.len()];
        let first = match self.try_send(lane, request, asked).await? {
            Ok(answer) => return Ok(answer),
            Err(e) => e,
        };
        // A server that refuses has not run the command, so it may be repeated. A broken connection leaves that
        // unknown.
        if !(server_unfit(&first) || connection_broken(&first) && twice) {
            return Err(unavailable(&first));
        }
        // The lane has been given up, so this opens a new connection. Another lane may be broken too, without having
        // noticed.
        self.try_send(lane, request, asked).await?.map_err(|e| unavailable(&e))
    }

    async fn try_send<T: FromRedisValue>(
        &self,
        lane: &Arc<Lane>,
        request: Request<'_>,
        asked: u32,
    ) -> Result<RedisResult<T>> {
        let (number, mut wire) = self.open(lane).await?;
        let mut flight = Flight { lane, number, asked, answered: false };
        let answer = request.send(&mut wire).await;
        flight.answered = true;
        if answer.as_ref().is_err_and(|e| e.code() == Some("OOM")) {
            self.refused_as_full();
        }
        if let Err(e) = &answer
            && (connection_broken(e) || server_unfit(e))
        {
            lane.give_up(number);
        }
        Ok(answer)
    }

    /// The connection of the lane, opened if necessary. Opening continues if the caller is dropped; the next caller
    /// uses it.
    async fn open(&self, lane: &Arc<Lane>) -> Result<(u64, MultiplexedConnection)> {
        if let Some(wire) = lane.wire() {
            return Ok(wire);
        }
        let turn = lane.opening.clone().lock_owned().await;
        if let Some(wire) = lane.wire() {
            return Ok(wire);
        }
        let (pool, lane, opened) = (self.pool.clone(), lane.clone(), self.opened.clone());
        let opening = tokio::spawn(async move {
            let _turn = turn;
            let checkout = match tokio::time::timeout(CONNECT, pool.get()).await {
                Ok(Ok(checkout)) => checkout,
                Ok(Err(PoolError::Backend(e))) => return Err(unavailable(&e)),
                Ok(Err(e)) => return Err(StoreError::Unavailable(e.to_string())),
                Err(_) => return Err(StoreError::Unavailable("no connection in time".into())),
            };
            let number = opened.fetch_add(1, Ordering::Relaxed);
            let wire = MultiplexedConnection::clone(&checkout);
            *lane.held() = Some(Held { number, wire: wire.clone(), checkout });
            Ok((number, wire))
        });
        opening.await.unwrap_or_else(|e| Err(StoreError::Unavailable(e.to_string())))
    }
}

fn connection_broken(e: &RedisError) -> bool {
    e.is_io_error() || e.is_connection_dropped() || e.is_unrecoverable_error()
}

/// The server accepts no writes. After a failover its name may lead to another server.
fn server_unfit(e: &RedisError) -> bool {
    matches!(
        e.kind(),
        ErrorKind::Server(ServerErrorKind::ReadOnly | ServerErrorKind::BusyLoading | ServerErrorKind::MasterDown)
    )
}

/// The short reason, without keys and values.
pub(super) fn unavailable(e: &RedisError) -> StoreError {
    let why = match e.code() {
        Some("OOM") => "store is full".into(),
        Some("READONLY") => "store is read only".into(),
        Some("LOADING") => "store is loading its data".into(),
        Some("MISCONF") => "store refuses writes: it cannot save to disk".into(),
        Some("NOREPLICAS") => "store refuses writes: too few replicas".into(),
        Some("NOAUTH" | "WRONGPASS" | "NOPERM") => "store refuses the credentials".into(),
        Some(code) => format!("store answered {code} {}", e.detail().unwrap_or_default()),
        None if e.is_connection_refusal() => "connection refused".into(),
        None if connection_broken(e) => "connection broken".into(),
        None => e.category().into(),
    };
    StoreError::Unavailable(why)
}
