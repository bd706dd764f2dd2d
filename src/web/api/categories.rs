//! `/api/v1/domains/{domain}/categories`.

use actix_web::http::header::LOCATION;
use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, OpenApi, ToSchema};

use super::body::Body;
use super::caller::Caller;
use super::in_domain::InDomain;
use super::problem::{get, method_not_allowed};
use super::{Answer, Problem, text};
use crate::admin::{Admin, AdminError};
use crate::core::model::device::Category;
use crate::core::model::ids::CategoryId;

/// Longest name of a category, in characters.
const MAX_NAME: usize = 128;

/// Path parameters of a category.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct OneCategory {
    /// Number or name of the domain.
    #[param(min_length = 1, max_length = 253, example = "example.com")]
    domain: String,
    /// Number of the category.
    category: u64,
}

/// A category.
#[derive(Serialize, ToSchema)]
pub(super) struct CategoryAnswer {
    /// Number.
    id: u64,
    /// Name, unique within the domain.
    name: String,
    /// Devices can enter it by codes, and jobs can be made for it.
    provisioning: bool,
}

impl From<&Category> for CategoryAnswer {
    fn from(category: &Category) -> Self {
        Self { id: category.id.0, name: category.name.to_string(), provisioning: category.provisioning }
    }
}

/// Categories.
#[derive(Serialize, ToSchema)]
struct CategoriesAnswer {
    /// The categories of the domain, sorted by number.
    categories: Vec<CategoryAnswer>,
}

/// Settings of a category.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CategoryBody {
    /// Name, unique within the domain; not only blanks. A new name has no comma; a name that has one may be kept.
    #[schema(
        min_length = 1,
        max_length = 128,
        pattern = r"^[^,\x00-\x1f\x7f-\x9f]*[^,\s\x00-\x1f\x7f-\x9f][^,\x00-\x1f\x7f-\x9f]*$(?!\n)",
        example = "Desk phones"
    )]
    pub name: String,
    /// Devices can enter it by codes, and jobs can be made for it.
    pub provisioning: bool,
}

/// Checks the name of a category.
pub(super) fn check_name(field: &str, name: &str) -> Result<(), AdminError> {
    text::check(field, name, 1, MAX_NAME)?;
    if name.trim().is_empty() { Err(AdminError::invalid(field, "has blanks only")) } else { Ok(()) }
}

/// List categories
#[utoipa::path(get, path = "/api/v1/domains/{domain}/categories", tag = "categories", params(InDomain),
    responses((status = 200, body = CategoriesAnswer),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json")))]
async fn list_categories(caller: Caller, admin: web::Data<Admin>, at: web::Path<InDomain>) -> Answer<HttpResponse> {
    let domain = admin.domain(&caller.0, &at.domain).await?;
    let categories = domain.categories.iter().map(CategoryAnswer::from).collect();
    Ok(HttpResponse::Ok().json(CategoriesAnswer { categories }))
}

/// Make a category
#[utoipa::path(post, path = "/api/v1/domains/{domain}/categories", tag = "categories", params(InDomain),
    request_body = CategoryBody,
    responses((status = 201, body = CategoryAnswer, headers(("Location" = String, description = "Address of the category"))),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "There is one of this name"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json")))]
async fn create_category(
    caller: Caller,
    admin: web::Data<Admin>,
    at: web::Path<InDomain>,
    Body(body): Body<CategoryBody>,
) -> Answer<HttpResponse> {
    check_name("name", &body.name)?;
    let made = admin.put_category(&caller.0, &at.domain, None, &body.name, body.provisioning).await?;
    let domain = admin.domain(&caller.0, &at.domain).await?;
    let place = format!("/api/v1/domains/{}/categories/{}", domain.id.0, made.id.0);
    Ok(HttpResponse::Created().insert_header((LOCATION, place)).json(CategoryAnswer::from(&made)))
}

/// Read a category
#[utoipa::path(get, path = "/api/v1/domains/{domain}/categories/{category}", tag = "categories", params(OneCategory),
    responses((status = 200, body = CategoryAnswer),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json")))]
async fn get_category(caller: Caller, admin: web::Data<Admin>, at: web::Path<OneCategory>) -> Answer<HttpResponse> {
    let domain = admin.domain(&caller.0, &at.domain).await?;
    let category = domain.categories.iter().find(|category| category.id.0 == at.category);
    let category = category.ok_or(AdminError::NotFound("category"))?;
    Ok(HttpResponse::Ok().json(CategoryAnswer::from(category)))
}

/// Change a category
#[utoipa::path(put, path = "/api/v1/domains/{domain}/categories/{category}", tag = "categories", params(OneCategory),
    request_body = CategoryBody, responses((status = 200, body = CategoryAnswer),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "Another one has this name"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json")))]
async fn change_category(
    caller: Caller,
    admin: web::Data<Admin>,
    at: web::Path<OneCategory>,
    Body(body): Body<CategoryBody>,
) -> Answer<HttpResponse> {
    check_name("name", &body.name)?;
    let id = Some(CategoryId(at.category));
    let changed = admin.put_category(&caller.0, &at.domain, id, &body.name, body.provisioning).await?;
    Ok(HttpResponse::Ok().json(CategoryAnswer::from(&changed)))
}

/// Delete a category
///
/// Refused if devices, open codes or jobs belong to it.
#[utoipa::path(delete, path = "/api/v1/domains/{domain}/categories/{category}", tag = "categories", params(OneCategory),
    responses((status = 204),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "Something belongs to it"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json")))]
async fn delete_category(caller: Caller, admin: web::Data<Admin>, at: web::Path<OneCategory>) -> Answer<HttpResponse> {
    admin.delete_category(&caller.0, &at.domain, CategoryId(at.category)).await?;
    Ok(HttpResponse::NoContent().finish())
}

#[derive(OpenApi)]
#[openapi(paths(list_categories, create_category, get_category, change_category, delete_category))]
pub(super) struct Doc;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .service(
            web::resource("/domains/{domain}/categories")
                .route(get().to(list_categories))
                .route(web::post().to(create_category))
                .default_service(web::to(method_not_allowed("GET, POST"))),
        )
        .service(
            web::resource("/domains/{domain}/categories/{category}")
                .route(get().to(get_category))
                .route(web::put().to(change_category))
                .route(web::delete().to(delete_category))
                .default_service(web::to(method_not_allowed("GET, PUT, DELETE"))),
        );
}
