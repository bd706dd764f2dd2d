//! Signals between nodes over Redis publish/subscribe.
//!
//! One task per store listens on a connection of its own and reconnects after an interruption; the subscribers then get
//! [`Signal::Gap`].

use std::sync::Arc;
use std::time::Duration;

use ::redis::aio::{PubSubSink, PubSubStream};
use ::redis::{Client, RedisError, cmd};
use async_trait::async_trait;
use futures_util::StreamExt as _;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::connection::{CONNECT, unavailable};
use super::{Redis, keys};
use crate::store::fanout::Fanout;
use crate::store::record::to_json;
use crate::store::{Bus, Result, Signal, StoreError};

/// First and longest wait before the next attempt to listen again.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// A silent connection is pinged this often; a dead one can stay silent for hours.
const PING_EVERY: Duration = Duration::from_secs(5);

/// The listening task; it ends with the store.
pub(super) struct Listener(JoinHandle<()>);

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Listener {
    /// Starts listening. From its return on, a missed signal is followed by a gap.
    pub async fn start(client: Client, fanout: Arc<Fanout>) -> Result<Self> {
        let first = listen(&client).await?;
        Ok(Self(tokio::spawn(keep_listening(client, fanout, first))))
    }
}

async fn keep_listening(client: Client, fanout: Arc<Fanout>, first: (PubSubSink, PubSubStream)) {
    let mut connection = first;
    loop {
        pass_on(connection, &fanout).await;
        let mut wait = BACK_OFF.0;
        connection = loop {
            match listen(&client).await {
                Ok(opened) => break opened,
                Err(why) => tracing::warn!(%why, "cannot listen for signals of other nodes"),
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(BACK_OFF.1);
        };
        fanout.send(&Signal::Gap);
    }
}

async fn listen(client: &Client) -> Result<(PubSubSink, PubSubStream)> {
    let opening = async {
        let (mut sink, stream) = client.get_async_pubsub().await?.split();
        sink.subscribe(keys::BUS).await?;
        Ok::<_, RedisError>((sink, stream))
    };
    match tokio::time::timeout(CONNECT, opening).await {
        Ok(opened) => opened.map_err(|e| unavailable(&e)),
        Err(_) => Err(StoreError::Unavailable("no connection in time".into())),
    }
}

/// Passes signals on until the connection is lost.
async fn pass_on((mut sink, mut stream): (PubSubSink, PubSubStream), fanout: &Fanout) {
    loop {
        match tokio::time::timeout(PING_EVERY, stream.next()).await {
            Ok(Some(message)) => match serde_json::from_slice(message.get_payload_bytes()) {
                Ok(signal) => fanout.send(&signal),
                // A signal of a newer version that this one does not know is lost, so it is a gap.
                Err(_) => fanout.send(&Signal::Gap),
            },
            Ok(None) => return,
            Err(_) => match tokio::time::timeout(CONNECT, sink.ping::<::redis::Value>()).await {
                Ok(Ok(_)) => {}
                _ => return,
            },
        }
    }
}

#[async_trait]
impl Bus for Redis {
    async fn publish(&self, signal: &Signal) -> Result<()> {
        self.client.timed(self.client.ask(cmd("PUBLISH").arg(keys::BUS).arg(to_json(signal)))).await
    }

    fn subscribe(&self) -> mpsc::Receiver<Signal> {
        self.fanout.subscribe()
    }
}
