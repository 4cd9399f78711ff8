//! *After*: a worker that reports its health and shuts down gracefully.
//!
//! - The environment is read first, and all invalid variables are reported together;
//! - `/health` is the liveness probe, `/ready` the readiness probe, `/startup` the startup probe;
//! - at SIGTERM `/ready` fails first, for as long as the balancer needs to notice; then the worker
//!   accepts nothing new, finishes the requests under way, closes its connections, and ends.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use axum::extract::Path;
use axum::routing::get;
use axum::{Json, Router};
use http::StatusCode;
use resilience_core::health::config::{Env, Var};
use resilience_core::health::{Check, Health, Startup};
use resilience_core::shutdown::Shutdown;
use resilience_http::health::HealthLayer;
use resilience_http::serve::{bind, serve_with_shutdown};

use super::predict::{PLAYERS, Predictions, predict};
use super::{Fault, LISTEN, STORE, SYSTEMS};
use crate::BoxError;
use crate::bad_input::BadInput;
use crate::balance::CHECK_INTERVAL;
use crate::process::announcement;
use crate::scrape::store::Store;

/// Time for which `/ready` fails before the worker stops accepting: three checks of the balancer.
const GRACE: Duration = CHECK_INTERVAL.saturating_mul(3);

/// Time limit for requests under way at shutdown.
const DRAIN: Duration = Duration::from_secs(5);

/// Time after which the process ends even if one of its threads is blocked. The phases take 12.3 s
/// at most.
const TOTAL: Duration = Duration::from_secs(15);

/// Configuration read from the environment.
struct Configuration {
    listen: SocketAddr,
    store: PathBuf,
    systems: u32,
}

impl Configuration {
    fn read() -> Result<Configuration, BadInput> {
        let (listen, store, systems) = Env::process()
            .read((
                Var::parsed::<SocketAddr>(LISTEN).default(([127, 0, 0, 1], 8_080).into()),
                Var::parsed::<PathBuf>(STORE),
                Var::parsed::<u32>(SYSTEMS).at_least(1).at_most(64),
            ))
            .map_err(|report| BadInput::new("configuration", report))?;
        Ok(Configuration { listen, store, systems })
    }
}

pub(super) async fn run(fault: Option<Fault>) -> Result<ExitCode, BoxError> {
    let Configuration { listen, store, systems } = Configuration::read()?;
    let shutdown = Shutdown::builder().name("worker").grace(GRACE).drain(DRAIN).total(TOTAL);
    let shutdown = shutdown.exit_process_at_total().build()?.on_signals()?;
    let token = shutdown.token();
    let serving = {
        let token = token.clone();
        move || token.is_ready()
    };
    let health = Health::builder()
        .check(Check::critical("store", move || read(store.clone())))
        .check(Check::critical("predictor", move || load(fault)))
        .startup(Startup::Manual)
        .serving_while(serving)
        .build()?;
    let listener = bind(listen).await?;
    println!("{}", announcement(&[listener.local_addr()?]));
    if fault != Some(Fault::Loading) {
        health.set_started();
    }
    let prediction = move |Path(player): Path<u32>| prediction(player, systems, fault);
    let router = Router::new()
        .route("/predictions/{player}", get(prediction))
        .layer(HealthLayer::new(health));
    let serving = tokio::spawn(serve_with_shutdown(listener, router, token));
    let report = shutdown.run().await;
    serving.await?;
    eprintln!("{report}");
    Ok(ExitCode::from(report.exit_code()))
}

/// Checks the store. SQLite blocks, so this runs on a blocking thread.
async fn read(store: PathBuf) -> Result<(), BoxError> {
    tokio::task::spawn_blocking(move || Store::check_readable(&store)).await?
}

/// Checks the predictor: in production, a model in an object store, or a library in the image.
async fn load(fault: Option<Fault>) -> Result<(), BoxError> {
    if fault == Some(Fault::MissingDependency) { Err("no predictor".into()) } else { Ok(()) }
}

async fn prediction(
    player: u32,
    systems: u32,
    fault: Option<Fault>,
) -> Result<Json<Predictions>, StatusCode> {
    if player >= PLAYERS {
        return Err(StatusCode::NOT_FOUND);
    }
    Ok(Json(predict(player, systems, fault).await))
}
