//! The values that labels can have.

use crate::core::policy::jobs::config::Kind;

/// A label with a fixed set of values.
pub trait Label: Copy + 'static {
    /// Name of the label.
    const KEY: &'static str;
    /// Every variant.
    const ALL: &'static [Self];
    /// The texts of all variants, in the same order.
    const VALUES: &'static [&'static str];

    /// The text of this variant.
    fn as_str(self) -> &'static str;

    /// The place of this variant in [`Label::ALL`].
    fn index(self) -> usize;
}

/// Declares a label: enum, name of the label, and per variant its text and meaning.
macro_rules! label {
    ($(#[$of:meta])* $name:ident $key:literal { $($variant:ident $text:literal $help:literal,)* }) => {
        $(#[$of])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $(#[doc = $help] $variant,)* }

        impl Label for $name {
            const KEY: &'static str = $key;
            const ALL: &'static [Self] = &[$(Self::$variant,)*];
            const VALUES: &'static [&'static str] = &[$($text,)*];

            fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            fn index(self) -> usize {
                self as usize
            }
        }
    };
}

mod close;
mod users_role;

pub use users_role::{OrderEvent, RequestEvent};

/// What work for a device is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JobKind {
    /// Software.
    Update,
    /// A kind of configuration.
    Config(Kind),
    /// The clean-up after an entry by code.
    CleanUp,
}

impl Label for JobKind {
    const KEY: &'static str = "kind";
    const ALL: &'static [Self] = &{
        let mut all = [Self::Update; Kind::ALL.len() + 2];
        let mut at = 0;
        while at < Kind::ALL.len() {
            all[at + 1] = Self::Config(Kind::ALL[at]);
            at += 1;
        }
        all[at + 1] = Self::CleanUp;
        all
    };
    const VALUES: &'static [&'static str] = &{
        let mut texts = ["update"; Kind::ALL.len() + 2];
        let mut at = 0;
        while at < Kind::ALL.len() {
            texts[at + 1] = Kind::ALL[at].name();
            at += 1;
        }
        texts[at + 1] = "clean-up";
        texts
    };

    fn as_str(self) -> &'static str {
        Self::VALUES[self.index()]
    }

    fn index(self) -> usize {
        match self {
            Self::Update => 0,
            Self::Config(kind) => 1 + kind as usize,
            Self::CleanUp => Kind::ALL.len() + 1,
        }
    }
}

label! {
    /// What came of an attempt at work for a device.
    JobOutcome "outcome" {
        Sent "sent" "Was sent. A configuration counts when it ends, an update when it is ordered.",
        Done "done" "Has worked.",
        Failed "failed" "Has failed; unless it is given up, it is tried again.",
        GivenUp "given_up" "Has failed as often as it may.",
    }
}

label! {
    /// What a tunnel session is for. The lines of jobs are not counted here.
    TunnelUse "purpose" {
        Passthrough "passthrough" "A request of a browser.",
        Pipe "pipe" "A connection that a browser upgrades.",
        Fetch "fetch" "A request of a service client.",
    }
}

label! {
    /// How a tunnel session ended.
    TunnelEnd "outcome" {
        Done "done" "With a whole answer.",
        Refused "refused" "The device is gone, or has too many sessions.",
        Timeout "timeout" "The device did not answer in time.",
        Failed "failed" "The device was lost, or its answer is none.",
        Abandoned "abandoned" "Whoever asked has gone away.",
    }
}

label! {
    /// The way of bytes.
    Direction "direction" {
        ToDevice "to_device" "Towards the device.",
        FromDevice "from_device" "From the device.",
    }
}

label! {
    /// A part of the way from the upgrade to membership.
    EntryStage "stage" {
        Identify "identify" "From the upgrade to the identify message.",
        Claim "claim" "From there to the decision of the store.",
        Answer "answer" "From there to the right answer to the challenge.",
        Join "join" "From there to membership.",
    }
}

label! {
    /// Which codes are counted together.
    CodeKind "kind" {
        Short "short" "Short validity.",
        Rollout "rollout" "Long validity.",
    }
}

label! {
    /// Who is at the other end of a WebSocket.
    Peer "peer" {
        Device "device" "A device.",
        App "app" "Users or another app.",
    }
}

label! {
    /// Why a connection was refused.
    Refusal "reason" {
        TooMany "too_many" "The cap of the listener.",
        Attempts "attempts" "Too many wrong attempts from this source address.",
        Draining "draining" "The process is stopping.",
        BadUpgrade "bad_upgrade" "Not a WebSocket upgrade, or of another version.",
        UnknownPath "unknown_path" "No such domain, instance or path.",
    }
}

label! {
    /// How a TLS handshake ended.
    Handshake "outcome" {
        Full13 "full_1.3" "A new session of TLS 1.3.",
        Resumed13 "resumed_1.3" "A resumed session of TLS 1.3.",
        Full12 "full_1.2" "A new session of TLS 1.2.",
        Resumed12 "resumed_1.2" "A resumed session of TLS 1.2.",
        TimedOut "timed_out" "Took too long.",
        Failed "failed" "No TLS, nothing in common, or broken off.",
    }
}

label! {
    /// What became of an identify message or a challenge.
    Registration "outcome" {
        EnteredCode "entered_code" "Entered a domain by a code.",
        EnteredAuto "entered_auto" "Entered a domain by automatic provisioning.",
        EnteredManual "entered_manual" "Entered a domain by an administrator.",
        Challenged "challenged" "Was sent a challenge.",
        Authenticated "authenticated" "Answered the challenge rightly.",
        WrongDigest "wrong_digest" "Answered it wrongly.",
        Unassigned "unassigned" "Belongs to no domain and waits.",
        BadCode "bad_code" "Brought a code that is not open.",
        BadToken "bad_token" "Brought a wrong token, domain or category.",
        OtherDomain "refused_other_domain" "Belongs to another domain.",
        TooManyAttempts "too_many_attempts" "Had too many wrong attempts.",
        Unavailable "unavailable" "The store did not answer.",
    }
}

label! {
    /// What was wrong.
    Attempt "kind" {
        DeviceDigest "device_digest" "The digest of a device.",
        DeviceCode "device_code" "A code brought by a device.",
        Token "token" "A token of automatic provisioning.",
        LogIn "login" "The log-in of an app.",
        InitCode "init_code" "A code at /init.",
        Credential "credential" "A credential at the directory.",
    }
}

label! {
    /// What happened to a code at Devices.
    CodeEvent "event" {
        Issued "issued" "Handed out, short validity.",
        IssuedRollout "issued_rollout" "Handed out, long validity.",
        Claimed "claimed" "Used up by a device or port.",
        Revoked "revoked" "Ended by an operator before its time.",
        Wrong "wrong" "A claim that was refused: unknown, expired, used or malformed.",
        TooManyOpen "too_many_open" "Not handed out: too many are open.",
        DirectoryUnavailable "directory_unavailable" "Not handed out: no directory.",
    }
}

label! {
    /// What happened to a notice.
    NoticeEvent "event" {
        Deposited "deposited" "Put into the mailbox.",
        Delivered "delivered" "Written to a connection.",
        Copied "copied" "Copied to a further connection that asked about the code.",
        Settled "settled" "Seen by Users; left the mailbox.",
        Released "released" "Given back unsettled.",
    }
}

label! {
    /// How /init was answered.
    InitAnswer "answer" {
        FirstContact "first_contact" "The form, at the first contact of a MAC address.",
        Form "form" "The form, or nothing new.",
        Found "found" "The address for a valid code.",
        Wrong "wrong" "The form again, for a wrong code.",
        RateLimited "rate_limited" "429.",
        BadRequest "bad_request" "404, 405 or 414.",
        Unavailable "unavailable" "503: the store does not answer.",
    }
}

label! {
    /// What happened to a code at the own directory.
    ListingEvent "event" {
        Listed "listed" "Made.",
        GivenBack "given_back" "Deleted before its end.",
        Unauthorized "unauthorized" "Refused: no or wrong credential.",
        BadRequest "bad_request" "Refused: not as agreed.",
        RateLimited "rate_limited" "Refused: too fast, or too many open.",
        Unavailable "unavailable" "Refused: the store does not answer.",
    }
}

label! {
    /// Operations of the store, by the names of its traits.
    StoreOp "operation" {
        EnsureDomain "ensure_domain" "Making a domain.",
        Domains "domains" "Reading all domains.",
        PutCode "put_code" "Keeping a code.",
        FindCode "find_code" "Looking a code up.",
        CodeIn "code_in" "Looking a code up in a domain.",
        HoldCode "hold_code" "Noting who waits for a notice.",
        FindDevice "find_device" "Reading a device.",
        Enter "enter" "Letting a device in.",
        Confirm "confirm" "Confirming a password.",
        Refresh "refresh" "Replacing what a device says of itself.",
        Remove "remove" "Forgetting a device.",
        ClaimPort "claim_port" "Using a code for a port.",
        RecordUnassigned "record_unassigned" "Recording an unassigned device.",
        Deposit "deposit" "Putting a notice into the mailbox.",
        DepositOverdue "deposit_overdue" "Putting overdue notices into the mailbox.",
        Take "take" "Taking notices.",
        Release "release" "Giving notices back.",
        Settle "settle" "Settling notices.",
        Depth "depth" "Counting the notices of a domain.",
        RenewLease "renew_lease" "Renewing the lease of a node.",
        EndLease "end_lease" "Ending the lease of a node.",
        PublishMemberCount "tell_members" "Recording how many members a node has.",
        Figures "figures" "Counting devices, codes and notices.",
        Attach "attach" "Noting where a device is.",
        Detach "detach" "Noting that a device is gone.",
        Whereabouts "whereabouts" "Asking where a device is.",
        List "list" "Listing a code at the directory.",
        LookUp "look_up" "Looking a code up at the directory.",
        Unlist "unlist" "Ending a code at the directory.",
        Remember "remember" "Remembering an answer.",
        Recall "recall" "Looking for a remembered answer.",
        Contact "contact" "Recording a contact at /init.",
        OpenListings "open_listings" "Counting open codes.",
        CreateDomain "create_domain" "Making a domain for an operator.",
        ChangeDomain "change_domain" "Changing the settings of a domain.",
        DeleteDomain "delete_domain" "Deleting a domain.",
        PutCategory "put_category" "Making or changing a category.",
        DeleteCategory "delete_category" "Deleting a category.",
        AddJob "add_job" "Making a job.",
        Jobs "jobs" "Reading the jobs of a domain.",
        RemoveJob "remove_job" "Deleting a job.",
        SetBuilds "set_builds" "Setting a build list.",
        Builds "builds" "Reading a build list.",
        Devices "devices" "Listing devices.",
        DeviceCount "device_count" "Counting devices.",
        Rename "rename" "Renaming a device.",
        Recategorise "recategorise" "Putting a device into another category.",
        KeepWork "keep_work" "Keeping the progress of a device.",
        Ports "ports" "Reading the ports of a device.",
        RemovePort "remove_port" "Forgetting a port.",
        Transfer "transfer" "Moving a device to another domain.",
        Offer "offer" "Offering a device to a domain.",
        Offers "offers" "Listing offers.",
        EndOffer "end_offer" "Ending an offer.",
        ListUnassigned "strangers" "Listing unassigned devices.",
        UnassignedCount "stranger_count" "Counting unassigned devices.",
        AttachUnassigned "attach_stranger" "Noting where an unassigned device is.",
        DetachUnassigned "detach_stranger" "Noting that an unassigned device is gone.",
        FindUnassigned "stranger" "Looking an unassigned device up.",
        ForgetUnassigned "forget_stranger" "Forgetting an unassigned device.",
        Codes "codes" "Listing codes.",
        RevokeCode "revoke_code" "Revoking a code.",
        BeginRollout "begin_rollout" "Beginning a roll-out.",
        AddRolloutRows "add_rollout_rows" "Adding users to a roll-out.",
        Rollouts "rollouts" "Listing roll-outs.",
        RolloutRows "rollout_rows" "Reading the users of a roll-out.",
        RemoveRollout "remove_rollout" "Forgetting a roll-out.",
        Note "note" "Adding to a timeline.",
        Timeline "timeline" "Reading a timeline.",
        PutRequests "put_requests" "Keeping requests for phones.",
        Requests "requests" "Reading requests for phones.",
        Advance "advance" "Noting that a request has got further.",
        ForgetRequest "forget_request" "Forgetting a request for a phone.",
        PeopleRollout "people_rollout" "Making or reading a roll-out of people.",
        Turn "turn" "Taking or ending a turn.",
        PlaceOrder "place_order" "Placing an order for the backend.",
        TakeOrders "take_orders" "Taking orders that are due.",
        SettleOrder "settle_order" "Noting what has come of an order.",
        FailedOrders "dead_orders" "Counting, reading or reviving orders.",
        Lock "lock" "Taking, renewing or giving back a lock.",
        TicketKeys "ticket_keys" "Reading the keys of session tickets.",
        PutAccount "put_account" "Keeping an account.",
        Accounts "accounts" "Reading accounts.",
        RemoveAccount "remove_account" "Forgetting an account.",
        BeginSession "begin_session" "Beginning a session in a browser.",
        UseSession "use_session" "Looking a session up.",
        SessionsOf "sessions_of" "Listing the sessions of an account.",
        EndSession "end_session" "Ending sessions.",
        AppendAudit "note_deed" "Adding to the list of deeds.",
        Audit "deeds" "Reading the list of deeds.",
        Publish "publish" "Telling the other nodes.",
        Ping "ping" "Asking whether it is there.",
        Now "now" "Asking for its clock.",
    }
}

label! {
    /// Where admission is decided.
    GateName "gate" {
        Connection "connection" "Before TLS and HTTP.",
        Registration "registration" "After the identify message, before the work in the store.",
    }
}

label! {
    /// How admission was decided.
    Admission "outcome" {
        AtOnce "at_once" "Admitted at once.",
        AfterWaiting "after_waiting" "Admitted after waiting.",
        Full "full" "Sent away: no place to wait, or it had to make room for a shorter lane.",
        TooLong "too_long" "Sent away: the wait would be, or was, too long.",
        Memory "memory" "Sent away: memory is short.",
        Descriptors "descriptors" "Sent away: descriptors are short.",
        Gone "gone" "Went away while waiting.",
    }
}
