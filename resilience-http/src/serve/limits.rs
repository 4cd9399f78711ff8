//! Limits of a server.

use std::ops::RangeInclusive;
use std::time::Duration;

use resilience_core::InvalidConfig;
use resilience_core::clock::MAX_WAIT;

/// Largest `max_connections`: more than the number of ports that one address has.
const MOST_CONNECTIONS: u32 = 1_000_000;

/// Bounds of `max_head_bytes`: hyper panics below the first.
const HEAD_BYTES: RangeInclusive<u32> = 8 << 10..=1 << 20;

/// Limits of a server; valid after [`check`](Limits::check).
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) max_connections: u32,
    pub(super) max_per_ip: Option<u32>,
    pub(super) header_timeout: Duration,
    pub(super) idle_timeout: Duration,
    pub(super) write_timeout: Duration,
    pub(super) linger_timeout: Duration,
    pub(super) linger_bytes: u64,
    pub(super) max_head_bytes: u32,
    pub(super) half_close: bool,
    pub(super) at_least: u64,
    pub(super) max_unread: u64,
    pub(super) max_unread_per_connection: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            max_connections: 10_000,
            max_per_ip: None,
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            write_timeout: Duration::from_secs(60),
            linger_timeout: Duration::from_secs(5),
            linger_bytes: 16 << 20,
            max_head_bytes: 32 << 10,
            half_close: false,
            at_least: 240,
            max_unread: 256 << 20,
            max_unread_per_connection: 64 << 20,
        }
    }
}

impl Limits {
    /// Returns the limits if all are within their bounds.
    pub(super) fn check(self) -> Result<Limits, InvalidConfig> {
        if !(1..=MOST_CONNECTIONS).contains(&self.max_connections) {
            let bound = format!("between 1 and {MOST_CONNECTIONS}");
            return Err(InvalidConfig::new("max_connections", self.max_connections, bound));
        }
        if self.max_per_ip == Some(0) {
            return Err(InvalidConfig::new("max_connections_per_ip", 0, "1 or more"));
        }
        if !HEAD_BYTES.contains(&self.max_head_bytes) {
            let bound = "between 8 KiB and 1 MiB";
            return Err(InvalidConfig::new("max_head_bytes", self.max_head_bytes, bound));
        }
        if self.max_unread == 0 {
            return Err(InvalidConfig::new("max_unread_bytes", 0, "1 or more"));
        }
        if self.max_unread_per_connection == 0 {
            return Err(InvalidConfig::new("max_unread_bytes_per_connection", 0, "1 or more"));
        }
        wait("header_timeout", self.header_timeout)?;
        wait("idle_timeout", self.idle_timeout)?;
        wait("write_timeout", self.write_timeout)?;
        wait("linger_timeout", self.linger_timeout)?;
        Ok(self)
    }
}

fn wait(field: &'static str, value: Duration) -> Result<(), InvalidConfig> {
    if value.is_zero() || value > MAX_WAIT {
        return Err(InvalidConfig::new(
            field,
            format_args!("{value:?}"),
            "more than zero and at most 365 days",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_names_the_field_out_of_bounds() {
        let field_of = |change: fn(&mut Limits)| {
            let mut limits = Limits::default();
            change(&mut limits);
            limits.check().map(|_| ()).map_err(|error| error.field())
        };
        assert_eq!(field_of(|limits| limits.max_connections = 0), Err("max_connections"));
        assert_eq!(field_of(|limits| limits.max_connections = u32::MAX), Err("max_connections"));
        assert_eq!(field_of(|limits| limits.max_per_ip = Some(0)), Err("max_connections_per_ip"));
        assert_eq!(
            field_of(|limits| limits.header_timeout = Duration::ZERO),
            Err("header_timeout")
        );
        assert_eq!(field_of(|limits| limits.idle_timeout = Duration::MAX), Err("idle_timeout"));
        assert_eq!(field_of(|limits| limits.write_timeout = Duration::ZERO), Err("write_timeout"));
        assert_eq!(field_of(|limits| limits.linger_timeout = Duration::MAX), Err("linger_timeout"));
        assert_eq!(field_of(|limits| limits.max_head_bytes = 8_191), Err("max_head_bytes"));
        assert_eq!(field_of(|limits| limits.max_head_bytes = u32::MAX), Err("max_head_bytes"));
        assert_eq!(field_of(|limits| limits.max_head_bytes = 8_192), Ok(()));
        assert_eq!(field_of(|limits| limits.max_unread = 0), Err("max_unread_bytes"));
        let field = "max_unread_bytes_per_connection";
        assert_eq!(field_of(|limits| limits.max_unread_per_connection = 0), Err(field));
        assert_eq!(field_of(|_| ()), Ok(()));
    }
}
