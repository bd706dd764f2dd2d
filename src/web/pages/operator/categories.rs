//! The categories of a domain.

use actix_web::{HttpResponse, web};
use askama::Template;

use super::{Answer, Frame, OperatorContext, Page};
use crate::core::model::device::Category;
use crate::core::model::ids::CategoryId;
use crate::web::pages::{Fields, PageError};

#[derive(Template)]
#[template(path = "operator/categories.html")]
struct CategoriesPage {
    page: Page,
    frame: Frame,
    categories: Vec<Category>,
}

pub(super) fn routes(config: &mut web::ServiceConfig) {
    let at = "/operator/d/{domain}/categories";
    config
        .route(at, web::get().to(show))
        .route(at, web::post().to(put))
        .route(&format!("{at}/delete"), web::post().to(delete));
}

async fn show(context: OperatorContext) -> Answer<HttpResponse> {
    let categories = context.domain.categories.clone();
    context.page.answer(&CategoriesPage { page: context.page.clone(), frame: context.frame(), categories })
}

/// The field with the name of a category.
pub(super) fn name_of(page: &Page, fields: &Fields) -> Answer<Box<str>> {
    let name = fields.get("category");
    if name.is_empty() || name.chars().count() > 128 || name.chars().any(char::is_control) {
        return Err(PageError::Refused(page.t("operator.bad_category").into()));
    }
    Ok(name.into())
}

/// Refuses a name that has a comma and is new.
pub(super) fn check_comma(page: &Page, may: bool) -> Answer<()> {
    if may { Ok(()) } else { Err(PageError::Refused(page.t("operator.category_comma").into())) }
}

fn id_of(fields: &Fields) -> Answer<Option<CategoryId>> {
    match fields.get("id") {
        "" => Ok(None),
        id => id.parse().map(|id| Some(CategoryId(id))).map_err(|_| PageError::Unreadable),
    }
}

async fn put(context: OperatorContext, fields: Fields) -> Answer<HttpResponse> {
    let (name, id) = (name_of(&context.page, &fields)?, id_of(&fields)?);
    check_comma(&context.page, context.domain.may_name_category(id, &name))?;
    context.admin.put_category(&context.authority, context.named(), id, &name, fields.has("provisioning")).await?;
    Ok(context.done("/categories"))
}

async fn delete(context: OperatorContext, fields: Fields) -> Answer<HttpResponse> {
    let id = id_of(&fields)?.ok_or(PageError::Unreadable)?;
    context.admin.delete_category(&context.authority, context.named(), id).await?;
    Ok(context.done("/categories"))
}
