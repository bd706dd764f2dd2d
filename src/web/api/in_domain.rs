//! The domain in a path.

use serde::Deserialize;
use utoipa::IntoParams;

/// Which domain.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct InDomain {
    /// Number or name of the domain.
    #[param(min_length = 1, max_length = 253, example = "example.com")]
    pub domain: String,
}
