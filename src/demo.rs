//! Stub.

/// Options of `provbroker demo`.
#[derive(Debug, Clone, Default)]
pub struct DemoOptions {
    /// Store instead of an embedded one in a temporary folder.
    pub store: Option<String>,
}

/// Stub.
pub fn run(_options: DemoOptions) -> anyhow::Result<()> {
    anyhow::bail!("the demonstration is not part of this build")
}
