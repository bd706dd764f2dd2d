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
use crate::store::schema::Form;
use crate::store::seal::Sealer;
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
    pub async fn start(client: Client, sealer: Sealer, fanout: Arc<Fanout>) -> Result<Self> {
        let first = listen(&client).await?;
        Ok(Self(tokio::spawn(keep_listening(client, sealer, fanout, first))))
    }
}

async fn keep_listening(client: Client, sealer: Sealer, fanout: Arc<Fanout>, first: (PubSubSink, PubSubStream)) {
    let mut connection = first;
    loop {
        pass_on(connection, &sealer, &fanout).await;
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
async fn pass_on((mut sink, mut stream): (PubSubSink, PubSubStream), sealer: &Sealer, fanout: &Fanout) {
    loop {
        match tokio::time::timeout(PING_EVERY, stream.next()).await {
            Ok(Some(message)) => match wire::read(sealer, message.get_payload_bytes()) {
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
        let text = if self.form() == Form::Old { to_json(signal) } else { wire::write(&self.sealer, signal) };
        self.client.timed(self.client.ask(cmd("PUBLISH").arg(keys::BUS).arg(text))).await
    }

    fn subscribe(&self) -> mpsc::Receiver<Signal> {
        self.fanout.subscribe()
    }
}

/// Signals as text. The code in one is sealed; programs before version 1 read the signal as one without a code.
mod wire {
    use serde::{Deserialize, Serialize};

    use crate::core::model::ids::{Code, DomainName};
    use crate::store::code_name::StoredCode;
    use crate::store::record::to_json;
    use crate::store::seal::Sealer;
    use crate::store::{Result, Signal};

    /// A signal with a sealed code.
    #[derive(Serialize, Deserialize)]
    enum Text {
        Mail {
            domain: DomainName,
            #[serde(flatten)]
            code: StoredCode,
        },
    }

    fn place(domain: &DomainName) -> String {
        format!("{{{domain}}}:bus:mail")
    }

    pub fn write(sealer: &Sealer, signal: &Signal) -> String {
        match signal {
            Signal::Mail { domain, code: Some(code) } => {
                to_json(&Text::Mail { domain: domain.clone(), code: StoredCode::sealed(sealer, &place(domain), *code) })
            }
            signal => to_json(signal),
        }
    }

    pub fn read(sealer: &Sealer, text: &[u8]) -> std::result::Result<Signal, serde_json::Error> {
        let signal: Signal = serde_json::from_slice(text)?;
        Ok(match signal {
            Signal::Mail { domain, code: None } => {
                let code = sealed_code(sealer, &domain, text).ok();
                Signal::Mail { domain, code: code.flatten() }
            }
            signal => signal,
        })
    }

    fn sealed_code(sealer: &Sealer, domain: &DomainName, text: &[u8]) -> Result<Option<Code>> {
        match serde_json::from_slice(text) {
            Ok(Text::Mail { code, .. }) if code.is_some() => code.open(sealer, &place(domain)).map(Some),
            _ => Ok(None),
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_signal_names_no_code_and_those_of_before_are_read() {
            let sealer = Sealer::random();
            let code = Code::parse("402817739164").unwrap();
            let mail = |code| Signal::Mail { domain: DomainName::parse("example.com").unwrap(), code };
            for signal in [mail(Some(code)), mail(None), Signal::Gap] {
                let text = write(&sealer, &signal);
                assert!(!text.contains("402817739164"), "{text}");
                assert_eq!(read(&sealer, text.as_bytes()).unwrap(), signal);
                let before = to_json(&signal);
                assert_eq!(read(&sealer, before.as_bytes()).unwrap(), signal);
            }
            // What a program of before makes of it.
            let text = write(&sealer, &mail(Some(code)));
            assert_eq!(serde_json::from_str::<Signal>(&text).unwrap(), mail(None));
            let other = Sealer::random();
            assert_eq!(read(&other, text.as_bytes()).unwrap(), mail(None));
        }
    }
}
