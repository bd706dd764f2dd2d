//! The choice of category and phone app; a drop-down only if there are several.

use super::Answer;
use super::member::Member;
use crate::core::model::users_role::PhoneApp;

/// Choices for a new phone.
pub(super) struct Choice {
    /// Categories that phones can enter.
    pub categories: Vec<String>,
    /// Phone apps.
    pub apps: Vec<PhoneApp>,
}

impl Choice {
    /// Reads them from Devices and the backend.
    pub async fn of(member: &Member) -> Answer<Self> {
        let categories = member.users_role.categories(&member.domain).await?;
        let mut categories: Vec<String> = categories.into_iter().map(|category| category.name.into()).collect();
        categories.sort_by_cached_key(|name| name.to_lowercase());
        Ok(Self { categories, apps: member.users_role.phone_apps(&member.domain).await? })
    }

    /// Whether a phone can be requested at all.
    pub const fn is_empty(&self) -> bool {
        self.categories.is_empty() || self.apps.is_empty()
    }
}
