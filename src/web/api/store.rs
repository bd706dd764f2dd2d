//! `/api/v1/store` and `/api/v1/keys/rotation`: version of the store, and generations of the instance key.

use actix_web::{HttpResponse, web};
use serde::Serialize;
use utoipa::{OpenApi, ToSchema};

use super::caller::Caller;
use super::problem::{get, method_not_allowed};
use super::{Answer, Problem};
use crate::admin::Admin;
use crate::core::model::ids::NodeId;
use crate::store::{KeyStatus, MigrationState, SchemaStatus};

/// The store: its version and migration, and the instance key.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct StoreState {
    /// Version of the store.
    version: u32,
    /// Version that this node brings it to.
    newest_version: u32,
    /// State of the migration: `done`, `waiting for nodes`, `closing`, `running`.
    #[schema(example = "done")]
    migration: &'static str,
    /// Step of the migration that is under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<&'static str>,
    /// Records that the migration under way, or the last one, has changed.
    migrated: u64,
    /// Nodes that the migration waits for: of an earlier version, or not yet followed.
    nodes_behind: Vec<String>,
    /// The instance key.
    keys: Keys,
}

/// The generations of the instance key.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Keys {
    /// What opens the key ring: `master key`, `instance password`, `key file`.
    #[schema(example = "master key")]
    locked_by: &'static str,
    /// Generation that seals.
    #[schema(minimum = 1, maximum = 255)]
    current: u8,
    /// Earlier generations that are still kept.
    earlier: Vec<u8>,
    /// A generation that will seal once all nodes know it.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<u8>,
    /// State of the rotation: `done`, `waiting for nodes`, `sealing`.
    #[schema(example = "done")]
    rotation: &'static str,
    /// Records that the rotation under way, or the last one, has sealed anew.
    resealed: u64,
    /// Nodes that the rotation waits for.
    nodes_behind: Vec<String>,
    /// Keys of before there was an instance key are kept.
    #[expect(clippy::struct_field_names, reason = "a name of the interface")]
    keys_of_before: bool,
}

fn names(nodes: &[NodeId]) -> Vec<String> {
    nodes.iter().map(ToString::to_string).collect()
}

impl From<KeyStatus> for Keys {
    fn from(status: KeyStatus) -> Self {
        Self {
            locked_by: status.locked_by.as_str(),
            rotation: status.state(),
            current: status.current,
            next: status.next,
            resealed: status.resealed,
            keys_of_before: status.of_before,
            earlier: status.earlier,
            nodes_behind: names(&status.waiting),
        }
    }
}

impl From<(SchemaStatus, KeyStatus)> for StoreState {
    fn from((schema, keys): (SchemaStatus, KeyStatus)) -> Self {
        let migration = schema.state.as_str();
        let (step, behind) = match schema.state {
            MigrationState::Running(step) => (Some(step.as_str()), Vec::new()),
            MigrationState::WaitingForNodes(nodes) => (None, nodes),
            MigrationState::Done | MigrationState::Closing => (None, Vec::new()),
        };
        Self {
            version: schema.version,
            newest_version: schema.newest,
            migration,
            step,
            migrated: schema.changed,
            nodes_behind: names(&behind),
            keys: keys.into(),
        }
    }
}

/// Read the state of the store
///
/// Only with the instance password.
#[utoipa::path(get, path = "/api/v1/store", tag = "store",
    responses((status = 200, body = StoreState),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json")))]
async fn get_store(caller: Caller, admin: web::Data<Admin>) -> Answer<HttpResponse> {
    Ok(HttpResponse::Ok().json(StoreState::from(admin.store_state(&caller.0).await?)))
}

/// Replace the instance key
///
/// Makes a new generation and seals everything with it in the background. Only with the instance password.
#[utoipa::path(post, path = "/api/v1/keys/rotation", tag = "store",
    responses((status = 202, body = Keys),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json")))]
async fn rotate_keys(caller: Caller, admin: web::Data<Admin>) -> Answer<HttpResponse> {
    Ok(HttpResponse::Accepted().json(Keys::from(admin.rotate_instance_key(&caller.0).await?)))
}

#[derive(OpenApi)]
#[openapi(paths(get_store, rotate_keys))]
pub(super) struct Doc;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/store").route(get().to(get_store)).default_service(web::to(method_not_allowed("GET"))))
        .service(
            web::resource("/keys/rotation")
                .route(web::post().to(rotate_keys))
                .default_service(web::to(method_not_allowed("POST"))),
        );
}
