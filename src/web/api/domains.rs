//! `/api/v1/domains`: domains, their settings, and the access of other domains.

use actix_web::http::header::LOCATION;
use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::{OpenApi, ToSchema};

use super::body::{Body, Longest, Shape};
use super::caller::Caller;
use super::categories::{CategoryAnswer, CategoryBody, check_name};
use super::in_domain::InDomain;
use super::problem::{get, method_not_allowed};
use super::{Answer, MAX_JSON, MAX_TEXT, Problem, text};
use crate::admin::{Admin, AdminError};
use crate::core::model::device::Domain;
use crate::core::model::ids::{DomainName, Secret};
use crate::store::{DomainChange, NewDomain};

/// Most categories or domains in one request.
const MAX_NAMED: usize = 1000;

/// A domain. Its passwords and its token are never shown, only whether they are set.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct DomainAnswer {
    /// Number.
    id: u64,
    /// Name.
    #[schema(example = "example.com")]
    name: String,
    /// Its devices receive an administrative password.
    deploys_admin_password: bool,
    /// Automatic provisioning is on.
    auto_provisioning: bool,
    /// The domains that this one has access to.
    access_to: Vec<String>,
    /// Its categories, sorted by number.
    categories: Vec<CategoryAnswer>,
}

impl From<&Domain> for DomainAnswer {
    fn from(domain: &Domain) -> Self {
        Self {
            id: domain.id.0,
            name: domain.name.as_str().into(),
            deploys_admin_password: !domain.admin_password.is_empty(),
            auto_provisioning: !domain.auto_token.is_empty(),
            access_to: domain.access_to.iter().map(|name| name.as_str().into()).collect(),
            categories: domain.categories.iter().map(CategoryAnswer::from).collect(),
        }
    }
}

/// Domains.
#[derive(Serialize, ToSchema)]
struct DomainsAnswer {
    /// The domains that the token gives access to, sorted by number.
    domains: Vec<DomainAnswer>,
}

/// A new domain.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct DomainBody {
    /// Name: letters, digits, `.`, `-` and `_`; at least one letter, so that it is not taken for a number. Case does not count.
    #[schema(
        min_length = 1,
        max_length = 253,
        pattern = r"^[0-9._-]*[A-Za-z][A-Za-z0-9._-]*$(?!\n)",
        example = "example.com"
    )]
    name: String,
    /// Password for app connections and for this interface.
    #[schema(value_type = String, format = Password, min_length = 1, max_length = 256, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$(?!\n)")]
    password: Secret,
    /// Administrative password that devices receive; absent or empty: none.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = Password, max_length = 256, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$(?!\n)")]
    admin_password: Option<Secret>,
    /// Token of automatic provisioning; absent or empty: off.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = Password, max_length = 256, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$(?!\n)")]
    auto_token: Option<Secret>,
    /// Its first categories.
    #[serde(default)]
    #[schema(value_type = Vec<CategoryBody>, max_items = 1000)]
    categories: Vec<Shape<CategoryBody>>,
}

/// Changes of settings; absent members stay unchanged.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct DomainChangeBody {
    /// Password for app connections and for this interface. Tokens issued for the old one become invalid.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = Password, min_length = 1, max_length = 256, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$(?!\n)")]
    password: Option<Secret>,
    /// Administrative password that devices receive; empty: none. Members that are online receive a new one at once.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = Password, max_length = 256, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$(?!\n)")]
    admin_password: Option<Secret>,
    /// Token of automatic provisioning; empty: off.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = Password, max_length = 256, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$(?!\n)")]
    auto_token: Option<Secret>,
}

/// Access of other domains.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Access {
    /// Names of the domains that have access to this one.
    #[schema(max_items = 1000, example = json!(["provider.example"]))]
    domains: Vec<String>,
}

fn check_secret(field: &str, secret: Option<&Secret>, shortest: usize) -> Result<(), AdminError> {
    secret.map_or(Ok(()), |secret| text::check(field, secret.expose(), shortest, MAX_TEXT))
}

fn check_count(field: &str, named: usize) -> Result<(), AdminError> {
    if named > MAX_NAMED { Err(AdminError::invalid(field, "has more than 1000 entries")) } else { Ok(()) }
}

impl DomainBody {
    fn checked(self) -> Result<NewDomain, AdminError> {
        let bad_name = || {
            AdminError::invalid("name", "must have 1 to 253 letters, digits, `.`, `-` or `_`, and at least one letter")
        };
        if !self.name.is_ascii() || !self.name.contains(|c: char| c.is_ascii_alphabetic()) {
            return Err(bad_name());
        }
        let name = DomainName::parse(&self.name).map_err(|_| bad_name())?;
        check_secret("password", Some(&self.password), 1)?;
        check_secret("adminPassword", self.admin_password.as_ref(), 0)?;
        check_secret("autoToken", self.auto_token.as_ref(), 0)?;
        check_count("categories", self.categories.len())?;
        for (at, Shape(category)) in self.categories.iter().enumerate() {
            check_name(&format!("categories.{at}.name"), &category.name)?;
        }
        Ok(NewDomain {
            name,
            password: self.password,
            admin_password: self.admin_password.unwrap_or_default(),
            auto_token: self.auto_token.unwrap_or_default(),
            categories: self.categories.into_iter().map(|Shape(c)| (c.name.into(), c.provisioning)).collect(),
        })
    }
}

impl DomainChangeBody {
    fn checked(self) -> Result<DomainChange, AdminError> {
        check_secret("password", self.password.as_ref(), 1)?;
        check_secret("adminPassword", self.admin_password.as_ref(), 0)?;
        check_secret("autoToken", self.auto_token.as_ref(), 0)?;
        Ok(DomainChange {
            password: self.password,
            admin_password: self.admin_password,
            auto_token: self.auto_token,
            ..DomainChange::default()
        })
    }
}

/// List domains
///
/// The domains that the token gives access to.
#[utoipa::path(get, path = "/api/v1/domains", tag = "domains",
    responses((status = 200, body = DomainsAnswer),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json")))]
async fn list_domains(caller: Caller, admin: web::Data<Admin>) -> Answer<HttpResponse> {
    let domains = admin.domains(&caller.0).await?;
    let domains = domains.iter().map(|domain| DomainAnswer::from(&**domain)).collect();
    Ok(HttpResponse::Ok().json(DomainsAnswer { domains }))
}

/// Make a domain
///
/// Only with a token of the instance.
#[utoipa::path(post, path = "/api/v1/domains", tag = "domains", request_body = DomainBody,
    responses((status = 201, body = DomainAnswer, headers(("Location" = String, description = "Address of the domain"))),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "There is one of this name"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json")))]
async fn create_domain(caller: Caller, admin: web::Data<Admin>, Body(body): Body<DomainBody>) -> Answer<HttpResponse> {
    let domain = admin.create_domain(&caller.0, &body.checked()?).await?;
    let place = format!("/api/v1/domains/{}", domain.id.0);
    Ok(HttpResponse::Created().insert_header((LOCATION, place)).json(DomainAnswer::from(&*domain)))
}

/// Read a domain
#[utoipa::path(get, path = "/api/v1/domains/{domain}", tag = "domains", params(InDomain),
    responses((status = 200, body = DomainAnswer),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json")))]
async fn get_domain(caller: Caller, admin: web::Data<Admin>, at: web::Path<InDomain>) -> Answer<HttpResponse> {
    let domain = admin.domain(&caller.0, &at.domain).await?;
    Ok(HttpResponse::Ok().json(DomainAnswer::from(&*domain)))
}

/// Change settings of a domain
///
/// With a token of the domain itself or of the instance.
#[utoipa::path(patch, path = "/api/v1/domains/{domain}", tag = "domains", params(InDomain),
    request_body = DomainChangeBody, responses((status = 200, body = DomainAnswer),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json")))]
async fn change_domain(
    caller: Caller,
    admin: web::Data<Admin>,
    at: web::Path<InDomain>,
    Body(body): Body<DomainChangeBody>,
) -> Answer<HttpResponse> {
    let domain = admin.change_domain(&caller.0, &at.domain, &body.checked()?).await?;
    Ok(HttpResponse::Ok().json(DomainAnswer::from(&*domain)))
}

/// Delete a domain
///
/// Deletes its categories, codes, jobs and roll-outs, too. Only with a token of the instance, and only without devices.
#[utoipa::path(delete, path = "/api/v1/domains/{domain}", tag = "domains", params(InDomain),
    responses((status = 204),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "Devices belong to it"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json")))]
async fn delete_domain(caller: Caller, admin: web::Data<Admin>, at: web::Path<InDomain>) -> Answer<HttpResponse> {
    admin.delete_domain(&caller.0, &at.domain).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Read who has access to a domain
#[utoipa::path(get, path = "/api/v1/domains/{domain}/access", tag = "domains", params(InDomain),
    responses((status = 200, body = Access),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json")))]
async fn get_access(caller: Caller, admin: web::Data<Admin>, at: web::Path<InDomain>) -> Answer<HttpResponse> {
    let names = admin.access(&caller.0, &at.domain).await?;
    Ok(HttpResponse::Ok().json(Access { domains: names.into_iter().map(String::from).collect() }))
}

/// Set who has access to a domain
///
/// These domains may see and use its devices, codes and jobs, but not change its settings. All others lose access.
#[utoipa::path(put, path = "/api/v1/domains/{domain}/access", tag = "domains", params(InDomain),
    request_body = Access, responses((status = 200, body = Access),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json")))]
async fn set_access(
    caller: Caller,
    admin: web::Data<Admin>,
    at: web::Path<InDomain>,
    Body(body): Body<Access>,
) -> Answer<HttpResponse> {
    check_count("domains", body.domains.len())?;
    let names = body.domains.iter().enumerate().map(|(place, name)| {
        let bad = |_| AdminError::unfit(format!("domains.{place}"), "is not the name of another domain");
        DomainName::parse(name).map_err(bad)
    });
    let names = names.collect::<Result<Vec<_>, _>>()?;
    let names = admin.set_access(&caller.0, &at.domain, &names).await?;
    Ok(HttpResponse::Ok().json(Access { domains: names.into_iter().map(String::from).collect() }))
}

#[derive(OpenApi)]
#[openapi(paths(list_domains, create_domain, get_domain, change_domain, delete_domain, get_access, set_access))]
pub(super) struct Doc;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .service(
            web::resource("/domains")
                .app_data(Longest(MAX_JSON))
                .route(get().to(list_domains))
                .route(web::post().to(create_domain))
                .default_service(web::to(method_not_allowed("GET, POST"))),
        )
        .service(
            web::resource("/domains/{domain}")
                .route(get().to(get_domain))
                .route(web::patch().to(change_domain))
                .route(web::delete().to(delete_domain))
                .default_service(web::to(method_not_allowed("GET, PATCH, DELETE"))),
        )
        .service(
            web::resource("/domains/{domain}/access")
                .app_data(Longest(MAX_JSON))
                .route(get().to(get_access))
                .route(web::put().to(set_access))
                .default_service(web::to(method_not_allowed("GET, PUT"))),
        );
}
