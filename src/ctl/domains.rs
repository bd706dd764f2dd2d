//! The commands `domains`, `access` and `categories`.

use std::path::{Path, PathBuf};

use clap::{ArgAction, Args, Subcommand};
use serde_json::{Value, json};

use super::CtlError;
use super::call::{Call, Column, Files, List, Show, secret};

const DOMAINS: &[Column] = &[
    ("id", "id"),
    ("name", "name"),
    ("adminPassword", "deploysAdminPassword"),
    ("autoProvisioning", "autoProvisioning"),
    ("accessTo", "accessTo"),
];

const CATEGORIES: &[Column] = &[("id", "id"), ("name", "name"), ("provisioning", "provisioning")];

/// Domains.
#[derive(Debug, Subcommand)]
pub enum Domains {
    /// List the domains that the log-in has access to
    List,
    /// Show a domain
    Get {
        /// Number or name
        name: String,
    },
    /// Make a domain; only with the instance password
    Create {
        /// Name: letters, digits, `.`, `-`, `_`, and at least one letter
        name: String,
        /// File with the password of the new domain
        #[arg(long, value_name = "FILE")]
        new_password_file: PathBuf,
        #[command(flatten)]
        secrets: Secrets,
        /// A first category for provisioning; can be repeated
        #[arg(long = "category", value_name = "NAME")]
        categories: Vec<String>,
    },
    /// Change passwords or token; omitted ones stay
    Change {
        /// Number or name
        name: String,
        /// File with the new password; tokens issued for the old one become invalid at once
        #[arg(long, value_name = "FILE")]
        new_password_file: Option<PathBuf>,
        #[command(flatten)]
        secrets: Secrets,
    },
    /// Delete a domain without devices; only with the instance password
    Delete {
        /// Number or name
        name: String,
    },
}

/// Secrets of a domain, in files, because all users of the machine can read arguments.
#[derive(Debug, Args)]
pub struct Secrets {
    /// File with the administrative password for devices; an empty file: none
    #[arg(long, value_name = "FILE")]
    admin_password_file: Option<PathBuf>,
    /// File with the token of automatic provisioning; an empty file: off
    #[arg(long, value_name = "FILE")]
    auto_token_file: Option<PathBuf>,
}

impl Domains {
    pub(super) fn call(&self, files: &dyn Files) -> Result<Call, CtlError> {
        let read = |file: &Option<PathBuf>| -> Result<Option<Value>, CtlError> {
            file.as_deref().map(|file: &Path| Ok(secret(files, file)?.expose().into())).transpose()
        };
        let category = |name: &String| json!({"name": name, "provisioning": true});
        let one = |method, show| Call::new(method, "/domains/{domain}", show);
        Ok(match self {
            Self::List => Call::new("GET", "/domains", List::whole("domains", DOMAINS)),
            Self::Get { name } => one("GET", Show::Thing).at("domain", name),
            Self::Create { name, new_password_file, secrets, categories } => Call::new("POST", "/domains", Show::Thing)
                .json([
                    ("name", Some(name.as_str().into())),
                    ("password", Some(secret(files, new_password_file)?.expose().into())),
                    ("adminPassword", read(&secrets.admin_password_file)?),
                    ("autoToken", read(&secrets.auto_token_file)?),
                    ("categories", (!categories.is_empty()).then(|| categories.iter().map(category).collect())),
                ]),
            Self::Change { name, new_password_file, secrets } => one("PATCH", Show::Thing).at("domain", name).json([
                ("password", read(new_password_file)?),
                ("adminPassword", read(&secrets.admin_password_file)?),
                ("autoToken", read(&secrets.auto_token_file)?),
            ]),
            Self::Delete { name } => one("DELETE", Show::Nothing).at("domain", name),
        })
    }
}

/// Access of other domains.
#[derive(Debug, Subcommand)]
pub enum Access {
    /// List the domains that may see and use the devices, codes and jobs of this one
    Get,
    /// Replace the list; all other domains lose access
    Set {
        /// Names of the other domains; none: no access
        names: Vec<String>,
    },
}

impl Access {
    pub(super) fn call(&self) -> Call {
        const PATH: &str = "/domains/{domain}/access";
        match self {
            Self::Get => Call::new("GET", PATH, Show::Thing),
            Self::Set { names } => {
                Call::new("PUT", PATH, Show::Thing).json([("domains", Some(names.as_slice().into()))])
            }
        }
    }
}

/// Categories.
#[derive(Debug, Subcommand)]
pub enum Categories {
    /// List the categories of the domain
    List,
    /// Show a category
    Get {
        /// Number
        id: u64,
    },
    /// Make a category
    Create(Category),
    /// Change a category
    Change {
        /// Number
        id: u64,
        #[command(flatten)]
        category: Category,
    },
    /// Delete a category without devices, open codes and jobs
    Delete {
        /// Number
        id: u64,
    },
}

/// Settings of a category.
#[derive(Debug, Args)]
pub struct Category {
    /// Name, unique within the domain, without a comma
    name: String,
    /// Whether devices can enter it by codes, and jobs can be made for it
    #[arg(long, action = ArgAction::Set, value_name = "BOOL", default_value_t = true)]
    provisioning: bool,
}

impl Category {
    fn body(&self, call: Call) -> Call {
        call.json([("name", Some(self.name.as_str().into())), ("provisioning", Some(self.provisioning.into()))])
    }
}

impl Categories {
    pub(super) fn call(&self) -> Call {
        const ALL: &str = "/domains/{domain}/categories";
        let one = |method, id: &u64, show| {
            Call::new(method, "/domains/{domain}/categories/{category}", show).at("category", id)
        };
        match self {
            Self::List => Call::new("GET", ALL, List::whole("categories", CATEGORIES)),
            Self::Get { id } => one("GET", id, Show::Thing),
            Self::Create(category) => category.body(Call::new("POST", ALL, Show::Thing)),
            Self::Change { id, category } => category.body(one("PUT", id, Show::Thing)),
            Self::Delete { id } => one("DELETE", id, Show::Nothing),
        }
    }
}
