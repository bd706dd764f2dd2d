//! Quotas of a domain: how much of the store one tenant may use.

use serde::{Deserialize, Serialize};

/// What a quota counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QuotaKind {
    /// Devices that belong to the domain.
    Devices,
    /// Its categories.
    Categories,
    /// Its jobs.
    Jobs,
    /// Codes issued for it within 24 hours.
    CodesPerDay,
    /// Its roll-outs, of operators and of the Users role each.
    Rollouts,
    /// Users of all its roll-outs, of operators and of the Users role each.
    RolloutRows,
    /// Accounts of people who belong to it.
    Accounts,
    /// Devices that it offers to other domains.
    Offers,
}

impl QuotaKind {
    /// All kinds.
    pub const ALL: [Self; 8] = [
        Self::Devices,
        Self::Categories,
        Self::Jobs,
        Self::CodesPerDay,
        Self::Rollouts,
        Self::RolloutRows,
        Self::Accounts,
        Self::Offers,
    ];

    /// The key of the configuration that sets it.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Devices => "quotas.devices",
            Self::Categories => "quotas.categories",
            Self::Jobs => "quotas.jobs",
            Self::CodesPerDay => "quotas.codes_per_day",
            Self::Rollouts => "quotas.rollouts",
            Self::RolloutRows => "quotas.rollout_rows",
            Self::Accounts => "quotas.accounts",
            Self::Offers => "quotas.offers",
        }
    }

    /// What it counts, for people.
    pub const fn things(self) -> &'static str {
        match self {
            Self::Devices => "devices",
            Self::Categories => "categories",
            Self::Jobs => "jobs",
            Self::CodesPerDay => "codes within 24 hours",
            Self::Rollouts => "roll-outs",
            Self::RolloutRows => "users in its roll-outs",
            Self::Accounts => "accounts",
            Self::Offers => "devices on offer",
        }
    }
}

/// A quota that a request would exceed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the domain may have {most} {} ({})", kind.things(), kind.key())]
pub struct OverQuota {
    /// What it counts.
    pub kind: QuotaKind,
    /// How many the domain may have.
    pub most: u64,
}

/// The quotas of every domain; 0 means none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quotas {
    /// See [`QuotaKind::Devices`].
    pub devices: u64,
    /// See [`QuotaKind::Categories`].
    pub categories: u64,
    /// See [`QuotaKind::Jobs`].
    pub jobs: u64,
    /// See [`QuotaKind::CodesPerDay`].
    pub codes_per_day: u64,
    /// See [`QuotaKind::Rollouts`].
    pub rollouts: u64,
    /// See [`QuotaKind::RolloutRows`].
    pub rollout_rows: u64,
    /// See [`QuotaKind::Accounts`].
    pub accounts: u64,
    /// See [`QuotaKind::Offers`].
    pub offers: u64,
}

impl Default for Quotas {
    fn default() -> Self {
        Self {
            devices: 100_000,
            categories: 1000,
            jobs: 1000,
            codes_per_day: 200_000,
            rollouts: 200,
            rollout_rows: 200_000,
            accounts: 2000,
            offers: 10_000,
        }
    }
}

impl Quotas {
    /// How many of these a domain may have; `None`: as many as it likes.
    pub const fn most(&self, kind: QuotaKind) -> Option<u64> {
        let most = match kind {
            QuotaKind::Devices => self.devices,
            QuotaKind::Categories => self.categories,
            QuotaKind::Jobs => self.jobs,
            QuotaKind::CodesPerDay => self.codes_per_day,
            QuotaKind::Rollouts => self.rollouts,
            QuotaKind::RolloutRows => self.rollout_rows,
            QuotaKind::Accounts => self.accounts,
            QuotaKind::Offers => self.offers,
        };
        if most == 0 { None } else { Some(most) }
    }

    /// The refusal of one more than there may be.
    pub const fn over(&self, kind: QuotaKind) -> OverQuota {
        let most = match self.most(kind) {
            Some(most) => most,
            None => 0,
        };
        OverQuota { kind, most }
    }

    /// Whether `more` may be added to the `have` that are there.
    pub const fn check(&self, kind: QuotaKind, have: u64, more: u64) -> Result<(), OverQuota> {
        match self.most(kind) {
            Some(most) if have.saturating_add(more) > most => Err(OverQuota { kind, most }),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_means_no_quota() {
        let quotas = Quotas { devices: 0, jobs: 2, ..Quotas::default() };
        assert_eq!(quotas.check(QuotaKind::Devices, u64::MAX, 1), Ok(()));
        assert_eq!(quotas.check(QuotaKind::Jobs, 1, 1), Ok(()));
        let over = quotas.check(QuotaKind::Jobs, 2, 1).unwrap_err();
        assert_eq!(over.to_string(), "the domain may have 2 jobs (quotas.jobs)");
        assert_eq!(quotas.check(QuotaKind::RolloutRows, 1, 200_000).unwrap_err().kind, QuotaKind::RolloutRows);
    }
}
