//! Memory and descriptors of this process, as the kernel reports them. Where it does not, neither is ever short.

use std::sync::atomic::{AtomicBool, Ordering};

/// Which resource is short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ShortResource {
    /// Memory, else descriptors.
    pub memory: bool,
}

pub(super) struct ProcessResources {
    max_memory: u64,
    /// Descriptors that connections may bring it to.
    max_open: u64,
    memory_is_short: AtomicBool,
}

impl ProcessResources {
    pub fn new(max_memory: u64, reserve: u64) -> Self {
        let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
        let max_open = max_descriptors(&limits).map_or(u64::MAX, |limit| limit.saturating_sub(reserve));
        let resources = Self { max_memory, max_open, memory_is_short: AtomicBool::new(false) };
        resources.look();
        resources
    }

    /// What is short for a connection with this descriptor. A new one always gets the least number that is free, so all below
    /// it are taken, and nothing has to be counted.
    pub fn short_for(&self, descriptor: u64) -> Option<ShortResource> {
        if descriptor >= self.max_open {
            return Some(ShortResource { memory: false });
        }
        self.memory_is_short.load(Ordering::Relaxed).then_some(ShortResource { memory: true })
    }

    pub fn look(&self) {
        if self.max_memory > 0 {
            let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
            let resident = resident_pages(&statm).saturating_mul(PAGE);
            self.memory_is_short.store(resident >= self.max_memory, Ordering::Relaxed);
        }
    }
}

/// Bytes of a page on the machines that this runs on.
const PAGE: u64 = 4096;

/// The second field of `/proc/self/statm`.
fn resident_pages(statm: &str) -> u64 {
    statm.split_whitespace().nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0)
}

/// The soft limit in `/proc/self/limits`; `None` if there is none.
fn max_descriptors(limits: &str) -> Option<u64> {
    limits.lines().find_map(|line| line.strip_prefix("Max open files"))?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_reports_is_read() {
        let limits = "Limit  Soft Limit  Hard Limit  Units\nMax open files            20000    524288   files     \n";
        assert_eq!(max_descriptors(limits), Some(20_000));
        assert_eq!(max_descriptors("Max open files            unlimited    unlimited   files"), None);
        assert_eq!(resident_pages("5000 1234 800 1 0 900 0\n"), 1234);
    }

    #[test]
    fn the_last_descriptors_are_not_for_connections() {
        let resources = ProcessResources { max_open: 100, ..ProcessResources::new(0, 0) };
        assert_eq!(resources.short_for(99), None);
        assert_eq!(resources.short_for(100), Some(ShortResource { memory: false }));
    }

    #[test]
    fn memory_is_short_from_the_bound_on() {
        assert_eq!(ProcessResources::new(1, 0).short_for(3), Some(ShortResource { memory: true }));
        assert_eq!(ProcessResources::new(1 << 60, 0).short_for(3), None);
    }
}
