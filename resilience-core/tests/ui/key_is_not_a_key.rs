use resilience_core::keyed::Keyed;
use resilience_core::rate::{Quota, RateLimiter};

struct Tenant;

fn main() -> Result<(), resilience_core::InvalidConfig> {
    let each = RateLimiter::builder().quota(Quota::per_minute(2)).build()?;
    let limits = Keyed::new(Default::default(), move |_: &Tenant| each.fresh());
    Ok(())
}
