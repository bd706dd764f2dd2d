//! Categories of a domain.

use super::{Admin, AdminError, Authority, Result};
use crate::core::model::device::Category;
use crate::core::model::ids::CategoryId;
use crate::store::{Deleted, PutCategory};

/// Why a new name of a category is refused (`docs/protocol/devices-api.md` 1.3).
pub(super) const COMMA: &str = "must not have a comma: filters separate names by commas";

impl Admin {
    /// Makes a category (`id` is `None`) or changes one.
    pub async fn put_category(
        &self,
        authority: &Authority,
        named: &str,
        id: Option<CategoryId>,
        name: &str,
        provisioning: bool,
    ) -> Result<Category> {
        let domain = self.own(authority, named).await?;
        if !domain.may_name_category(id, name) {
            return Err(AdminError::invalid("name", COMMA));
        }
        match self.services.store.put_category(&domain.name, id, name, provisioning).await? {
            PutCategory::Kept(category) => {
                let what = if id.is_some() { "category.change" } else { "category.make" };
                self.record(authority, what, name, Some(&domain.name)).await;
                self.changed(&domain.name).await;
                Ok(category)
            }
            PutCategory::NameTaken => Err(AdminError::Conflict("another category of the domain has this name".into())),
            PutCategory::Unknown => Err(AdminError::NotFound("category")),
        }
    }

    /// Deletes a category that nothing belongs to.
    pub async fn delete_category(&self, authority: &Authority, named: &str, id: CategoryId) -> Result<()> {
        let domain = self.own(authority, named).await?;
        match self.services.store.delete_category(&domain.name, id).await? {
            Deleted::Gone => {
                let named = domain.categories.iter().find(|category| category.id == id);
                let name = named.map_or_else(|| id.0.to_string(), |category| category.name.to_string());
                self.record(authority, "category.delete", &name, Some(&domain.name)).await;
                self.changed(&domain.name).await;
                Ok(())
            }
            Deleted::InUse => Err(AdminError::Conflict("devices, open codes or jobs belong to the category".into())),
            Deleted::Unknown => Err(AdminError::NotFound("category")),
        }
    }
}
