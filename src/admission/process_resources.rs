//! Memory and file descriptors of this process, compared with the configured bounds.
//!
//! If the kernel does not report a value, that resource counts as sufficient.

use std::sync::atomic::{AtomicBool, Ordering};

use procfs::process::{LimitValue, Process};

/// Which resource is short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ShortResource {
    /// Memory, else descriptors.
    pub memory: bool,
}

pub(super) struct ProcessResources {
    process: Option<Process>,
    page_size: u64,
    /// Bytes of resident memory from which on memory is short; 0: no bound.
    max_memory: u64,
    /// Connections get descriptors below this number only.
    max_open: u64,
    /// Up to this number, a connection may have one if another is about to close its own.
    overdraft: u64,
    memory_is_short: AtomicBool,
}

impl ProcessResources {
    /// `reserve`: descriptors of the soft limit that connections must leave free.
    pub fn new(max_memory: u64, reserve: u64) -> Self {
        let process = Process::myself().ok();
        let max_open = process.as_ref().and_then(descriptor_limit).map_or(u64::MAX, |max| max.saturating_sub(reserve));
        let overdraft = max_open.saturating_add(reserve / 2);
        let page_size = procfs::page_size();
        let memory_is_short = AtomicBool::new(false);
        let resources = Self { process, page_size, max_memory, max_open, overdraft, memory_is_short };
        resources.look();
        resources
    }

    /// Which resource is too short for a connection with this descriptor. The kernel gives a new connection the least
    /// free number, so all numbers below it are taken and nothing has to be counted.
    pub fn short_for(&self, descriptor: u64) -> Option<ShortResource> {
        if descriptor >= self.max_open {
            return Some(ShortResource { memory: false });
        }
        self.memory_is_short.load(Ordering::Relaxed).then_some(ShortResource { memory: true })
    }

    /// Whether a connection may have this descriptor, which is beyond the limit, if another is about to close its own.
    pub const fn may_overdraw(&self, descriptor: u64) -> bool {
        descriptor >= self.max_open && descriptor < self.overdraft
    }

    /// Reads the resident memory, if it has a bound.
    pub fn look(&self) {
        if self.max_memory > 0 {
            let pages =
                self.process.as_ref().and_then(|process| process.statm().ok()).map_or(0, |statm| statm.resident);
            let resident = pages.saturating_mul(self.page_size);
            self.memory_is_short.store(resident >= self.max_memory, Ordering::Relaxed);
        }
    }
}

/// The soft limit of open descriptors; `None` if there is none.
fn descriptor_limit(process: &Process) -> Option<u64> {
    match process.limits().ok()?.max_open_files.soft_limit {
        LimitValue::Value(limit) => Some(limit),
        LimitValue::Unlimited => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_is_taken_off_the_limit_of_this_process() {
        let limit = descriptor_limit(&Process::myself().unwrap()).unwrap();
        assert!(limit > 100);
        assert_eq!(ProcessResources::new(0, 100).max_open, limit - 100);
        assert_eq!(ProcessResources::new(0, u64::MAX).max_open, 0);
    }

    #[test]
    fn the_last_descriptors_are_not_for_connections() {
        let resources = ProcessResources { max_open: 100, ..ProcessResources::new(0, 0) };
        assert_eq!(resources.short_for(99), None);
        assert_eq!(resources.short_for(100), Some(ShortResource { memory: false }));
        let resources = ProcessResources { overdraft: 132, ..resources };
        let may: Vec<_> = [99, 100, 131, 132].map(|descriptor| resources.may_overdraw(descriptor)).into();
        assert_eq!(may, [false, true, true, false]);
    }

    #[test]
    fn memory_is_short_from_the_bound_on() {
        assert_eq!(ProcessResources::new(1, 0).short_for(3), Some(ShortResource { memory: true }));
        assert_eq!(ProcessResources::new(1 << 60, 0).short_for(3), None);
    }
}
