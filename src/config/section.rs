//! The macro that declares a section of the configuration.

/// Declares a section: the struct that serde reads and its defaults, so that no key can go without one.
macro_rules! section {
    ($(#[$of:meta])* $name:ident { $($(#[$on:meta])* $key:ident: $type:ty = $default:expr,)* }) => {
        $(#[$of])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name { $($(#[$on])* pub $key: $type,)* }

        impl Default for $name {
            fn default() -> Self {
                Self { $($key: $default,)* }
            }
        }
    };
}

pub(super) use section;
