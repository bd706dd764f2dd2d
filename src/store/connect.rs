//! Opens the store at an address. The only module that chooses between the backends.

use std::sync::Arc;

use super::Store;
use super::embedded::Embedded;
use super::keyring::MasterKeys;
use super::observed::Observed;
use super::options::{OpenError, Options};
use super::redis::Redis;

/// Opens the store at `url`: `embedded:PATH`, or one of the forms of Redis.
pub async fn connect(url: &str, keys: &MasterKeys, options: &Options) -> Result<Arc<dyn Store>, OpenError> {
    match url.split_once(':') {
        Some(("embedded", "")) => Err(OpenError::Address { why: "embedded: needs the path of a file".into() }),
        Some(("embedded", path)) => {
            let store = Embedded::open(std::path::Path::new(path), keys, options)?;
            Ok(Arc::new(Observed::new(store)))
        }
        Some(("redis" | "rediss" | "redis+unix" | "unix", _)) => {
            Ok(Arc::new(Observed::new(Redis::connect(url, keys, options).await?)))
        }
        Some((scheme, _)) => Err(OpenError::Address { why: format!("unknown scheme {scheme:?}") }),
        None => Err(OpenError::Address { why: "it has no scheme".into() }),
    }
}
