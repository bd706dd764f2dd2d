//! The table of each kind. Option words and modules are ours unless `docs/protocol/update-script.md` 3.2 defines them.

use super::Kind;
use serde_json::{Map, Value};

use super::schema::{ConfigError, Field, How, OptionLine, Pattern, Problem, Schema, Type, Verb};
use super::{certificates, lines};
use crate::core::policy::jobs::joined::joined;
use crate::core::protocol::percent;

const HOST: Type = Type::Form(Pattern {
    regex: r"^([A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?|\[[0-9A-Fa-f:.]{2,45}\])(:([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?$|^[0-9A-Fa-f]{0,4}:[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:.]{0,41}$",
    about: "a host name or an address, with :port if it is not the usual one",
});

const HTTP_URL: Type = Type::Form(Pattern {
    regex: r"^https?://[!-.0->@-~]{1,255}(/[!-~]{0,255})?$",
    about: "an address with http or https, without blanks",
});

const TIME_ZONE: Type = Type::Form(Pattern {
    regex: r"^[A-Za-z<][A-Za-z0-9<>+,./:-]{2,63}$",
    about: "a time zone as POSIX writes it, CET-1CEST,M3.5.0,M10.5.0/3 for instance",
});

const LANGUAGE: Type =
    Type::Form(Pattern { regex: "^[a-z]{2,3}(-[A-Z]{2})?$", about: "a language such as de or de-AT" });

const TOS: Type =
    Type::Form(Pattern { regex: "^0x[0-9A-Fa-f]{2}$", about: "two hex digits after 0x, 0xb8 for instance" });

const PORTS: Type = Type::Form(Pattern {
    regex: "^[A-Z]{1,8}[0-9]{1,3}(,[A-Z]{1,8}[0-9]{1,3}){0,63}$",
    about: "names of ports with commas between them, TEL1,TEL2 for instance",
});

/// A parameter without a known command line: devices of other makers only (`docs/protocol/devices-api.md` 4.11).
const fn other(name: &'static str, kind: Type, about: &'static str) -> Field {
    Field::new(name, "", kind, about)
}

const CERTIFICATES: &[OptionLine] = &[OptionLine {
    verb: Verb::Change,
    module: "X509",
    part: None,
    fields: &[Field::new(
        "certificates",
        "",
        Type::Block(certificates::TEXT_MAX, certificates::check),
        "The trust list: up to 16 certificates in PEM form, one after another.",
    )
    .required()],
}];

const DEVICE_NAME: &[OptionLine] = &[OptionLine {
    verb: Verb::Add,
    module: "CMD0",
    part: None,
    fields: &[Field::new("name", "/name", Type::Text(64), "Name of the device.").required().per_device()],
}];

const NTP: &[OptionLine] = &[OptionLine {
    verb: Verb::Change,
    module: "NTP0",
    part: None,
    fields: &[
        Field::new("server", "/addr", HOST, "Time server.").required(),
        Field::new("secondary", "/alt", HOST, "Time server if the first one is silent."),
        Field::new("interval", "/interval", Type::Number(1, 1440), "Minutes between two questions."),
    ],
}];

const TIME_ZONE_LINES: &[OptionLine] = &[OptionLine {
    verb: Verb::Change,
    module: "TIME0",
    part: None,
    fields: &[Field::new("zone", "/tz", TIME_ZONE, "Time zone in POSIX form.").required()],
}];

const LANGUAGE_LINES: &[OptionLine] = &[OptionLine {
    verb: Verb::Change,
    module: "LANG0",
    part: None,
    fields: &[Field::new("language", "/lang", LANGUAGE, "Language of the display.").required()],
}];

const SYSLOG: &[OptionLine] = &[OptionLine {
    verb: Verb::Change,
    module: "LOG0",
    part: Some("SYSLOG"),
    fields: &[
        Field::new("server", "/addr", HOST, "Syslog server.").required(),
        Field::new("transport", "/transport", Type::Choice(&["udp", "tcp", "tls"]), "Transport."),
        Field::new("facility", "/facility", Type::Number(0, 23), "Facility of the messages."),
    ],
}];

const ALARM_SERVER: &[OptionLine] = &[OptionLine {
    verb: Verb::Add,
    module: "",
    part: None,
    fields: &[
        other("url", HTTP_URL, "Address of an alarm server."),
        other("logUrl", HTTP_URL, "Address of a log server."),
        other("logUser", Type::Text(128), "Name for HTTP authentication at the log server.").needs("logUrl"),
        other("logPassword", Type::Text(128), "Password for it.").secret().needs("logUser"),
        other("setLogUrl", Type::Flag, "Empty log addresses are set, too."),
    ],
}];

const LDAP: &[OptionLine] = &[OptionLine {
    verb: Verb::Change,
    module: "LDAPDIR0",
    part: None,
    fields: &[
        Field::new("server", "/addr", HOST, "Directory server.").required(),
        Field::new("secondary", "/alt", HOST, "Directory server if the first one is silent."),
        Field::new("tls", "/tls", Type::Flag, "Encrypt the connection."),
        Field::new("base", "/base-dn", Type::Text(256), "Where the search begins.").required(),
        Field::new("user", "/user", Type::Text(256), "Name for the log-in."),
        Field::new("password", "/pwd", Type::Text(128), "Password for the log-in.").secret().needs("user"),
        Field::new("filter", "/filter", Type::Text(256), "Which entries count."),
        Field::new("nameAttributes", "/name-attr", Type::Text(128), "Attributes with names, with commas between them."),
        Field::new("numberAttributes", "/number-attr", Type::Text(128), "Attributes with numbers, likewise."),
    ],
}];

const STUN: &[OptionLine] = &[OptionLine {
    verb: Verb::Change,
    module: "MEDIA",
    part: None,
    fields: &[
        Field::new("stunServer", "/stun-addr", HOST, "STUN server."),
        Field::new("turnServer", "/turn-addr", HOST, "TURN server."),
        Field::new("turnUser", "/turn-user", Type::Text(128), "Name for TURN.").per_device().needs("turnServer"),
        Field::new("turnPassword", "/turn-pwd", Type::Text(128), "Password for TURN.").secret().needs("turnUser"),
        Field::new("turnTransport", "/turn-transport", Type::Choice(&["udp", "tcp", "tls"]), "Transport of TURN.")
            .needs("turnServer"),
        other("tosRtp", TOS, "Priority of media."),
        other("tosSig", TOS, "Priority of signalling."),
        other("setRtpPorts", Type::Flag, "The ports for RTP count.").needs("rtpFirst"),
        other("rtpFirst", Type::Number(2052, 65_534), "First UDP port for RTP.").needs("rtpNum"),
        other("rtpNum", Type::Number(128, 16_384), "How many ports for RTP.").needs("rtpFirst"),
        other("setNatPorts", Type::Flag, "The ports for NAT count.").needs("natFirst"),
        other("natFirst", Type::Number(2052, 65_534), "First UDP port for NAT.").needs("natNum"),
        other("natNum", Type::Number(1, 16_384), "How many ports for NAT; none of them is one for RTP.")
            .needs("natFirst"),
    ],
}];

const PROTOCOL: Field =
    Field::new("protocol", "/protocol", Type::Choice(&["sip", "h323"]), "Protocol of the registration.").required();
const PRIMARY: Field = Field::new("primary", "/addr", HOST, "Registrar or gatekeeper.").required();
const SECONDARY: Field = Field::new("secondary", "/alt", HOST, "The one that takes over.");
const DOMAIN: Field = Field::new("domain", "/domain", Type::Text(128), "Domain, or identifier of the gatekeeper.");
const NAME: Field = Field::new("name", "/name", Type::Text(128), "Name of the registration.").required().per_device();
const PASSWORD: Field = Field::new("password", "/pwd", Type::Text(128), "Password of the registration.").secret();
const TRANSPORT: Field =
    Field::new("transport", "/transport", Type::Choice(&["udp", "tcp", "tls"]), "Transport of signalling.");

const CODER: Field =
    other("coder", Type::Choice(&["G711A", "G711u", "G722", "OPUS-NB", "OPUS-WB"]), "Coder; G711A if not set.");
const FRAME_SIZE: Field = other("frameSize", Type::Number(20, 80), "Milliseconds in a packet.");
const EXCLUSIVE: Field = other("exclusive", Type::Flag, "Only this coder.");
const SET_RECORDING_URL: Field = other("setRecordingUrl", Type::Flag, "The address for recordings counts.");
const SILENCE_COMP: Field = other("silenceComp", Type::Flag, "Silence compression.");
const NO_DTMF_DETECT: Field = other("noDtmfDetect", Type::Flag, "No DTMF detection.");
const NO_PHYSICAL_LOCATION: Field = other("noPhysicalLocation", Type::Flag, "No physical location.");
const SRTP_KEY: Field = other(
    "srtpKey",
    Type::Choice(&["0", "1", "2", "3", "4"]),
    "Key exchange: 0 SDES-DTLS, 1 DTLS-SDES, 2 SDES, 3 DTLS, 4 no encryption; 0 if not set.",
);
const SRTP_CIPHER: Field = other(
    "srtpCipher",
    Type::Choice(&["0", "1", "2", "3", "4", "5"]),
    "0 AES128/32, 1 AES128/80, 2 AES192/32, 3 AES192/80, 4 AES256/32, 5 AES256/80; 1 if not set.",
);
const RECORDING_URL: Field = other("recordingUrl", Type::Text(256), "Address for recordings.");
const DIAL_TONE: Field = other("dialTone", Type::Number(0, 26), "Dial tone, see `docs/protocol/devices-api.md` 4.10.");

/// The options of a registration that phones and analogue ports begin with.
const REGISTRATION: &[Field] =
    &[PROTOCOL, PRIMARY, SECONDARY, DOMAIN, NAME, PASSWORD, TRANSPORT, CODER, FRAME_SIZE, EXCLUSIVE];

/// The options of a registration that both end with.
const SPEECH: &[Field] =
    &[SILENCE_COMP, NO_DTMF_DETECT, NO_PHYSICAL_LOCATION, SRTP_KEY, SRTP_CIPHER, RECORDING_URL, DIAL_TONE];

const SIP: &[OptionLine] = &[OptionLine {
    verb: Verb::Change,
    module: "PHONE",
    part: Some("USER-REG"),
    fields: &joined::<_, 24>(&[
        REGISTRATION,
        &[
            SET_RECORDING_URL,
            other("audioOnly", Type::Flag, "No video."),
            other("noCtHookOn", Type::Flag, "No transfer on hanging up."),
            other("protectCfg", Type::Flag, "The configuration at the phone is protected."),
            other("allowUserCfg", Type::Flag, "User settings at the phone are allowed."),
            other("hideCompleteCfg", Type::Flag, "The whole configuration is hidden at the phone."),
            other("hideAdminCfg", Type::Flag, "The administration is hidden at the phone."),
        ],
        SPEECH,
    ]),
}];

const ANALOGUE_PHONE: &[OptionLine] = &[OptionLine {
    verb: Verb::Change,
    // The module is the port.
    module: "",
    part: Some("USER-REG"),
    fields: &joined::<_, 20>(&[
        &[Field::new("ports", "", PORTS, "Ports that get the registration; #p in the name is the port.").required()],
        REGISTRATION,
        &[other("fax", Type::Flag, "Fax device: T.38 on, feature codes off."), SET_RECORDING_URL],
        SPEECH,
    ]),
}];

const UPDATE_SERVER: &[OptionLine] = &[OptionLine {
    // Devices keep the provisioning state in the same line.
    verb: Verb::Add,
    module: "UP1",
    part: None,
    fields: &[
        Field::new(
            "url",
            "/url",
            HTTP_URL,
            "Address of the update script; its placeholders #m, #h, #t and #i are filled in by the device.",
        )
        .required()
        .also(no_duplicate_parameters),
        Field::new("poll", "/poll", Type::Number(1, 10_080), "Minutes between two questions."),
        Field::new("noDhcp", "/no-dhcp", Type::Flag, "Ignore an update address from DHCP."),
    ],
}];

const VLAN: &[OptionLine] = &[
    OptionLine {
        verb: Verb::Add,
        module: "ETH0",
        part: None,
        fields: &[
            Field::new("id", "/vlan-id", Type::Number(1, 4094), "VLAN of the device."),
            Field::new("priority", "/vlan-prio", Type::Number(0, 7), "Priority of its frames.").needs("id"),
        ],
    },
    OptionLine {
        verb: Verb::Change,
        module: "LLDP0",
        part: None,
        fields: &[Field::new("lldp", "/mode", Type::Choice(&["on", "off"]), "Ask the switch by LLDP for the VLAN.")],
    },
];

const DOT1X: &[OptionLine] = &[OptionLine {
    verb: Verb::Change,
    module: "EAP0",
    part: None,
    fields: &[
        Field::new("method", "/method", Type::Choice(&["md5", "peap", "ttls", "tls"]), "EAP method.").required(),
        Field::new("user", "/user", Type::Text(128), "Identity.").per_device(),
        Field::new("password", "/pwd", Type::Text(128), "Password.").secret().needs("user"),
    ],
}];

const TLS_PROFILE: &[OptionLine] = &[OptionLine {
    verb: Verb::Add,
    module: "",
    part: None,
    fields: &[other("profile", Type::Choice(&["normal", "fast", "secure", "strict"]), "TLS profile.").required()],
}];

const RAW: &[OptionLine] = &[OptionLine {
    verb: Verb::Add,
    module: "",
    part: None,
    fields: &[Field::new(
        "lines",
        "",
        Type::Block(lines::TEXT_MAX, lines::check),
        "Lines of the script language, sent as they are. Comments, config write and config activate are left out: the last two \
         follow by themselves.",
    )
    .required()],
}];

impl Kind {
    /// The table of this kind.
    pub const fn schema(self) -> Schema {
        let (about, how, lines) = match self {
            Self::Certificates => ("Certificates that the device trusts.", How::Certificates, CERTIFICATES),
            Self::DeviceName => ("Name of the device.", How::Table, DEVICE_NAME),
            Self::Ntp => ("Time servers.", How::Table, NTP),
            Self::TimeZone => ("Time zone.", How::Table, TIME_ZONE_LINES),
            Self::Language => ("Language of the display.", How::Table, LANGUAGE_LINES),
            Self::Syslog => ("Where the log goes.", How::Table, SYSLOG),
            Self::AlarmServer => ("Alarm and log server, for devices of other makers.", How::Table, ALARM_SERVER),
            Self::Ldap => ("Directory.", How::Table, LDAP),
            Self::Stun => ("STUN and TURN.", How::Table, STUN),
            Self::Sip => ("Registration of a phone by SIP or H.323.", How::Table, SIP),
            Self::AnaloguePhone => ("Registration of analogue ports.", How::EachPort, ANALOGUE_PHONE),
            Self::UpdateServer => ("Where the device asks for update scripts.", How::Table, UPDATE_SERVER),
            Self::Vlan => ("VLAN and LLDP.", How::Table, VLAN),
            Self::Dot1x => ("Authentication at the port of the switch, 802.1X.", How::Table, DOT1X),
            Self::TlsProfile => ("TLS profile, for devices of other makers.", How::Table, TLS_PROFILE),
            Self::Raw => ("Lines of the script language.", How::Raw, RAW),
        };
        Schema { kind: self, about, how, lines }
    }
}

/// Ports for NAT and for RTP must not overlap, and all of them must exist.
pub(super) fn ports_apart(values: &Map<String, Value>) -> Result<(), ConfigError> {
    let number = |name: &str| values.get(name).and_then(Value::as_i64);
    let range = |first, count| Some(number(first)?..number(first)? + number(count)?);
    let wrong = |field: &str, about| Err(ConfigError { field: field.to_owned(), problem: Problem::Form(about) });
    let [rtp, nat] = [range("rtpFirst", "rtpNum"), range("natFirst", "natNum")];
    for (field, range) in [("rtpNum", &rtp), ("natNum", &nat)] {
        if range.as_ref().is_some_and(|range| range.end > 65_536) {
            return wrong(field, "so small that there are so many ports from the first one on");
        }
    }
    match (rtp, nat) {
        (Some(rtp), Some(nat)) if rtp.start < nat.end && nat.start < rtp.end => {
            wrong("natFirst", "so that no port is for RTP and for NAT")
        }
        _ => Ok(()),
    }
}

/// The device appends these parameters to its update address itself; they must not be in it twice
/// (`docs/protocol/update-script.md` section 1).
fn no_duplicate_parameters(url: &str) -> Result<(), Problem> {
    const SAID: [&str; 7] = ["ver", "PROT", "BOOT", "BMC", "CFG", "SCFG", "CHECK"];
    const ADDED: Problem = Problem::Form("an address without the parameters that the device adds by itself");
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let names = query.split('&').filter_map(|pair| percent::decode(pair.split('=').next()?).ok());
    for name in names {
        let stem = name.strip_suffix("date").unwrap_or(&name);
        if SAID.contains(&stem) || stem == "CFG-BACKUP-NUM" {
            return Err(ADDED);
        }
    }
    Ok(())
}
