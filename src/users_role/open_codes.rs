//! Asks Devices for codes without a known phone: all open codes after each log-in, and expired codes once more,
//! because Devices sends nothing when a code expires. One node per tenant does it for all.

use std::time::Duration;

use crate::core::model::device::KEEP_USED;
use crate::core::model::ids::{Code, NodeId};
use crate::core::protocol::appws::message::{ApiError, Refusal};
use crate::core::session::app::client::{Answer, Ask, AskError};
use crate::store::Result;
use crate::users_role::devices_link::Link;
use crate::users_role::order_intake::OrderIntake;

/// Interval between checks for expired codes.
const POLL_EVERY: Duration = Duration::from_secs(20);
/// How long the node keeps its turn; slightly longer than a restart takes.
const TURN: Duration = Duration::from_secs(60);
/// Codes read per page.
const PAGE: usize = 1000;
/// Allowed difference between the clocks of Devices and of this store.
const GRACE: Duration = Duration::from_secs(5);
/// Interval between requests for expired codes; Devices allows 50 requests a second, shared with all others.
const BETWEEN: Duration = Duration::from_millis(50);

/// Asks for the codes of one tenant until dropped.
pub(super) async fn poll_open_codes(link: Link, intake: OrderIntake, node: NodeId) {
    let mut asked_all = false;
    loop {
        match intake.store.take_turn(&intake.domain, "codes", &node, TURN).await {
            // The first time, a node asks for all codes; after a reconnect the link repeats that itself.
            Ok(true) => {
                let result = if asked_all { ask_ended(&link, &intake).await } else { watch_all(&link, &intake).await };
                match result {
                    Ok(()) => asked_all = true,
                    Err(error) => tracing::warn!(domain = %intake.domain, %error, "open codes not checked"),
                }
            }
            Ok(false) => asked_all = false,
            Err(error) => tracing::debug!(%error, "turn for open codes not taken"),
        }
        tokio::select! {
            () = tokio::time::sleep(POLL_EVERY) => {}
            () = link.logged_in() => {}
        }
    }
}

/// Registers every code that Devices may still know with the link.
async fn watch_all(link: &Link, intake: &OrderIntake) -> Result<()> {
    let mut from = intake.store.now().await? - KEEP_USED;
    loop {
        let page = intake.store.codes_without_phone(&intake.domain, from, PAGE).await?;
        let more = page.len() == PAGE;
        let last = page.last().map_or(from, |(ends, _)| *ends);
        link.watch(page.into_iter().map(|(_, code)| code).collect()).await;
        if !more {
            return Ok(());
        }
        // All codes of this page end in the same millisecond; step over it to make progress.
        from = if last == from { crate::core::model::time::UnixMillis(last.0 + 1) } else { last };
    }
}

/// Asks for expired codes.
async fn ask_ended(link: &Link, intake: &OrderIntake) -> Result<()> {
    let now = intake.store.now().await?;
    let mut from = now - KEEP_USED;
    loop {
        let page = intake.store.codes_without_phone(&intake.domain, from, PAGE).await?;
        for (ends, code) in &page {
            if *ends + GRACE > now {
                return Ok(());
            }
            if !resolve_code(link, intake, *code).await? {
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

/// Asks for one expired code and records the answer. False: Devices cannot be asked now.
async fn resolve_code(link: &Link, intake: &OrderIntake, code: Code) -> Result<bool> {
    match link.ask(Ask::Provisioned(code)).await {
        Ok(Answer::Provisioned(Some(device))) => intake.used(code, &device, None, false).await?,
        Err(AskError::Refused(Refusal::Api(ApiError::NotFound))) => intake.expired(code).await?,
        // Devices still holds the code as open, or gave no usable answer; try again later.
        Ok(_) | Err(AskError::Refused(_) | AskError::Malformed) => {}
        Err(AskError::Offline | AskError::Lost | AskError::Timeout | AskError::TooMany) => return Ok(false),
    }
    Ok(true)
}
