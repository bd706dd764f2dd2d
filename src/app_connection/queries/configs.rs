//! Requests about device configurations (`docs/protocol/devices-api.md` 4.8 and 4.9).

use crate::core::model::device_config::MemberValue;
use crate::core::model::ids::{ConfigId, DomainId};
use crate::core::policy::jobs::device_config;
use crate::core::protocol::appws::message::ApiError;
use crate::core::protocol::sysclient::config::CONFIG_SEED_CHARS;
use crate::core::session::app::event::Answer;
use crate::core::session::app::rights::Rights;
use crate::random;

use super::AppQueries;

impl AppQueries {
    /// The device configurations of a domain, without their values.
    pub async fn device_configs(&self, rights: &Rights, id: Option<DomainId>) -> Result<Answer, ApiError> {
        let domain = self.domain(rights, id).await?;
        let (domain, jobs) = self.tenants.with_jobs(&domain.name).ok_or(ApiError::NotFound)?;
        Ok(Answer::DeviceConfigs(domain.id, device_config::list(&domain, &jobs)))
    }

    /// One device configuration, without what is secret in it for apps that are not shown that.
    pub async fn device_config(
        &self,
        rights: &Rights,
        domain: Option<DomainId>,
        id: ConfigId,
    ) -> Result<Answer, ApiError> {
        let domain = self.domain(rights, domain).await?;
        let (domain, jobs) = self.tenants.with_jobs(&domain.name).ok_or(ApiError::NotFound)?;
        let (mut config, mut script) = device_config::one(&domain, &jobs, id).ok_or(ApiError::NotFound)?;
        if !rights.sees_secrets() {
            config.members.retain(|(_, value)| !matches!(value, MemberValue::Secret(_)));
            script = None;
        }
        let seed = random::letters_and_digits(CONFIG_SEED_CHARS).expose().into();
        Ok(Answer::DeviceConfig { config: Box::new(config), script, seed })
    }
}
