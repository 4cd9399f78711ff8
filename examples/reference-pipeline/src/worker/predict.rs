//! Predictions, the same in both arms.

use std::time::Duration;

use serde::Serialize;

use super::Fault;

/// Duration of a prediction: in production, a database query and six models.
const WORK: Duration = Duration::from_millis(20);

/// Number of players.
pub(super) const PLAYERS: u32 = 1_000_000;

/// Points that each system predicts for a player.
#[derive(Debug, Serialize)]
pub(super) struct Predictions {
    player: u32,
    predictions: Vec<f64>,
}

/// Returns the predictions of `systems` systems for `player`.
pub(super) async fn predict(player: u32, systems: u32, fault: Option<Fault>) -> Predictions {
    if fault == Some(Fault::Hangs) {
        return std::future::pending().await;
    }
    tokio::time::sleep(WORK).await;
    let systems = if fault == Some(Fault::Empty) { 0 } else { systems };
    let points = |system| f64::from((player * 31 + system * 17) % 400) / 10.0;
    Predictions { player, predictions: (0..systems).map(points).collect() }
}

/// Returns the player in a path, or `None` if the path is not one of predictions.
pub(super) fn player(path: &str) -> Option<u32> {
    path.strip_prefix("/predictions/")?.parse().ok().filter(|player| *player < PLAYERS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_of_predictions_have_a_player() {
        assert_eq!(player("/predictions/57"), Some(57));
        assert_eq!(player("/predictions/1000000"), None);
        assert_eq!(player("/predictions/"), None);
        assert_eq!(player("/health"), None);
    }

    #[tokio::test(start_paused = true)]
    async fn every_system_predicts() {
        assert_eq!(predict(57, 6, None).await.predictions.len(), 6);
        assert!(predict(57, 6, Some(Fault::Empty)).await.predictions.is_empty());
    }
}
