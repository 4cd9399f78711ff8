//! Progress display on stderr, since stdout is for the result.
//!
//! On a terminal one line is overwritten; otherwise a log gets a new line every two seconds.

use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use resilience_core::clock;

use crate::scrape::message::Progress;

/// Interval at which the line on a terminal is overwritten.
const TERMINAL_INTERVAL: Duration = Duration::from_millis(100);

/// Interval between lines of a log.
const LOG_INTERVAL: Duration = Duration::from_secs(2);

/// Progress of the scrapers of a job.
#[derive(Debug, Default)]
pub(crate) struct Display(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    title: String,
    scrapers: Vec<Progress>,
    /// The last line shown, and the instant.
    shown: Option<(String, Instant)>,
}

impl Display {
    /// Begins a job with this number of scrapers.
    pub(crate) fn begin(&self, title: String, scrapers: usize) {
        let mut state = self.0.lock();
        *state = State { title, scrapers: vec![Progress::default(); scrapers], shown: None };
        state.show();
    }

    /// Records the progress of one scraper.
    pub(crate) fn progress(&self, scraper: usize, made: Progress) {
        let mut state = self.0.lock();
        if let Some(last) = state.scrapers.get_mut(scraper) {
            *last = made;
        }
        state.show_if_due();
    }

    /// Ends the job. Its last line remains on the terminal.
    pub(crate) fn end(&self) {
        self.0.lock().show();
        if stderr().is_terminal() {
            eprintln!();
        }
    }
}

impl State {
    fn show_if_due(&mut self) {
        let interval = if stderr().is_terminal() { TERMINAL_INTERVAL } else { LOG_INTERVAL };
        let is_due = |at: &Instant| clock::now().saturating_duration_since(*at) >= interval;
        if self.shown.as_ref().is_none_or(|(_, at)| is_due(at)) {
            self.show();
        }
    }

    fn show(&mut self) {
        let line = self.line();
        if self.shown.as_ref().is_some_and(|(last, _)| *last == line) {
            return;
        }
        if stderr().is_terminal() {
            // Padded to overwrite a longer line. A failed write to stderr does not stop the demo.
            let _ = write!(stderr(), "\r{line:<40}");
        } else {
            let _ = writeln!(stderr(), "{line}");
        }
        self.shown = Some((line, clock::now()));
    }

    fn line(&self) -> String {
        let sum = |part: fn(&Progress) -> usize| self.scrapers.iter().map(part).sum::<usize>();
        match (sum(|scraper| scraper.done), sum(|scraper| scraper.of)) {
            (_, 0) => format!("{} ...", self.title),
            (done, of) => format!("{} {done} of {of}", self.title),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_adds_the_scrapers_up() {
        let scrapers = vec![Progress { done: 3, of: 30 }, Progress { done: 4, of: 31 }];
        let mut state = State { title: "after: season".into(), scrapers, shown: None };
        assert_eq!(state.line(), "after: season 7 of 61");
        state.scrapers.clear();
        assert_eq!(state.line(), "after: season ...");
    }
}
