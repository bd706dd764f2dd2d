//! Why something stands still: the reasons and their names. Which one applies is policy (`policy::blocked_reason`).

/// Why something stands still.
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
    /// The time of the code is over.
    CodeExpired,
    /// An operator has revoked the code.
    CodeRevoked,
    /// The device that has used the code is not in the domain any more.
    DeviceGone,
    /// A device brought a code but belongs to another domain.
    OtherDomain,
    /// The device has its password but has never come back with it.
    PasswordTentative,
    /// Software was ordered, and the device has not come back with it.
    UpdateNotSeen,
    /// Updating has failed and is tried again later.
    UpdateFailed,
    /// Software waits for the maintenance hours.
    WaitsForHours,
    /// A configuration could not be brought to the device.
    ConfigurationFailed,
    /// The clean-up lines could not be run.
    CleanUpFailed,
    /// The notice waits in the mailbox: nobody acts as Users.
    NoticeWaits,
    /// The notice was sent, and Users has not confirmed it.
    NoticeUnsettled,
    /// The device is not connected.
    Offline,
}
