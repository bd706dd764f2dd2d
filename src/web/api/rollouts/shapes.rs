//! What goes to and fro about roll-outs.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::core::model::device::{CodeState, Domain};
use crate::store::Rollout;
use crate::web::api::body::Shape;
use crate::web::api::codes::category_name;

/// A roll-out that is wanted.
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
    /// The users. A list of more than a megabyte is to be sent as CSV.
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
    /// Name to be shown.
    #[serde(default, deserialize_with = "crate::web::api::shapes::given")]
    #[schema(max_length = 128, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$(?!\n)", example = "Anna Berg", nullable = false)]
    pub name: Option<String>,
}

/// What a list as CSV cannot say by itself.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct StartQuery {
    /// Name of the roll-out; with a list as CSV.
    #[param(
        min_length = 1,
        max_length = 128,
        pattern = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$(?!\n)"
    )]
    pub name: Option<String>,
    /// Name or number of the category; with a list as CSV.
    #[param(min_length = 1, max_length = 255)]
    pub category: Option<String>,
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
    /// When it was made, in Unix seconds. Thirty days later it is forgotten.
    pub created: u64,
    /// How many users it was made for.
    pub users: u64,
    /// How many of them have their code.
    pub rows: u64,
    /// Everybody has one. Otherwise it is being made, or it was broken off.
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
    /// Name to be shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The code.
    pub code: String,
    /// End of its validity, in Unix seconds.
    pub valid_until: u64,
    /// What has become of it.
    pub state: RowState,
    /// The device that has used it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
}

/// What has become of a user's code.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum RowState {
    /// Nobody has used it yet.
    Pending,
    /// A device has used it.
    Registered,
    /// Its time was over before anybody used it, or it was revoked.
    Expired,
}

impl RowState {
    pub const fn of(state: Option<&CodeState>) -> Self {
        match state {
            Some(CodeState::Open) => Self::Pending,
            Some(CodeState::Used { .. }) => Self::Registered,
            None => Self::Expired,
        }
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Registered => "registered",
            Self::Expired => "expired",
        }
    }
}

/// Which rows are listed.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct RowsQuery {
    /// Rows in this answer at most.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    pub limit: Option<usize>,
    /// `next` of the answer before.
    #[param(minimum = 0, maximum = 100_000)]
    pub cursor: Option<u64>,
}

/// Some rows of a roll-out.
#[derive(Serialize, ToSchema)]
pub(super) struct RowPage {
    /// The rows, in the order of the list of users.
    pub rows: Vec<RowView>,
    /// `cursor` of the next request; absent: there are no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}

/// What is to happen to the codes.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct RemoveQuery {
    /// Revoke the open codes first.
    pub revoke: Option<bool>,
}

/// What has happened to the codes.
#[derive(Serialize, ToSchema)]
pub(super) struct Removed {
    /// How many were revoked.
    pub revoked: u64,
}
