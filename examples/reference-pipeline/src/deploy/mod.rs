//! Deploys of workers: of a good one while users make requests, and of bad ones.
//!
//! Both arms run behind the same balancer, under the same load, and get the same signal; a worker's
//! reaction to the signal is the difference ([`rolling`]). Both are deployed with the same
//! [faults](crate::worker::Fault); the checks before users come are the difference ([`smoke`]).

pub mod load;
pub mod rolling;
pub mod smoke;
mod worker;

use worker::Deployment;
