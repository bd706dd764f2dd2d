//! Labels of metrics and their fixed values.

use crate::core::model::quota::QuotaKind;
use crate::core::policy::jobs::config::Kind;

/// A label with a fixed set of values.
pub trait Label: Copy + 'static {
    /// Name of the label.
    const KEY: &'static str;
    /// All variants.
    const ALL: &'static [Self];
    /// The texts of all variants, in the same order.
    const VALUES: &'static [&'static str];

    /// The text of this variant.
    fn as_str(self) -> &'static str;

    /// The index of this variant in [`Label::ALL`].
    fn index(self) -> usize;
}

/// Declares a label: enum, name of the label, and text and meaning of each variant.
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

/// Kind of work for a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JobKind {
    /// Update of firmware and boot code.
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
    /// Outcome of an attempt at work for a device.
    JobOutcome "outcome" {
        Sent "sent" "Sent to the device: a configuration counts when it ends, an update when it is ordered.",
        Done "done" "Succeeded.",
        Failed "failed" "Failed; it is tried again unless it is given up.",
        GivenUp "given_up" "Failed in the last allowed attempt.",
    }
}

label! {
    /// Purpose of a tunnel session. Sessions for the lines of jobs are not counted.
    TunnelUse "purpose" {
        Passthrough "passthrough" "A request of a browser.",
        Pipe "pipe" "A connection that a browser has upgraded.",
        Fetch "fetch" "A request of a service client.",
    }
}

label! {
    /// Outcome of a tunnel session.
    TunnelEnd "outcome" {
        Done "done" "With a complete answer.",
        Refused "refused" "The device is not connected, or has too many sessions.",
        Timeout "timeout" "The device did not answer in time.",
        Failed "failed" "The device disconnected, or its answer is invalid.",
        Abandoned "abandoned" "The client has gone away.",
    }
}

label! {
    /// Direction of bytes.
    Direction "direction" {
        ToDevice "to_device" "Towards the device.",
        FromDevice "from_device" "From the device.",
    }
}

label! {
    /// Stage of a registration, from the upgrade to membership.
    EntryStage "stage" {
        Identify "identify" "From the upgrade to the identify message.",
        Claim "claim" "From the identify message to the decision of the store.",
        Answer "answer" "From that decision to the correct answer to the challenge.",
        Join "join" "From that answer to membership.",
    }
}

label! {
    /// Validity of a code.
    CodeKind "kind" {
        Short "short" "Short validity: minutes.",
        Rollout "rollout" "Long validity: codes of a roll-out.",
    }
}

label! {
    /// The peer of a WebSocket connection.
    Peer "peer" {
        Device "device" "A device.",
        App "app" "Users or another app.",
    }
}

label! {
    /// A stock of places for connections that have not proved who they are.
    PlaceKind "kind" {
        Http "http" "Connections of the public listener and of devices' own pages before an upgrade, or without one.",
        WebSocket "websocket" "WebSocket connections.",
        Ops "ops" "Connections of the operations listener.",
    }
}

label! {
    /// What was short when a connection without proof had to give way.
    Shortage "reason" {
        Places "places" "Places.",
        Memory "memory" "Memory for messages and requests that are not complete.",
        Descriptors "descriptors" "File descriptors.",
    }
}

label! {
    /// The part of a request that has not come in time.
    LatePart "part" {
        Head "head" "The head.",
        Body "body" "The body.",
    }
}

label! {
    /// Reason why a connection was refused.
    Refusal "reason" {
        TooMany "too_many" "The limit of the listener is reached.",
        Attempts "attempts" "Too many wrong attempts from this source address.",
        Draining "draining" "The process is stopping.",
        BadUpgrade "bad_upgrade" "Not a WebSocket upgrade, or another version of the protocol.",
        UnknownPath "unknown_path" "No such domain, instance or path.",
        Host "host" "Delivered passwords are in use, and the host is not on loopback.",
    }
}

label! {
    /// How a connection began, if the PROXY protocol is on.
    ProxyHeaderOutcome "outcome" {
        Client "client" "A header names the client.",
        Proxy "proxy" "A header names nobody: the connection is the proxy's own.",
        Without "without" "There is no header, and none is required.",
        Stranger "stranger" "Closed: a header is required, and the source may not send one.",
        Missing "missing" "Closed: a header is required.",
        Malformed "malformed" "Closed: the header is malformed.",
        Unfinished "unfinished" "Closed by the peer before the end of the header.",
        Late "late" "Closed: the header did not come in time.",
        Crowded "crowded" "Closed: too many connections had sent no header yet.",
    }
}

label! {
    /// Outcome of a TLS handshake.
    Handshake "outcome" {
        Full13 "full_1.3" "A new session of TLS 1.3.",
        Resumed13 "resumed_1.3" "A resumed session of TLS 1.3.",
        Full12 "full_1.2" "A new session of TLS 1.2.",
        Resumed12 "resumed_1.2" "A resumed session of TLS 1.2.",
        TimedOut "timed_out" "Exceeded its time limit.",
        Failed "failed" "Not TLS, no common version or cipher, or broken off.",
    }
}

label! {
    /// Result of an identify message or a challenge.
    Registration "outcome" {
        EnteredCode "entered_code" "Entered a domain by a code.",
        EnteredAuto "entered_auto" "Entered a domain by automatic provisioning.",
        EnteredManual "entered_manual" "Entered a domain by an administrator.",
        Challenged "challenged" "Was sent a challenge.",
        Authenticated "authenticated" "Answered the challenge correctly.",
        WrongDigest "wrong_digest" "Answered the challenge incorrectly.",
        Unassigned "unassigned" "Belongs to no domain; waits as an unassigned device.",
        BadCode "bad_code" "Brought a code that is not open.",
        BadToken "bad_token" "Brought a wrong token, domain or category.",
        OtherDomain "refused_other_domain" "Belongs to another domain.",
        OverQuota "refused_quota" "The domain has as many devices as it may have.",
        TooManyAttempts "too_many_attempts" "The decision on its code or token waits because of wrong attempts.",
        Unavailable "unavailable" "The store did not answer.",
    }
}

label! {
    /// Kind of a secret that is attempted.
    Attempt "kind" {
        DeviceDigest "device_digest" "The digest of a device.",
        DeviceCode "device_code" "A code brought by a device.",
        Token "token" "A token of automatic provisioning.",
        LogIn "login" "The log-in of an app.",
        InitCode "init_code" "A code at /init.",
        Credential "credential" "A credential at the directory.",
        ExchangeLogIn "exchange_login" "The log-in of an exchange.",
        OperatorToken "operator_token" "A password for REST or its tokens.",
        PagePassword "page_password" "A password of an account of the pages.",
    }
}

label! {
    /// Event of a code at Devices.
    CodeEvent "event" {
        Issued "issued" "Issued with short validity.",
        IssuedRollout "issued_rollout" "Issued with long validity.",
        Claimed "claimed" "Used by a device or an analogue port.",
        Revoked "revoked" "Ended by an operator before its time.",
        Wrong "wrong" "A claim was refused: the code is unknown, expired, used or malformed.",
        TooManyOpen "too_many_open" "Not issued: too many codes are open.",
        DirectoryUnavailable "directory_unavailable" "Not issued: the directory is not available.",
    }
}

label! {
    /// Event of a notice.
    NoticeEvent "event" {
        Deposited "deposited" "Put into the mailbox.",
        Delivered "delivered" "Written to an app connection.",
        Copied "copied" "Sent as a copy to a further app connection that had requested the code.",
        Settled "settled" "Confirmed by Users and removed from the mailbox.",
        Released "released" "Returned to the mailbox unsettled.",
    }
}

label! {
    /// Kind of an answer to /init.
    InitAnswer "answer" {
        FirstContact "first_contact" "The form, at the first contact of a MAC address.",
        Form "form" "The form again, or no change.",
        Found "found" "The address for a valid code.",
        Wrong "wrong" "The form, because the code is wrong.",
        RateLimited "rate_limited" "429.",
        BadRequest "bad_request" "404, 405 or 414.",
        Unavailable "unavailable" "503: the store does not answer.",
    }
}

label! {
    /// Event of a code at the directory of this process.
    ListingEvent "event" {
        Listed "listed" "Listed.",
        GivenBack "given_back" "Deleted before its end.",
        Unauthorized "unauthorized" "Refused: no or wrong credential.",
        BadRequest "bad_request" "Refused: the request is malformed.",
        RateLimited "rate_limited" "Refused: the rate is too high, or too many codes are open.",
        Unavailable "unavailable" "Refused: the store does not answer.",
    }
}

label! {
    /// Kind of records that strangers cause.
    Strangers "kind" {
        Unassigned "unassigned" "Unassigned devices.",
        Contacts "contacts" "Contacts at /init of phones that have entered no valid code.",
    }
}

label! {
    /// What became of a record of a stranger.
    StrangerRecord "event" {
        Recorded "recorded" "It is new.",
        Evicted "evicted" "It has given way to a newer one.",
        Skipped "skipped" "It was not written: too many came at once, or the store is full.",
    }
}

label! {
    /// Quotas of a domain.
    Quota "quota" {
        Devices "devices" "Devices.",
        Categories "categories" "Categories.",
        Jobs "jobs" "Jobs.",
        CodesPerDay "codes_per_day" "Codes issued within 24 hours.",
        Rollouts "rollouts" "Roll-outs.",
        RolloutRows "rollout_rows" "Users in roll-outs.",
        Accounts "accounts" "Accounts.",
        Offers "offers" "Devices on offer.",
    }
}

impl From<QuotaKind> for Quota {
    fn from(kind: QuotaKind) -> Self {
        match kind {
            QuotaKind::Devices => Self::Devices,
            QuotaKind::Categories => Self::Categories,
            QuotaKind::Jobs => Self::Jobs,
            QuotaKind::CodesPerDay => Self::CodesPerDay,
            QuotaKind::Rollouts => Self::Rollouts,
            QuotaKind::RolloutRows => Self::RolloutRows,
            QuotaKind::Accounts => Self::Accounts,
            QuotaKind::Offers => Self::Offers,
        }
    }
}

label! {
    /// Operations of the store, by the names of its traits.
    StoreOp "operation" {
        EnsureDomain "ensure_domain" "Making a domain.",
        Domains "domains" "Reading all domains.",
        PutCode "put_code" "Storing a code.",
        FindCode "find_code" "Looking a code up.",
        CodeIn "code_in" "Looking a code up in a domain.",
        HoldCode "hold_code" "Recording which app connection requested a code.",
        FindDevice "find_device" "Reading a device.",
        Enter "enter" "Entering a device into a domain.",
        Confirm "confirm" "Confirming a tentative password.",
        Refresh "refresh" "Updating the facts of a device.",
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
        Attach "attach" "Recording the presence of a device.",
        Detach "detach" "Removing the presence of a device.",
        Whereabouts "whereabouts" "Reading the presence of a device.",
        List "list" "Listing a code at the directory.",
        LookUp "look_up" "Looking a code up at the directory.",
        Unlist "unlist" "Ending a code at the directory.",
        Remember "remember" "Storing an answer for repeated requests.",
        Recall "recall" "Looking a stored answer up.",
        Contact "contact" "Recording a contact at /init.",
        StrangerContacts "stranger_contacts" "Counting contacts at /init that have entered no code.",
        OpenListings "open_listings" "Counting open codes at the directory.",
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
        SetAppIp "set_app_ip" "Setting the path of the App IP of a device.",
        Recategorise "recategorise" "Putting a device into another category.",
        KeepWork "keep_work" "Storing the work of a device.",
        Ports "ports" "Reading the ports of a device.",
        RemovePort "remove_port" "Forgetting a port.",
        Transfer "transfer" "Moving a device to another domain.",
        Offer "offer" "Offering a device to a domain.",
        Offers "offers" "Listing offers.",
        EndOffer "end_offer" "Ending an offer.",
        ListUnassigned "strangers" "Listing unassigned devices.",
        UnassignedCount "stranger_count" "Counting unassigned devices.",
        AttachUnassigned "attach_stranger" "Recording the presence of an unassigned device.",
        DetachUnassigned "detach_stranger" "Removing the presence of an unassigned device.",
        FindUnassigned "stranger" "Looking an unassigned device up.",
        ForgetUnassigned "forget_stranger" "Forgetting an unassigned device.",
        Codes "codes" "Listing codes.",
        RevokeCode "revoke_code" "Revoking a code.",
        LendCode "lend_code" "Lending a code to a site.",
        SettleLoan "settle_loan" "Noting which device has used a lent code.",
        BundleState "bundle_state" "Reading what is remembered of the bundles of a domain.",
        KeepBundleState "keep_bundle_state" "Storing what is remembered of the bundles of a domain.",
        CarryTimeline "carry_timeline" "Storing the timeline that a site has carried out.",
        BeginRollout "begin_rollout" "Beginning a roll-out.",
        AddRolloutRows "add_rollout_rows" "Adding users to a roll-out.",
        Rollouts "rollouts" "Listing roll-outs.",
        RolloutRows "rollout_rows" "Reading the users of a roll-out.",
        RemoveRollout "remove_rollout" "Forgetting a roll-out.",
        Note "note" "Adding to a timeline.",
        Timeline "timeline" "Reading a timeline.",
        PutRequests "put_requests" "Storing phone requests.",
        Requests "requests" "Reading phone requests.",
        Advance "advance" "Storing the progress of a phone request.",
        ForgetRequest "forget_request" "Forgetting a phone request.",
        UsersRoleRollout "people_rollout" "Making or reading a roll-out of the Users role.",
        Turn "turn" "Taking or ending a turn.",
        PlaceOrder "place_order" "Placing an order for the backend.",
        TakeOrders "take_orders" "Taking orders that are due.",
        SettleOrder "settle_order" "Noting what has come of an order.",
        FailedOrders "dead_orders" "Counting, reading or reviving orders.",
        Lock "lock" "Taking, renewing or giving back a lock.",
        TicketKeys "ticket_keys" "Reading the keys of session tickets.",
        PutAccount "put_account" "Storing an account.",
        Accounts "accounts" "Reading accounts.",
        RemoveAccount "remove_account" "Forgetting an account.",
        BeginSession "begin_session" "Beginning a session in a browser.",
        UseSession "use_session" "Looking a session up.",
        SessionsOf "sessions_of" "Listing the sessions of an account.",
        EndSession "end_session" "Ending sessions.",
        AppendAudit "note_deed" "Adding to the audit log.",
        Audit "deeds" "Reading the audit log.",
        ReportWrong "report_wrong" "Reporting wrong attempts to the other nodes.",
        TakeDecisions "take_decisions" "Taking decisions about attempts while they are limited over all nodes.",
        RecordMisdirected "record_misdirected" "Recording a device that names a category that is not there for it.",
        Misdirected "misdirected" "Counting the devices that name a category that is not there for them.",
        Publish "publish" "Publishing a signal to the other nodes.",
        Schema "schema" "Reading the version of the store.",
        Migrate "migrate" "Performing a piece of a migration or of a rotation of the instance key.",
        InstanceKeys "instance_keys" "Reading the generations of the instance key.",
        RotateKey "rotate_key" "Beginning a rotation of the instance key.",
        Ping "ping" "Probing the store.",
        Now "now" "Reading the clock of the store.",
    }
}

label! {
    /// A gate of admission.
    GateName "gate" {
        Connection "connection" "Before TLS and HTTP.",
        Registration "registration" "After the identify message, before the work in the store.",
    }
}

label! {
    /// Outcome of admission.
    Admission "outcome" {
        AtOnce "at_once" "Admitted at once.",
        AfterWaiting "after_waiting" "Admitted after waiting.",
        Full "full" "Refused: the queue is full, or the place was given to a shorter lane.",
        TooLong "too_long" "Refused: the wait would be, or was, too long.",
        Memory "memory" "Refused: memory is short.",
        Descriptors "descriptors" "Refused: file descriptors are short.",
        Gone "gone" "Disconnected while waiting.",
    }
}
