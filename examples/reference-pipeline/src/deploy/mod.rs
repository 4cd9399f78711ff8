//! Deploys: of a worker that is good while users make requests, and of workers that are not.
//!
//! Both arms stand behind the same balancer, under the same load, and are ended by the same signal;
//! what a worker does about it is the difference ([`rolling`]). And both are deployed with the same
//! [faults](crate::worker::Fault); what is looked at before users come is the difference ([`smoke`]).

pub mod load;
pub mod rolling;
pub mod smoke;
mod worker;

use worker::Deployment;
