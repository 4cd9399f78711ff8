//! *After*: a worker that says how it is, and leaves politely.
//!
//! - what it is told in its environment is read at once and before anything else, and refused in one report;
//! - `/health` says that it lives, `/ready` whether to send it requests, `/startup` whether it has loaded;
//! - more requests at once than it has the means for are refused, and say when to come back;
//! - at SIGTERM it is not ready first, for as long as the balancer needs to hear of it; then it takes nothing
//!   new, finishes what it has, says goodbye to its connections, and ends.

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
use crate::balance::CHECK_EVERY;
use crate::process::announcement;
use crate::scrape::store::Store;

/// How long it is not ready before it takes nothing new: three of the balancer's looks.
const GRACE: Duration = CHECK_EVERY.saturating_mul(3);

/// How long what it has begun may take.
const DRAIN: Duration = Duration::from_secs(5);

/// Ends the process even if one of its threads is blocked: the phases take 12.3 s at most.
const TOTAL: Duration = Duration::from_secs(15);

/// What is read from the environment.
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

/// SQLite blocks, so not on a runtime thread.
async fn read(store: PathBuf) -> Result<(), BoxError> {
    tokio::task::spawn_blocking(move || Store::look(&store)).await?
}

/// What predicts is there: in life, a model in an object store, or a library in the image.
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
