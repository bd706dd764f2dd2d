//! Codes whose phone is not known: those of an earlier run are asked for after each log-in, and those whose time is over once
//! more, because Devices does not tell of that by itself. One node of a tenant does it for all.

use std::time::Duration;

use crate::core::model::device::KEEP_USED;
use crate::core::model::ids::{Code, NodeId};
use crate::core::protocol::appws::message::{ApiError, Refusal};
use crate::core::session::app::client::{Answer, Ask, AskError};
use crate::store::Result;
use crate::users_role::devices_link::Link;
use crate::users_role::order_intake::Placing;

/// How often it is looked for codes whose time is over.
const LOOK_EVERY: Duration = Duration::from_secs(20);
/// The turn of the node that does it: it outlasts a restart of this node by little.
const TURN: Duration = Duration::from_secs(60);
/// Codes that are read at a time.
const PAGE: usize = 1000;
/// The clocks of Devices and of this store may differ by so much.
const GRACE: Duration = Duration::from_secs(5);
/// Between two questions about codes that have ended; Devices takes 50 requests a second, and others have to get through.
const BETWEEN: Duration = Duration::from_millis(50);

/// Looks after the codes of one tenant until it is dropped.
pub(super) async fn look_after(link: Link, placing: Placing, node: NodeId) {
    let mut asked_all = false;
    loop {
        match placing.store.take_turn(&placing.domain, "codes", &node, TURN).await {
            // Whoever has the turn for the first time asks for all; the link asks again by itself when it has come back.
            Ok(true) => {
                let looked = if asked_all { ended(&link, &placing).await } else { watch_all(&link, &placing).await };
                match looked {
                    Ok(()) => asked_all = true,
                    Err(error) => tracing::warn!(domain = %placing.domain, %error, "open codes were not looked at"),
                }
            }
            Ok(false) => asked_all = false,
            Err(error) => tracing::debug!(%error, "no turn at the open codes"),
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = link.logged_in() => {}
        }
    }
}

/// Has the link ask for every code that Devices may still know something of.
async fn watch_all(link: &Link, placing: &Placing) -> Result<()> {
    let mut from = placing.store.now().await? - KEEP_USED;
    loop {
        let page = placing.store.codes_without_phone(&placing.domain, from, PAGE).await?;
        let more = page.len() == PAGE;
        let last = page.last().map_or(from, |(ends, _)| *ends);
        link.watch(page.into_iter().map(|(_, code)| code).collect()).await;
        if !more {
            return Ok(());
        }
        // A page that ends where it began holds one moment only: what else is of it is passed over.
        from = if last == from { crate::core::model::time::UnixMillis(last.0 + 1) } else { last };
    }
}

/// Asks for the codes whose time is over.
async fn ended(link: &Link, placing: &Placing) -> Result<()> {
    let now = placing.store.now().await?;
    let mut from = now - KEEP_USED;
    loop {
        let page = placing.store.codes_without_phone(&placing.domain, from, PAGE).await?;
        for (ends, code) in &page {
            if *ends + GRACE > now {
                return Ok(());
            }
            if !settle(link, placing, *code).await? {
                return Ok(());
            }
            from = crate::core::model::time::UnixMillis(ends.0 + 1);
            tokio::time::sleep(BETWEEN).await;
        }
        if page.len() < PAGE {
            return Ok(());
        }
    }
}

/// What has become of a code whose time is over. False: Devices cannot be asked now.
async fn settle(link: &Link, placing: &Placing, code: Code) -> Result<bool> {
    match link.ask(Ask::Provisioned(code)).await {
        Ok(Answer::Provisioned(Some(device))) => placing.used(code, &device, None, false).await?,
        Err(AskError::Refused(Refusal::Api(ApiError::NotFound))) => placing.expired(code).await?,
        // Its clock is behind ours, or it has no answer for this one.
        Ok(_) | Err(AskError::Refused(_) | AskError::Malformed) => {}
        Err(AskError::Offline | AskError::Lost | AskError::Timeout | AskError::TooMany) => return Ok(false),
    }
    Ok(true)
}
