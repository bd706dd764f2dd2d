//! The reasons why a device or a code is blocked, with their stable names. Which reason applies is decided in
//! `policy::blocked_reason`.

/// Why a device or a code is blocked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockedReason {
    /// Stable name of the reason.
    pub reason: Reason,
    /// The reason in a sentence.
    pub text: String,
}

/// The reasons; their names are part of the operators' interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// No device has used the code yet.
    CodeNotUsed,
    /// The code has expired.
    CodeExpired,
    /// An operator has revoked the code.
    CodeRevoked,
    /// The device that has used the code is not in the domain any more.
    DeviceGone,
    /// A device sent the code but belongs to another domain.
    OtherDomain,
    /// The device has its password but has never connected with it.
    PasswordTentative,
    /// An update was ordered, and the device has not come back with it.
    UpdateNotSeen,
    /// The update has failed and is tried again later.
    UpdateFailed,
    /// The update waits for the maintenance hours.
    WaitsForHours,
    /// A configuration could not be sent to the device.
    ConfigurationFailed,
    /// The clean-up lines could not be run.
    CleanUpFailed,
    /// The notice waits in the mailbox: no connection acts as Users.
    NoticeWaits,
    /// The notice was sent, and Users has not confirmed it.
    NoticeUnsettled,
    /// The device is not connected.
    Offline,
}
