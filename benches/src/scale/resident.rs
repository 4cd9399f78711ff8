//! Memory of this process as the kernel reports it, in bytes. `None` without `/proc`.

use std::fs;

/// Returns the resident bytes now.
pub(super) fn now() -> Option<u64> {
    field("/proc/self/status", "VmRSS:")
}

/// Returns the peak of the resident bytes.
pub(super) fn peak() -> Option<u64> {
    field("/proc/self/status", "VmHWM:")
}

/// Returns the memory that the machine has available.
pub(super) fn available() -> Option<u64> {
    field("/proc/meminfo", "MemAvailable:")
}

/// Returns the bytes of a line such as `VmRSS:     1024 kB`.
fn field(file: &str, name: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_memory_and_never_more_than_at_its_peak() {
        let (Some(now), Some(peak)) = (now(), peak()) else { return };
        assert!(now > 100 << 10 && peak >= now, "{now}, {peak}");
        assert!(available().is_some());
    }
}
