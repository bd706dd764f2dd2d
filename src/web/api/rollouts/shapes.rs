//! Types of requests and answers about roll-outs.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::core::model::device::{CodeState, Domain};
use crate::store::Rollout;
use crate::web::api::body::Shape;
use crate::web::api::codes::category_name;

/// A new roll-out.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewRollout {
    /// Name of the roll-out.
    #[schema(
        min_length = 1,
        max_length = 128,
        pattern = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$(?!\n)",
        example = "Third floor"
    )]
    pub name: String,
    /// Name or number of the category.
    #[schema(min_length = 1, max_length = 255, example = "Desk phones")]
    pub category: String,
    /// The devices get the administrative password of the domain, if that hands one out.
    #[serde(default = "crate::web::api::shapes::yes")]
    #[schema(default = true)]
    pub administrative: bool,
    /// The users. Send a list of more than a megabyte as CSV.
    #[schema(value_type = Vec<NewUser>, min_items = 1)]
    pub users: Vec<Shape<NewUser>>,
}

/// A user.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewUser {
    /// SIP name.
    #[schema(
        min_length = 1,
        max_length = 128,
        pattern = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$(?!\n)",
        example = "anna"
    )]
    pub sip: String,
    /// Displayed name.
    #[serde(default, deserialize_with = "crate::web::api::shapes::not_null")]
    #[schema(max_length = 128, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$(?!\n)", example = "Anna Berg", nullable = false)]
    pub name: Option<String>,
}

/// Query parameters for a list as CSV.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct StartQuery {
    /// Name of the roll-out; required with a list as CSV.
    #[param(
        min_length = 1,
        max_length = 128,
        pattern = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$(?!\n)"
    )]
    pub name: Option<String>,
    /// Name or number of the category; required with a list as CSV.
    #[param(min_length = 1, max_length = 255)]
    pub category: Option<String>,
    /// The devices get the administrative password of the domain, if that hands one out; for a list as CSV.
    #[param(default = true)]
    pub administrative: Option<bool>,
}

/// A roll-out.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct RolloutView {
    /// Number.
    pub id: u64,
    /// Name.
    pub name: String,
    /// Number of the category that its devices enter.
    pub category_id: u64,
    /// Name of the category.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// When it was made, in Unix seconds. It is deleted thirty days later.
    pub created: u64,
    /// Number of users.
    pub users: u64,
    /// Number of users whose code was issued.
    pub rows: u64,
    /// All codes were issued. Otherwise the roll-out is in progress, or it was broken off.
    pub complete: bool,
}

impl RolloutView {
    pub fn of(domain: &Domain, rollout: &Rollout) -> Self {
        Self {
            id: rollout.id.0,
            name: rollout.name.to_string(),
            category_id: rollout.category.0,
            category: category_name(domain, rollout.category),
            created: rollout.created.seconds(),
            users: rollout.users,
            rows: rollout.rows,
            complete: rollout.rows == rollout.users,
        }
    }
}

/// All roll-outs of a domain, newest first.
#[derive(Serialize, ToSchema)]
pub(super) struct RolloutList {
    /// The roll-outs.
    pub rollouts: Vec<RolloutView>,
}

/// A user of a roll-out.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct RowView {
    /// SIP name.
    pub sip: String,
    /// Displayed name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The code.
    pub code: String,
    /// End of its validity, in Unix seconds.
    pub valid_until: u64,
    /// State of the code.
    pub state: RowState,
    /// The device that has used it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
}

/// State of a user's code.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum RowState {
    /// No device has used it yet.
    Pending,
    /// A device has used it.
    Registered,
    /// It is lent to a site without a connection; the results of the site say what has become of it.
    Lent,
    /// It expired unused, or it was revoked.
    Expired,
}

impl RowState {
    pub const fn of(state: Option<&CodeState>) -> Self {
        match state {
            Some(CodeState::Open) => Self::Pending,
            Some(CodeState::Used { .. }) => Self::Registered,
            Some(CodeState::Lent { .. }) => Self::Lent,
            None => Self::Expired,
        }
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Registered => "registered",
            Self::Lent => "lent",
            Self::Expired => "expired",
        }
    }
}

/// Page of a list of rows.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct RowsQuery {
    /// Most rows in the answer.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    pub limit: Option<usize>,
    /// `next` of the previous answer.
    #[param(minimum = 0, maximum = 100_000)]
    pub cursor: Option<u64>,
}

/// A page of rows of a roll-out.
#[derive(Serialize, ToSchema)]
pub(super) struct RowPage {
    /// The rows, in the order of the list of users.
    pub rows: Vec<RowView>,
    /// `cursor` of the next request; absent at the end of the list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}

/// Whether to revoke the codes.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct RemoveQuery {
    /// Revoke the open codes first.
    pub revoke: Option<bool>,
}

/// Result of the deletion.
#[derive(Serialize, ToSchema)]
pub(super) struct Removed {
    /// Number of revoked codes.
    pub revoked: u64,
}
