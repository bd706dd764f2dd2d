//! Signals within the one process that has the file.

use async_trait::async_trait;
use tokio::sync::mpsc;

use super::Embedded;
use crate::store::{Bus, Result, Signal};

#[async_trait]
impl Bus for Embedded {
    async fn publish(&self, signal: &Signal) -> Result<()> {
        self.fanout.send(signal);
        Ok(())
    }

    fn subscribe(&self) -> mpsc::Receiver<Signal> {
        self.fanout.subscribe()
    }
}
