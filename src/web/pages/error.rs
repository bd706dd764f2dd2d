//! Errors of pages. Each becomes an error page that says what to do.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;

use crate::admin::AdminError;
use crate::store::StoreError;
use crate::users_role::backend::BackendError;
use crate::users_role::{DevicesError, UsersRoleError};

/// Suggested delay after Devices has refused a request because of its rate, which is counted per second.
const SOON: Duration = Duration::from_secs(2);

/// Why a page cannot be shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PageError {
    /// Nobody is signed in.
    #[error("nobody is signed in")]
    SignIn,
    /// The role is not sufficient.
    #[error("the role is not sufficient")]
    NotAllowed,
    /// There is no page at this address for this user.
    #[error("there is no such page")]
    NotFound,
    /// The Users role of this process does not serve the domain.
    #[error("the Users role of this process does not serve this domain")]
    NotServed,
    /// The user is not in the list of users.
    #[error("the user is not in the list of users")]
    NoUser,
    /// The form is from an outdated page, or from another site.
    #[error("the form is outdated or from another site")]
    Form,
    /// The form cannot be read.
    #[error("the form cannot be read")]
    Unreadable,
    /// The form is too long.
    #[error("the form is too long")]
    TooLarge,
    /// Conflict with the current state, or an invalid field; the text of the service.
    #[error("{0}")]
    Refused(String),
    /// A limit is exceeded; try again after this time.
    #[error("a limit is exceeded")]
    TooMany(Duration),
    /// The store or another part does not answer.
    #[error("try again later")]
    Unavailable,
    /// A sign-in at the OpenID provider was refused.
    #[error("not signed in at the provider: {0}")]
    Turned(SignInRefusal),
    /// A bug of this program.
    #[error("internal error")]
    Internal,
}

impl PageError {
    /// Its HTTP status.
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::SignIn => StatusCode::UNAUTHORIZED,
            Self::Unavailable | Self::Turned(SignInRefusal::Down) => StatusCode::SERVICE_UNAVAILABLE,
            Self::NotAllowed | Self::Form | Self::Turned(_) => StatusCode::FORBIDDEN,
            Self::NotFound | Self::NotServed | Self::NoUser => StatusCode::NOT_FOUND,
            Self::Unreadable => StatusCode::BAD_REQUEST,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Refused(_) => StatusCode::CONFLICT,
            Self::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The error for a status that is not from a handler of ours.
    pub fn of_status(status: StatusCode) -> Self {
        match status {
            StatusCode::NOT_FOUND => Self::NotFound,
            StatusCode::PAYLOAD_TOO_LARGE => Self::TooLarge,
            status if status.is_client_error() => Self::Unreadable,
            _ => Self::Internal,
        }
    }

    /// Keys of its title and of its advice.
    pub const fn texts(&self) -> (&'static str, &'static str) {
        match self {
            Self::SignIn => ("error.sign_in", "error.sign_in_do"),
            Self::NotAllowed => ("error.not_allowed", "error.not_allowed_do"),
            Self::NotFound => ("error.not_found", "error.not_found_do"),
            Self::NotServed => ("error.not_served", "error.not_served_do"),
            Self::NoUser => ("error.no_user", "error.no_user_do"),
            Self::Form => ("error.form", "error.form_do"),
            Self::Unreadable => ("error.unreadable", "error.unreadable_do"),
            Self::TooLarge => ("error.too_large", "error.too_large_do"),
            Self::Refused(_) => ("error.refused", "error.refused_do"),
            Self::TooMany(_) => ("error.too_many", "error.too_many_do"),
            Self::Unavailable => ("error.unavailable", "error.unavailable_do"),
            Self::Turned(turned) => turned.texts(),
            Self::Internal => ("error.internal", "error.internal_do"),
        }
    }
}

impl actix_web::ResponseError for PageError {
    fn status_code(&self) -> StatusCode {
        self.status()
    }

    /// Without a body: the guard adds the error page in the language of the user.
    fn error_response(&self) -> HttpResponse {
        HttpResponse::new(self.status())
    }
}

impl From<StoreError> for PageError {
    fn from(error: StoreError) -> Self {
        if let StoreError::OverQuota(over) = error {
            return Self::Refused(over.to_string());
        }
        tracing::warn!(%error, "page failed: a service does not answer");
        Self::Unavailable
    }
}

impl From<AdminError> for PageError {
    fn from(error: AdminError) -> Self {
        match error {
            AdminError::NotFound(_) => Self::NotFound,
            AdminError::NotAllowed(_) => Self::NotAllowed,
            AdminError::Ended => Self::SignIn,
            AdminError::Unavailable(_) => Self::Unavailable,
            AdminError::TryLater(wait) => Self::TooMany(wait),
            other => Self::Refused(other.to_string()),
        }
    }
}

impl From<UsersRoleError> for PageError {
    fn from(error: UsersRoleError) -> Self {
        match error {
            UsersRoleError::NotFound(_) | UsersRoleError::NoChoice(_) => Self::NotFound,
            UsersRoleError::TooManyOpen => Self::Refused(error.to_string()),
            UsersRoleError::Conflict(why) => Self::Refused(why.into()),
            UsersRoleError::Devices(DevicesError::TooMany) => Self::TooMany(SOON),
            UsersRoleError::Devices(DevicesError::Refused(why))
            | UsersRoleError::Backend(BackendError::Never { why, .. }) => Self::Refused(why.into()),
            UsersRoleError::Devices(DevicesError::Unreachable(_))
            | UsersRoleError::Backend(BackendError::Later { .. }) => {
                tracing::warn!(%error, "page failed: a service does not answer");
                Self::Unavailable
            }
            UsersRoleError::Store(error) => error.into(),
        }
    }
}

/// Why a sign-in at the OpenID provider was refused, as far as the page can say what to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignInRefusal {
    /// The provider does not answer.
    #[error("the provider does not answer")]
    Down,
    /// The provider has refused the sign-in.
    #[error("the provider has let nobody in")]
    Denied,
    /// The sign-in was not begun here, or has expired.
    #[error("the sign-in is over")]
    Over,
    /// The answer of the provider is not trusted.
    #[error("the answer of the provider is not trusted")]
    Untrusted,
    /// The user belongs to no domain of this service.
    #[error("no domain of this service")]
    Domain,
    /// The user has no role.
    #[error("no role")]
    Role,
    /// A claim that identifies the user is missing.
    #[error("no name")]
    Name,
}

impl SignInRefusal {
    /// Keys of the title, and of what to do.
    pub const fn texts(self) -> (&'static str, &'static str) {
        match self {
            Self::Down => ("oidc.down", "oidc.down_do"),
            Self::Denied => ("oidc.denied", "oidc.denied_do"),
            Self::Over => ("oidc.over", "oidc.over_do"),
            Self::Untrusted => ("oidc.untrusted", "oidc.untrusted_do"),
            Self::Domain => ("oidc.domain", "oidc.domain_do"),
            Self::Role => ("oidc.role", "oidc.role_do"),
            Self::Name => ("oidc.name", "oidc.name_do"),
        }
    }
}

/// For addresses that lead nowhere.
pub(super) async fn not_found() -> Result<HttpResponse, PageError> {
    Err(PageError::NotFound)
}
