//! Dispatches the requests of an app session to the services that answer them (`docs/protocol/devices-api.md`).

use std::net::IpAddr;
use std::sync::Arc;

use crate::app_connection::queries::WantedCode;
use crate::app_connection::services::Services;
use crate::core::model::ids::DeviceKey;
use crate::core::protocol::appws::message::ApiError;
use crate::core::protocol::sysclient::tunnel::request::Draft;
use crate::core::session::app::event::{Answer, Ask};
use crate::core::session::app::rights::Rights;
use crate::core::session::device::event::TunnelRequest;
use crate::device::tunnel::{self, FetchError};

/// Longest body of an `HttpGet`, in bytes (`docs/protocol/devices-api.md` 3.5).
const FETCH_MAX: usize = 1024 * 1024;

/// Answers a request within the rights of its connection.
pub(super) async fn answer(services: Arc<Services>, rights: Rights, from: Option<IpAddr>, ask: Ask) -> Answer {
    let (queries, rights) = (&services.queries, &rights);
    let answer = match ask {
        Ask::Categories { domain, device_type } => queries.categories(rights, domain, device_type.as_deref()).await,
        Ask::Code { domain, category, sip, rollout, administrative } => {
            let wanted = WantedCode { category: &category, sip, rollout, administrative };
            queries.issue_code(rights, domain, wanted).await
        }
        Ask::Device { domain, code } => queries.device_of_code(rights, domain, code).await,
        Ask::Named(device) => queries.device(rights, &device).await,
        Ask::Ports(device) => queries.ports(rights, &device).await,
        Ask::RemovePort { device, port } => queries.remove_port(rights, from, &device, &port).await,
        Ask::Fetch { device, target } => fetch(&services, rights, &device, target).await,
        Ask::Domains => Ok(queries.domains(rights, &services.instance.domain)),
        Ask::DeviceConfigs { domain } => queries.device_configs(rights, domain).await,
        Ask::DeviceConfig { domain, id } => queries.device_config(rights, domain, id).await,
        Ask::Unassigned => queries.unassigned_count(rights).await,
        Ask::Search(search) => queries.search(rights, *search, &services.instance.domain).await,
        Ask::List(selection) => queries.first_page(rights, selection).await,
        Ask::More(walk) => queries.next_page(walk).await,
        Ask::Look(keys, selection) => queries.current_devices(rights, keys, &selection).await,
    };
    answer.unwrap_or_else(Answer::Failed)
}

impl From<FetchError> for ApiError {
    fn from(error: FetchError) -> Self {
        match error {
            FetchError::Offline => Self::Offline,
            FetchError::TooMany => Self::TooManyRequests,
            FetchError::TooLarge => Self::TooLarge,
            FetchError::Timeout => Self::Timeout,
            FetchError::Failed(_) => Self::Internal,
        }
    }
}

/// Asks a device within the rights for something that it serves. How long that takes is bounded by the timers of the
/// tunnel.
async fn fetch(services: &Services, rights: &Rights, device: &DeviceKey, target: String) -> Result<Answer, ApiError> {
    let (domain, view) = services.queries.reachable_device(rights, device).await?;
    if !view.online {
        return Err(ApiError::Offline);
    }
    // The device is named by its tunnel; the field is there because HTTP/1.1 has it.
    let fields = [("Host", device.as_str().as_bytes())];
    let draft = Draft::new("GET", &target, &fields, false).and_then(|draft| draft.with_body(&[]));
    let (bytes, expects) = draft.map_err(|_| ApiError::BadRequest)?;
    let request = TunnelRequest { bytes, expects };
    let fetched = tunnel::fetch(&services.directory, &domain.name, device.clone(), request, FETCH_MAX).await?;
    // The device may have taken its time.
    let from = (!rights.admin).then_some(&rights.domain);
    if !services.tenants.reach(from, &domain.name).await? {
        return Err(ApiError::NotFound);
    }
    Ok(Answer::Fetched {
        status: fetched.status,
        content_type: fetched.content_type.map(Into::into),
        body: fetched.body.to_vec(),
    })
}
